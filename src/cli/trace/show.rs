//! `dagger trace show`: one trace, for people and for other programs.

use std::collections::HashSet;
use std::fmt::Write;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value as Json, json};

use super::pick::{self, Picked};
use super::waterfall::{Style, draw};
use super::{files, list, print, print_json, text};
use crate::cli::diagnostic::Failure;
use crate::cli::env::Env;
use crate::progress::clean;
use crate::trace::critical_path::{critical_path, entry};
use crate::trace::model::{Attributes, Span, SpanId, Status, Value};
use crate::trace::store::State;

/// Arguments of `dagger trace show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// The run: its number, its trace's id or how that begins, or `latest`
    /// [default: the last run in this directory]
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Show also attributes, events and output
    #[arg(long)]
    logs: bool,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A waterfall, for people
    Text,
    /// The run and its spans, nothing left out
    Json,
    /// For chrome://tracing and Perfetto
    Chrome,
    /// OTLP's JSON
    Otlp,
    /// Jaeger's JSON, for its page's upload
    Jaeger,
}

/// Columns if the terminal's are not known.
const COLUMNS: usize = 110;

pub(super) fn run(args: &ShowArgs, env: &Env) -> Result<(), Failure> {
    let picked = pick::picked(&pick::store(env)?, args.id.as_deref(), env)?;
    let format = if args.json { Format::Json } else { args.format };
    match format {
        Format::Text => print(&as_text(&picked, args.logs, env)),
        Format::Json => print_json(&as_json(&picked)),
        Format::Chrome => print_json(&chrome(&picked.spans)),
        Format::Otlp => print_json(&files::as_json(&picked, files::Format::Otlp)),
        Format::Jaeger => print_json(&files::as_json(&picked, files::Format::Jaeger)),
    }
}

/// The span that the run began with, if it is there, else the one that its trace began with.
pub(super) fn root(picked: &Picked) -> Option<SpanId> {
    let begun = picked.run.begun.root;
    begun
        .filter(|root| picked.spans.iter().any(|span| span.id == *root))
        .or_else(|| entry(&picked.spans))
}

fn as_text(picked: &Picked, logs: bool, env: &Env) -> String {
    let size = Some(env.stdout_is_terminal)
        .filter(|terminal| *terminal)
        .and_then(|_| (env.terminal_size)());
    let style = Style {
        columns: size.map_or(COLUMNS, |(columns, _)| usize::from(columns)),
        colour: env.colour_of(env.stdout_is_terminal),
        logs,
    };
    let path = root(picked).map_or_else(Vec::new, |root| critical_path(&picked.spans, root));
    head(picked) + &draw(&picked.spans, &path, style)
}

fn head(picked: &Picked) -> String {
    let Picked { run, spans } = picked;
    let mut out = String::new();
    let ended = match (run.exit_code, run.state) {
        (Some(code), _) => format!(", exit code {code}"),
        (None, State::Unfinished) => ": its process went without an end; what it recorded".into(),
        (None, _) => format!(" ({})", text::status(run)),
    };
    // Writing to a text does not fail.
    let _ = writeln!(
        out,
        "run {}: {}{ended}\ntrace {}, {}",
        run.id.0,
        clean(&text::command_line(run)),
        run.begun.trace,
        text::moment(run.begun.started_ns),
    );
    let services: HashSet<&str> = spans.iter().map(Span::service).collect();
    let mut services: Vec<_> = services.into_iter().map(clean).collect();
    services.sort();
    let steps = spans.iter().filter_map(|span| span.flag("buildkit.cached"));
    let (mut total, mut cached) = (0, 0);
    for hit in steps {
        total += 1;
        cached += usize::from(hit);
    }
    let _ = writeln!(
        out,
        "{} spans of {}; {total} steps, {cached} cached\n\
         * on the critical path; ░ cached, ╳ failed, ╌ cancelled\n",
        spans.len(),
        services.join(", ")
    );
    out
}

fn as_json(picked: &Picked) -> Json {
    json!({
        "run": list::as_json(&picked.run),
        "export": picked.run.record.as_ref().map(|record| &record.export),
        "spans": picked.spans.iter().map(span_json).collect::<Vec<_>>(),
    })
}

fn span_json(span: &Span) -> Json {
    let (status, description) = match &span.status {
        Status::Unset => ("unset", None),
        Status::Ok => ("ok", None),
        Status::Error(why) => ("error", Some(why)),
    };
    json!({
        "id": span.id.to_string(),
        "parent": span.parent.map(|id| id.to_string()),
        "name": span.name,
        "kind": format!("{:?}", span.kind).to_lowercase(),
        "service": span.service(),
        "start_ns": span.start_ns,
        "duration_ns": span.end_ns.saturating_sub(span.start_ns),
        "status": status,
        "error": description,
        "attributes": object(&span.attributes),
        "events": span.events.iter().map(|event| json!({
            "name": event.name,
            "at_ns": event.at_ns,
            "attributes": object(&event.attributes),
        })).collect::<Vec<_>>(),
        "links": span.links.iter().map(|link| json!({
            "trace": link.trace.to_string(),
            "span": link.span.to_string(),
        })).collect::<Vec<_>>(),
        "resource": object(&span.resource.attributes),
    })
}

fn object(attributes: &Attributes) -> Map<String, Json> {
    attributes
        .iter()
        .map(|(key, value)| {
            let value = match value {
                Value::Str(text) => json!(text),
                Value::Bool(truth) => json!(truth),
                Value::Int(number) => json!(number),
                Value::Float(number) => json!(number),
            };
            (key.clone(), value)
        })
        .collect()
}

/// Lanes of one service at most: what runs beside more than so many others shares the last one.
const LANES: usize = 200;

/// Chrome's trace event format: a process a service, and as many lanes as run beside each other.
fn chrome(spans: &[Span]) -> Json {
    let mut services: Vec<&str> = Vec::new();
    let mut lanes: Vec<Vec<Vec<u64>>> = Vec::new();
    let mut order: Vec<&Span> = spans.iter().collect();
    order.sort_by_key(|span| (span.start_ns, std::cmp::Reverse(span.end_ns), span.id));
    let mut events = Vec::with_capacity(spans.len());
    for span in order {
        let known = services.iter().position(|name| *name == span.service());
        let process = known.unwrap_or_else(|| {
            services.push(span.service());
            lanes.push(Vec::new());
            services.len() - 1
        });
        let lane = lanes
            .get_mut(process)
            .map_or(0, |lanes| lane(lanes, span.start_ns, span.end_ns));
        let mut args = object(&span.attributes);
        if let Status::Error(why) = &span.status {
            args.insert("error".into(), json!(why));
        }
        events.push(json!({
            "name": span.name,
            "cat": Some(text::mark(span)).filter(|mark| !mark.is_empty()).unwrap_or("span"),
            "ph": "X",
            "ts": span.start_ns / 1_000,
            "dur": span.end_ns.saturating_sub(span.start_ns) / 1_000,
            "pid": process + 1,
            "tid": lane + 1,
            "args": args,
        }));
    }
    let names = services.iter().zip(1..).map(|(name, process)| {
        json!({"name": "process_name", "ph": "M", "pid": process, "args": {"name": name}})
    });
    events.extend(names);
    json!({"traceEvents": events, "displayTimeUnit": "ms"})
}

/// The first lane in which the span lies inside what is open, or after all of it.
fn lane(lanes: &mut Vec<Vec<u64>>, start: u64, end: u64) -> usize {
    for (at, open) in lanes.iter_mut().enumerate() {
        while open.last().is_some_and(|ends| *ends <= start) {
            open.pop();
        }
        if open.last().is_none_or(|ends| end <= *ends) {
            open.push(end);
            return at;
        }
    }
    if lanes.len() < LANES {
        lanes.push(vec![end]);
    }
    lanes.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::jaeger::decode;

    const SAMPLE: &[u8] = include_bytes!("../../../tests/fixtures/traces/buildctl-build.json");

    fn sample() -> Vec<Span> {
        let id = "9078779b6155c559f6ce1eea10bf1044".parse().unwrap();
        decode(SAMPLE, id).unwrap().unwrap().spans
    }

    #[test]
    fn waterfall_of_a_real_build() {
        let mut spans = sample();
        // What the daemon's spans do not say, ours do.
        for span in &mut spans {
            let mut mark = |key: &str| span.attributes.push((key.into(), Value::Bool(true)));
            match span.name.as_str() {
                name if name.contains("COPY --from=a") => mark("buildkit.cached"),
                name if name.contains("RUN cat") => mark("dagger.cancelled"),
                name if name.contains("RUN echo two") => span.status = Status::Error("x".into()),
                _ => {}
            }
        }
        let path = critical_path(&spans, entry(&spans).unwrap());
        let style = Style {
            columns: 110,
            colour: false,
            logs: false,
        };
        let drawn = draw(&spans, &path, style);
        let rows: Vec<&str> = drawn.lines().collect();
        assert_eq!(rows.len(), spans.len());
        let longest = rows.iter().map(|row| crate::progress::width(row)).max();
        assert!(longest <= Some(110), "{drawn}");
        let bars = |letter: char| rows.iter().filter(|row| row.contains(letter)).count();
        assert_eq!((bars('░'), bars('╌'), bars('╳')), (1, 1, 1), "{drawn}");
        // The path goes through the build's steps, not through the streams that carry them.
        let on_path = |name: &str| {
            rows.iter()
                .any(|row| row.starts_with('*') && row.contains(name))
        };
        assert!(on_path("RUN cat") && on_path("RUN echo two"), "{drawn}");
        assert!(!on_path("RUN echo one") && !on_path("Session"), "{drawn}");
        assert!(
            rows.iter()
                .all(|row| row.starts_with("* ") || row.starts_with("  "))
        );
    }

    #[test]
    fn chrome_gets_each_span_once_and_nested() {
        let spans = sample();
        let json = chrome(&spans);
        let events = json["traceEvents"].as_array().unwrap();
        let drawn: Vec<_> = events.iter().filter(|event| event["ph"] == "X").collect();
        assert_eq!(drawn.len(), spans.len());
        for a in &drawn {
            for b in &drawn {
                let same = a["pid"] == b["pid"] && a["tid"] == b["tid"];
                let at = |event: &Json, key: &str| event[key].as_u64().unwrap();
                let (from, to) = (at(a, "ts"), at(a, "ts") + at(a, "dur"));
                let (other, end) = (at(b, "ts"), at(b, "ts") + at(b, "dur"));
                let crosses = from < other && other < to && to < end;
                assert!(!(same && crosses), "{a} crosses {b}");
            }
        }
    }
}
