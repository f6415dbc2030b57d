//! One span stub.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::trace::model::{
    Attributes, Event, Kind, Link, Resource, Span, SpanId, Status, TraceId, Value,
};

/// Entries read of one list at most: attributes of a span, its events, its links.
const ENTRIES: usize = 10_000;

/// The span, without its resource; `None` if it has no id or no times.
pub(super) fn span(json: &Json) -> Option<Span> {
    let context = json.get("SpanContext")?;
    let start_ns = time(json.get("StartTime"))?;
    Some(Span {
        trace: trace_id(context)?,
        id: span_id(context)?,
        parent: json.get("Parent").and_then(span_id),
        name: text(json.get("Name")),
        kind: match json.get("SpanKind").and_then(Json::as_u64) {
            Some(2) => Kind::Server,
            Some(3) => Kind::Client,
            Some(4) => Kind::Producer,
            Some(5) => Kind::Consumer,
            _ => Kind::Internal,
        },
        start_ns,
        end_ns: time(json.get("EndTime")).unwrap_or(start_ns).max(start_ns),
        status: status(json.get("Status")),
        attributes: attributes(json.get("Attributes")),
        events: events(json.get("Events")),
        links: list(json.get("Links")).filter_map(link).collect(),
        resource: Arc::default(),
    })
}

/// A stub's resource.
pub(super) fn resource(json: &Json) -> Resource {
    let mut attributes = attributes(Some(json));
    let service = attributes
        .iter()
        .find(|(key, _)| key == "service.name")
        .map(|(_, value)| value.to_string());
    attributes.retain(|(key, _)| key != "service.name");
    Resource {
        service: service.unwrap_or_else(|| "buildkitd".to_owned()),
        attributes,
    }
}

fn trace_id(context: &Json) -> Option<TraceId> {
    context.get("TraceID")?.as_str()?.parse().ok()
}

fn span_id(context: &Json) -> Option<SpanId> {
    context.get("SpanID")?.as_str()?.parse().ok()
}

fn text(json: Option<&Json>) -> String {
    json.and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn list(json: Option<&Json>) -> impl Iterator<Item = &Json> {
    json.and_then(Json::as_array)
        .into_iter()
        .flatten()
        .take(ENTRIES)
}

/// Nanoseconds since the epoch.
fn time(json: Option<&Json>) -> Option<u64> {
    let time: jiff::Timestamp = json?.as_str()?.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok()
}

fn status(json: Option<&Json>) -> Status {
    // By number here; the Go SDK's own marshaller writes the names.
    let code = json.and_then(|status| status.get("Code"));
    match code.and_then(|code| code.as_u64().or(named(code))) {
        Some(1) => Status::Error(text(json.and_then(|status| status.get("Description")))),
        Some(2) => Status::Ok,
        _ => Status::Unset,
    }
}

fn named(code: &Json) -> Option<u64> {
    match code.as_str()? {
        "Error" => Some(1),
        "Ok" => Some(2),
        _ => None,
    }
}

fn events(json: Option<&Json>) -> Vec<Event> {
    let mut events: Vec<_> = list(json)
        .filter_map(|event| {
            Some(Event {
                name: text(event.get("Name")),
                at_ns: time(event.get("Time"))?,
                attributes: attributes(event.get("Attributes")),
            })
        })
        .collect();
    events.sort_by_key(|event| event.at_ns);
    events
}

fn link(json: &Json) -> Option<Link> {
    let context = json.get("SpanContext")?;
    Some(Link {
        trace: trace_id(context)?,
        span: span_id(context)?,
        attributes: attributes(json.get("Attributes")),
    })
}

fn attributes(json: Option<&Json>) -> Attributes {
    list(json)
        .filter_map(|pair| {
            let key = pair.get("Key")?.as_str()?.to_owned();
            Some((key, value(pair.get("Value")?)))
        })
        .collect()
}

/// A typed value; of a list, its JSON.
fn value(json: &Json) -> Value {
    let inner = json.get("Value").unwrap_or(&Json::Null);
    let typed = match json.get("Type").and_then(Json::as_str) {
        Some("BOOL") => inner.as_bool().map(Value::Bool),
        Some("INT64") => inner.as_i64().map(Value::Int),
        Some("FLOAT64") => inner.as_f64().map(Value::Float),
        _ => None,
    };
    typed.unwrap_or_else(|| match inner {
        Json::String(text) => Value::Str(text.clone()),
        Json::Null => Value::Str(String::new()),
        other => Value::Str(other.to_string()),
    })
}
