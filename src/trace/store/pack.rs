//! Attributes, events and links as the JSON of a column, and back.
//!
//! An attribute is `[key, value]`, an event `[name, at_ns, attributes]`, a link
//! `[trace, span, attributes]`. A float that JSON cannot say is `{"f": "NaN"}` and its like.

use serde_json::{Value as Json, json};

use crate::trace::model::{Attributes, Event, Link, Value};

pub(super) fn attributes(attributes: &Attributes) -> Json {
    attributes
        .iter()
        .map(|(key, value)| json!([key, of_value(value)]))
        .collect()
}

pub(super) fn events(events: &[Event]) -> Json {
    events
        .iter()
        .map(|event| json!([event.name, event.at_ns, attributes(&event.attributes)]))
        .collect()
}

pub(super) fn links(links: &[Link]) -> Json {
    links
        .iter()
        .map(|link| {
            json!([
                link.trace.to_string(),
                link.span.to_string(),
                attributes(&link.attributes)
            ])
        })
        .collect()
}

fn of_value(value: &Value) -> Json {
    match value {
        Value::Str(text) => json!(text),
        Value::Bool(truth) => json!(truth),
        Value::Int(number) => json!(number),
        Value::Float(number) if number.is_finite() => json!(number),
        Value::Float(number) => json!({"f": number.to_string()}),
    }
}

/// What cannot be read is left out: a damaged column must not hide the span.
pub(super) fn to_attributes(json: &Json) -> Attributes {
    let pair = |pair: &Json| {
        let key = pair.get(0)?.as_str()?.to_owned();
        Some((key, to_value(pair.get(1)?)?))
    };
    list(json).filter_map(pair).collect()
}

pub(super) fn to_events(json: &Json) -> Vec<Event> {
    let event = |event: &Json| {
        Some(Event {
            name: event.get(0)?.as_str()?.to_owned(),
            at_ns: event.get(1)?.as_u64()?,
            attributes: to_attributes(event.get(2)?),
        })
    };
    list(json).filter_map(event).collect()
}

pub(super) fn to_links(json: &Json) -> Vec<Link> {
    let link = |link: &Json| {
        Some(Link {
            trace: link.get(0)?.as_str()?.parse().ok()?,
            span: link.get(1)?.as_str()?.parse().ok()?,
            attributes: to_attributes(link.get(2)?),
        })
    };
    list(json).filter_map(link).collect()
}

fn list(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().into_iter().flatten()
}

fn to_value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::String(text) => Value::Str(text.clone()),
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Float(number.as_f64()?),
        },
        other => Value::Float(other.get("f")?.as_str()?.parse().ok()?),
    })
}
