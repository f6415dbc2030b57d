//! Jaeger's query API, version 1: what its UI up to 2.18, Grafana and `dagger trace verify` ask.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value as Json, json};

use super::Served;
use super::answer::{Refused, Shape, envelope, found, traces};
use super::durations::{truth, whole};
use super::parameters::Parameters;
use super::search::Search;
use crate::trace::jaeger::write;
use crate::trace::model::{Kind, Span, TraceId};
use crate::trace::otlp;

/// How far back dependencies are looked for, if the client does not say, in milliseconds.
const DEPENDENCIES_MS: i64 = 24 * 3_600 * 1_000;

/// Traces asked for by their ids in one request, at most.
const MOST_IDS: usize = 1_000;

pub(super) async fn services(State(served): State<Served>) -> Response {
    served
        .answer(Shape::V1, |store| {
            let services = store.services()?;
            let total = services.len();
            found(&envelope(json!(services), total, Json::Null))
        })
        .await
}

pub(super) async fn operations_of(
    State(served): State<Served>,
    Path(service): Path<String>,
) -> Response {
    served
        .answer(Shape::V1, move |store| {
            let operations = store.operations(&service)?;
            let mut names: Vec<_> = operations.into_iter().map(|of| of.name).collect();
            names.dedup();
            let total = names.len();
            found(&envelope(json!(names), total, Json::Null))
        })
        .await
}

pub(super) async fn operations(State(served): State<Served>, parameters: Parameters) -> Response {
    served
        .answer(Shape::V1, move |store| {
            let service = parameters.get(&["service"]);
            let service = service.ok_or_else(|| Refused::bad("parameter 'service' is required"))?;
            let kind = parameters.get(&["spanKind"]);
            let operations = store.operations(service)?.into_iter();
            let listed: Vec<_> = operations
                .map(|of| (of.name, word(of.kind)))
                .filter(|(_, of)| kind.is_none_or(|kind| kind == *of))
                .map(|(name, kind)| json!({"name": name, "spanKind": kind}))
                .collect();
            let total = listed.len();
            found(&envelope(json!(listed), total, Json::Null))
        })
        .await
}

pub(super) async fn search(State(served): State<Served>, parameters: Parameters) -> Response {
    let now = served.now_ns();
    served
        .answer(Shape::V1, move |store| {
            let raw = raw(&parameters);
            let mut ids = Vec::new();
            for text in parameters.all("traceID") {
                ids.push(
                    id(text).map_err(|why| {
                        Refused::bad(format!("cannot parse traceID param: {why}"))
                    })?,
                );
            }
            if ids.len() > MOST_IDS {
                return Err(Refused::bad(format!(
                    "at most {MOST_IDS} traces at one time"
                )));
            }
            if ids.is_empty() {
                let spans = Search::v1(&parameters, now)?.find(store)?;
                return traces(&written(&spans, raw), Json::Null);
            }
            let (mut there, mut missing) = (Vec::new(), Vec::new());
            for id in ids {
                let spans = store.trace(id)?;
                if spans.is_empty() {
                    let id = write::trace_id(id);
                    missing.push(json!({"msg": "trace not found", "traceID": id}));
                } else {
                    there.push((id, spans));
                }
            }
            let errors = if missing.is_empty() {
                Json::Null
            } else {
                Json::from(missing)
            };
            traces(&written(&there, raw), errors)
        })
        .await
}

pub(super) async fn trace(
    State(served): State<Served>,
    Path(text): Path<String>,
    parameters: Parameters,
) -> Response {
    served
        .answer(Shape::V1, move |store| {
            let id = id(&text).map_err(Refused::bad)?;
            let spans = store.trace(id)?;
            if spans.is_empty() {
                return Err(Refused::not_found("trace not found"));
            }
            let trace = written_one(id, &spans, raw(&parameters));
            traces(&[trace], Json::Null)
        })
        .await
}

pub(super) async fn archive() -> Response {
    Refused::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "archive span storage was not configured",
    )
    .respond(Shape::V1)
}

pub(super) async fn metrics() -> Response {
    Refused::new(
        StatusCode::NOT_IMPLEMENTED,
        "metrics querying is currently disabled",
    )
    .respond(Shape::V1)
}

/// An upload of OTLP's JSON, as Jaeger's.
pub(super) async fn transform(State(served): State<Served>, body: Bytes) -> Response {
    served
        .answer(Shape::V1, move |_| {
            let spans = otlp::from_json(&body).map_err(|error| Refused::bad(error.to_string()))?;
            let mut of_traces: Vec<(TraceId, Vec<Span>)> = Vec::new();
            for span in spans {
                match of_traces.iter_mut().find(|(id, _)| *id == span.trace) {
                    Some((_, spans)) => spans.push(span),
                    None => of_traces.push((span.trace, vec![span])),
                }
            }
            traces(&written(&of_traces, true), Json::Null)
        })
        .await
}

pub(super) async fn dependencies(State(served): State<Served>, parameters: Parameters) -> Response {
    let now = served.now_ns();
    served
        .answer(Shape::V1, move |store| {
            let number = |name: &str, default: i64| match parameters.get(&[name]) {
                None => Ok(default),
                Some(text) => whole(text).map_err(|error| {
                    Refused::bad(format!("unable to parse param '{name}': {error}"))
                }),
            };
            let now_ms = i64::try_from(now / 1_000_000).unwrap_or(i64::MAX);
            let end = number("endTs", now_ms)?;
            let lookback = number("lookback", DEPENDENCIES_MS)?;
            let ns = |ms: i64| u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000);
            let of = parameters.get(&["service"]);
            let calls = store.dependencies(ns(end.saturating_sub(lookback)), ns(end))?;
            let listed: Vec<_> = calls
                .into_iter()
                .filter(|call| of.is_none_or(|of| of == call.parent || of == call.child))
                .map(|call| {
                    json!({"parent": call.parent, "child": call.child, "callCount": call.calls})
                })
                .collect();
            found(&envelope(json!(listed), 0, Json::Null))
        })
        .await
}

/// A kind as Jaeger names it. A span inside of a process has no tag that says so.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Internal => "unspecified",
        kind => kind.word(),
    }
}

fn raw(parameters: &Parameters) -> bool {
    parameters.get(&["raw"]).and_then(truth) == Some(true)
}

/// A trace's id, in the words of Jaeger if it is none.
fn id(text: &str) -> Result<TraceId, String> {
    if text.len() > 32 {
        return Err(format!(
            "TraceID cannot be longer than 32 hex characters: {text}"
        ));
    }
    text.parse()
        .map_err(|_| format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))
}

/// A trace. Unless it is to be as it is stored, tags and fields are in order of their keys, as Jaeger
/// has them; its other adjustments (clocks of other hosts) are not made.
fn written_one(id: TraceId, spans: &[Span], raw: bool) -> write::Trace<'_> {
    let trace = write::Trace::new(id, spans);
    if raw { trace } else { trace.sorted() }
}

fn written(of_traces: &[(TraceId, Vec<Span>)], raw: bool) -> Vec<write::Trace<'_>> {
    let each = of_traces.iter();
    each.map(|(id, spans)| written_one(*id, spans, raw))
        .collect()
}
