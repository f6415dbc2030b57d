//! One span of an answer: Jaeger's JSON into the model.
//!
//! Tags in which OpenTelemetry's exporters keep kind and status become fields of the model; times go
//! from microseconds to nanoseconds. Elsewhere: reading tags and logs, which are most of a span (`tags`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::node::Node;
use super::tags::{RawSpan, tags};
use crate::trace::model::{
    Attributes, Event, Kind, Link, Resource, Span, SpanId, Status, TraceId, Value,
};

/// Reads a span; what has no readable id is none.
pub(super) fn read(raw: RawSpan<'_>, resource: Arc<Resource>) -> Result<Span, String> {
    let json = &raw.rest;
    let trace: TraceId = id(json, "traceID")?;
    let span: SpanId = id(json, "spanID")?;
    let start_us = micros(json.get("startTime"));
    let end_us = start_us.saturating_add(micros(json.get("duration")));
    let mut attributes = raw.tags;
    let (kind, status) = take_kind_and_status(&mut attributes);
    let mut events = raw.logs;
    events.sort_by_key(|event| event.at_ns);
    let parent = parent(json, trace);
    Ok(Span {
        trace,
        id: span,
        parent,
        name: text(json.get("operationName")).to_owned(),
        kind,
        start_ns: start_us.saturating_mul(1_000),
        end_ns: end_us.saturating_mul(1_000),
        status,
        attributes,
        events,
        links: links(json, trace, parent),
        resource,
    })
}

/// The processes of a trace, by their keys; of what is no object there are none.
pub(super) fn processes(json: &Node<'_>) -> HashMap<String, Arc<Resource>> {
    let Node::Object(fields) = json else {
        return HashMap::new();
    };
    let read = |(key, process): &(Cow<'_, str>, Node<'_>)| {
        (key.as_ref().to_owned(), Arc::new(resource(process)))
    };
    fields.iter().map(read).collect()
}

/// Reads a process.
pub(super) fn resource(json: &Node<'_>) -> Resource {
    Resource {
        service: text(json.get("serviceName")).to_owned(),
        attributes: tags(json.get("tags")),
    }
}

fn id<T: std::str::FromStr>(json: &Node<'_>, key: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    text(json.get(key))
        .parse()
        .map_err(|error| format!("`{key}`: {error}"))
}

/// The parent in the same trace: `CHILD_OF`, else `FOLLOWS_FROM`, else the deprecated field.
/// References into other traces are links.
fn parent(json: &Node<'_>, trace: TraceId) -> Option<SpanId> {
    let of_type = |wanted: &str| {
        list(json.get("references"))
            .filter(|reference| text(reference.get("refType")) == wanted)
            .filter(|reference| id::<TraceId>(reference, "traceID").is_ok_and(|id| id == trace))
            .find_map(|reference| id(reference, "spanID").ok())
    };
    of_type("CHILD_OF")
        .or_else(|| of_type("FOLLOWS_FROM"))
        .or_else(|| id(json, "parentSpanID").ok())
}

/// Every reference but the one that is the parent.
fn links(json: &Node<'_>, trace: TraceId, parent: Option<SpanId>) -> Vec<Link> {
    list(json.get("references"))
        .filter_map(|reference| {
            Some(Link {
                trace: id(reference, "traceID").ok()?,
                span: id(reference, "spanID").ok()?,
                attributes: Attributes::new(),
            })
        })
        .filter(|link| link.trace != trace || Some(link.span) != parent)
        .collect()
}

/// An event, of the time and the fields of a log.
pub(super) fn event(timestamp: Option<&Node<'_>>, mut fields: Attributes) -> Event {
    Event {
        name: take_event_name(&mut fields),
        at_ns: micros(timestamp).saturating_mul(1_000),
        attributes: fields,
    }
}

/// Takes the field that is the event's name out of its attributes.
pub(in crate::trace) fn take_event_name(attributes: &mut Attributes) -> String {
    // OpenTelemetry's exporters say `event`; others say `message` or `name`.
    let named = ["event", "message", "name"]
        .iter()
        .find_map(|key| attributes.iter().position(|(name, _)| name == key));
    let name = named.map(|at| attributes.remove(at).1.to_string());
    name.unwrap_or_default()
}

/// Takes the tags that stand for kind and status out of the attributes.
pub(in crate::trace) fn take_kind_and_status(attributes: &mut Attributes) -> (Kind, Status) {
    let mut kind = Kind::Internal;
    let (mut error, mut ok, mut description) = (false, false, String::new());
    attributes.retain(|(key, value)| {
        match (key.as_str(), value) {
            ("span.kind", Value::Str(text)) => kind = span_kind(text),
            ("error", Value::Bool(truth)) => error |= truth,
            ("error", Value::Str(text)) if text == "true" || text == "false" => {
                error |= text == "true";
            }
            ("otel.status_code", Value::Str(code)) => {
                error |= code == "ERROR";
                ok |= code == "OK";
            }
            ("otel.status_description", Value::Str(text)) => description.clone_from(text),
            ("internal.span.format", _) => {}
            _ => return true,
        }
        false
    });
    let status = match (error, ok) {
        (true, _) => Status::Error(description),
        (false, true) => Status::Ok,
        (false, false) => Status::Unset,
    };
    (kind, status)
}

fn span_kind(text: &str) -> Kind {
    match text {
        "client" => Kind::Client,
        "server" => Kind::Server,
        "producer" => Kind::Producer,
        "consumer" => Kind::Consumer,
        _ => Kind::Internal,
    }
}

/// A tag's value by its type, and whether it is of another; such a one stays text.
pub(super) fn value(kind: &str, json: Option<Node<'_>>) -> (Value, bool) {
    let Some(json) = json else {
        return (Value::Str(String::new()), false);
    };
    let typed = match kind {
        "bool" => truth(&json).map(Value::Bool),
        "int64" => whole(&json).map(Value::Int),
        "float64" => real(&json).map(Value::Float),
        "string" | "binary" => None,
        _ => match &json {
            Node::Bool(truth) => Some(Value::Bool(*truth)),
            Node::Number(_) => whole(&json)
                .map(Value::Int)
                .or_else(|| real(&json).map(Value::Float)),
            _ => None,
        },
    };
    if let Some(value) = typed {
        return (value, false);
    }
    let wants_text = !matches!(kind, "bool" | "int64" | "float64");
    match json {
        Node::Text(text) => (Value::Str(text.into_owned()), !wants_text),
        Node::Null => (Value::Str(String::new()), false),
        other => (Value::Str(other.to_string()), true),
    }
}

fn truth(json: &Node<'_>) -> Option<bool> {
    match json {
        Node::Bool(truth) => Some(*truth),
        Node::Text(text) => text.parse().ok(),
        Node::Number(number) => number.as_i64().map(|number| number != 0),
        _ => None,
    }
}

/// Jaeger sends whole numbers beyond JavaScript's safe range as text.
fn whole(json: &Node<'_>) -> Option<i64> {
    match json {
        Node::Number(number) => number.as_i64().or_else(|| {
            let real = number.as_f64()?;
            // Only what a double holds exactly.
            (real.fract() == 0.0 && real.abs() <= 9_007_199_254_740_992.0).then_some(real as i64)
        }),
        Node::Text(text) => text.parse().ok(),
        Node::Bool(truth) => Some(i64::from(*truth)),
        _ => None,
    }
}

fn real(json: &Node<'_>) -> Option<f64> {
    match json {
        Node::Number(number) => number.as_f64(),
        Node::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// A time or a length in microseconds; 0 for what is none.
fn micros(json: Option<&Node<'_>>) -> u64 {
    match json {
        Some(Node::Number(number)) => number
            .as_u64()
            // A cast from float saturates, and makes 0 of negatives and of no number.
            .or_else(|| number.as_f64().map(|real| real as u64))
            .unwrap_or_default(),
        Some(Node::Text(text)) => text.parse().unwrap_or_default(),
        _ => 0,
    }
}

pub(super) fn text<'j>(json: Option<&'j Node<'_>>) -> &'j str {
    json.and_then(Node::as_str).unwrap_or_default()
}

/// The items of a list; `null` and what is no list have none.
pub(super) fn list<'j, 'a>(json: Option<&'j Node<'a>>) -> impl Iterator<Item = &'j Node<'a>> {
    json.and_then(Node::as_list).into_iter().flatten()
}
