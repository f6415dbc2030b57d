//! The page's files and documents, and links into it.

use std::sync::PoisonError;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use serde_json::json;

use super::Served;
use super::answer::{Refused, Shape, found};
use super::durations::whole;
use super::parameters::Parameters;
use crate::trace::model::TraceId;
use crate::viewer::page::asset;
use crate::viewer::view::{RunInfo, RunState, RunView, state_of};

/// Runs in a list at most.
const RUNS: usize = 500;

/// The page itself.
pub(super) async fn document() -> Response {
    give("")
}

/// Another of its files.
pub(super) async fn file(Path(name): Path<String>) -> Response {
    give(&name)
}

fn give(path: &str) -> Response {
    match asset(path) {
        Some(asset) => {
            let media_type = HeaderValue::from_static(asset.media_type);
            ([(header::CONTENT_TYPE, media_type)], asset.text).into_response()
        }
        None => Refused::not_found(format!("there is no /{path}")).respond(Shape::Page),
    }
}

/// A link to a run, as `dagger up` prints it and Jaeger's page has it: into the page.
pub(super) async fn link(Path(trace): Path<String>, RawQuery(query): RawQuery) -> Response {
    let Ok(trace) = trace.parse::<TraceId>() else {
        return Refused::bad(format!("`{trace}` is no trace id")).respond(Shape::Page);
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    match HeaderValue::from_str(&format!("/#/run/{trace}{query}")) {
        Ok(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Err(_) => Refused::bad("the query has letters that no address has").respond(Shape::Page),
    }
}

/// A path that is none of ours: in Jaeger's words below its API.
pub(super) async fn unknown(uri: Uri) -> Response {
    let shape = if uri.path().starts_with("/api/v3/") {
        Shape::V3
    } else if uri.path().starts_with("/api/") && !uri.path().starts_with("/api/dagger/") {
        Shape::V1
    } else {
        Shape::Page
    };
    Refused::not_found(format!("there is nothing at {}", uri.path())).respond(shape)
}

pub(super) async fn wrong_method(uri: Uri) -> Response {
    Refused::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} cannot be asked so", uri.path()),
    )
    .respond(Shape::V1)
}

/// Metrics of spans, in Prometheus's text format.
pub(super) async fn metrics(State(served): State<Served>) -> Response {
    let shared = served.clone();
    served
        .answer(Shape::Page, move |store| {
            let text = shared.metrics(store)?;
            let media_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
        })
        .await
}

pub(super) async fn runs(State(served): State<Served>, parameters: Parameters) -> Response {
    let shared = served.clone();
    served
        .answer(Shape::Page, move |store| {
            let filter = Filter::new(&parameters)?;
            let all = {
                let mut list = shared.runs().lock().unwrap_or_else(PoisonError::into_inner);
                list.read(store)?
            };
            let mut fitting = all.runs.into_iter().filter(|run| filter.fits(run));
            let runs: Vec<_> = fitting.by_ref().take(filter.limit).collect();
            let more = fitting.next().is_some();
            found(&json!({"runs": runs, "more": more}))
        })
        .await
}

/// Which runs are asked for.
struct Filter {
    /// In lower case.
    words: Vec<String>,
    states: Vec<String>,
    name: Option<String>,
    service: Option<String>,
    directory: Option<String>,
    since_ms: Option<u64>,
    until_ms: Option<u64>,
    min_ms: Option<u64>,
    max_ms: Option<u64>,
    limit: usize,
}

impl Filter {
    fn new(parameters: &Parameters) -> Result<Self, Refused> {
        const KNOWN: [&str; 10] = [
            "q",
            "state",
            "name",
            "service",
            "directory",
            "since_ms",
            "until_ms",
            "min_ms",
            "max_ms",
            "limit",
        ];
        parameters.only(&KNOWN).map_err(Refused::bad)?;
        let text = |name: &str| parameters.get(&[name]).map(str::to_owned);
        let number = |name: &str| match parameters.get(&[name]) {
            None => Ok(None),
            Some(text) => match whole(text).map(u64::try_from) {
                Ok(Ok(number)) => Ok(Some(number)),
                _ => Err(Refused::bad(format!("{name}={text} is no number"))),
            },
        };
        let states: Vec<_> = parameters
            .get(&["state"])
            .into_iter()
            .flat_map(|states| states.split(','))
            .map(str::to_owned)
            .collect();
        if let Some(unknown) = states.iter().find(|state| RunState::named(state).is_none()) {
            return Err(Refused::bad(format!(
                "state={unknown}: there is no such state"
            )));
        }
        let limit = match number("limit")? {
            None => RUNS,
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=RUNS).contains(limit))
                .ok_or_else(|| Refused::bad(format!("limit={limit} is not from 1 to {RUNS}")))?,
        };
        Ok(Self {
            words: text("q")
                .unwrap_or_default()
                .to_lowercase()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            states,
            name: text("name"),
            service: text("service"),
            directory: text("directory"),
            since_ms: number("since_ms")?,
            until_ms: number("until_ms")?,
            min_ms: number("min_ms")?,
            max_ms: number("max_ms")?,
            limit,
        })
    }

    fn fits(&self, run: &RunInfo) -> bool {
        let same =
            |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let state = |name: &String| RunState::named(name) == Some(run.state);
        let took_ms = run.duration_us.map(|us| us / 1_000);
        same(&self.name, &run.name)
            && same(&self.service, &run.service)
            && same(&self.directory, &run.directory)
            && (self.states.is_empty() || self.states.iter().any(state))
            && self.since_ms.is_none_or(|since| run.started_ms >= since)
            && self.until_ms.is_none_or(|until| run.started_ms <= until)
            && self
                .min_ms
                .is_none_or(|min| took_ms.is_some_and(|took| took >= min))
            && self
                .max_ms
                .is_none_or(|max| took_ms.is_some_and(|took| took <= max))
            && (self.words.is_empty() || has_all(run, &self.words))
    }
}

fn has_all(run: &RunInfo, words: &[String]) -> bool {
    let args = run.args.join(" ");
    let error = run.error.as_deref().unwrap_or_default();
    let texts = [
        &*run.name,
        &args,
        &run.directory,
        &run.service,
        &run.trace,
        error,
    ];
    let texts = texts.map(str::to_lowercase);
    words
        .iter()
        .all(|word| texts.iter().any(|text| text.contains(word)))
}

pub(super) async fn run(
    State(served): State<Served>,
    Path(trace): Path<String>,
    headers: HeaderMap,
) -> Response {
    served
        .answer(Shape::Page, move |store| {
            let id: TraceId = trace
                .parse()
                .map_err(|_| Refused::bad(format!("`{trace}` is no trace id")))?;
            let tag = tag(store, id)?;
            let known = headers.get(header::IF_NONE_MATCH);
            let mut response = if known.and_then(|known| known.to_str().ok()) == Some(&tag) {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response
            } else {
                let view = RunView::of_store(store, id)?;
                let missing = || Refused::not_found(format!("there is no run with the trace {id}"));
                found(&view.ok_or_else(missing)?)?
            };
            if let Ok(tag) = HeaderValue::from_str(&tag) {
                response.headers_mut().insert(header::ETAG, tag);
            }
            Ok(response)
        })
        .await
}

/// What changes when the document does.
fn tag(store: &crate::trace::store::Store, id: TraceId) -> Result<String, Refused> {
    let mut tag = format!("\"{}", store.size_of_trace(id)?);
    for run in store.runs_of_trace(id)? {
        let state = state_of(&run);
        let ended = run.ended_ns.unwrap_or_default();
        tag.push_str(&format!("-{}.{state:?}.{ended}", run.id.0));
        if state == RunState::Running {
            tag.push_str(&store.open_mark(id)?);
        }
    }
    tag.push('"');
    Ok(tag)
}
