//! Spans as OTLP's JSON, written as it goes: of a large trace neither messages nor a tree are made.

use std::collections::HashMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::trace::model::{Attributes, Event, Kind, Link, Resource, Span, Status, Value};

/// One entry of the list `resourceSpans`: a resource with its spans.
#[derive(Debug)]
pub struct Entry<'a> {
    resource: &'a Resource,
    spans: Vec<&'a Span>,
}

/// The spans by their resources, in the order of the first of each.
pub fn entries(spans: &[Span]) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut by_place: HashMap<*const Resource, usize> = HashMap::new();
    for span in spans {
        let place = std::sync::Arc::as_ptr(&span.resource);
        let at = *by_place.entry(place).or_insert_with(|| {
            // The same resource may have been made twice.
            let same = entries
                .iter()
                .position(|known| *known.resource == *span.resource);
            same.unwrap_or_else(|| {
                entries.push(Entry {
                    resource: &span.resource,
                    spans: Vec::new(),
                });
                entries.len() - 1
            })
        });
        if let Some(entry) = entries.get_mut(at) {
            entry.spans.push(span);
        }
    }
    entries
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let service = Value::Str(self.resource.service.clone());
        let mut attributes = vec![Pair("service.name", &service)];
        // Jaeger's exporters write the name also as a tag.
        attributes.extend(pairs(&self.resource.attributes).filter(|pair| pair.0 != "service.name"));
        let spans: Vec<_> = self.spans.iter().map(|span| SpanJson(span)).collect();
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("resource", &Object([("attributes", attributes)]))?;
        map.serialize_entry("scopeSpans", &[Scope(spans)])?;
        map.end()
    }
}

struct Scope<'a>(Vec<SpanJson<'a>>);

impl Serialize for Scope<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("scope", &Object([("name", ""), ("version", "")]))?;
        map.serialize_entry("spans", &self.0)?;
        map.end()
    }
}

struct SpanJson<'a>(&'a Span);

impl Serialize for SpanJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let span = self.0;
        let parent = span.parent.map(|id| id.to_string()).unwrap_or_default();
        // As the numbers of the enums are (`SpanKind`, `StatusCode`).
        let kind = match span.kind {
            Kind::Internal => 1,
            Kind::Server => 2,
            Kind::Client => 3,
            Kind::Producer => 4,
            Kind::Consumer => 5,
        };
        let (code, message) = match &span.status {
            Status::Unset => (0, ""),
            Status::Ok => (1, ""),
            Status::Error(why) => (2, why.as_str()),
        };
        let events: Vec<_> = span.events.iter().map(EventJson).collect();
        let links: Vec<_> = span.links.iter().map(LinkJson).collect();
        let mut map = to.serialize_map(Some(12))?;
        map.serialize_entry("traceId", &span.trace.to_string())?;
        map.serialize_entry("spanId", &span.id.to_string())?;
        map.serialize_entry("parentSpanId", &parent)?;
        map.serialize_entry("flags", &1)?;
        map.serialize_entry("name", &span.name)?;
        map.serialize_entry("kind", &kind)?;
        map.serialize_entry("startTimeUnixNano", &span.start_ns.to_string())?;
        map.serialize_entry("endTimeUnixNano", &span.end_ns.to_string())?;
        map.serialize_entry("attributes", &list(&span.attributes))?;
        map.serialize_entry("events", &events)?;
        map.serialize_entry("links", &links)?;
        map.serialize_entry("status", &StatusJson(code, message))?;
        map.end()
    }
}

struct StatusJson<'a>(u8, &'a str);

impl Serialize for StatusJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("code", &self.0)?;
        map.serialize_entry("message", self.1)?;
        map.end()
    }
}

struct EventJson<'a>(&'a Event);

impl Serialize for EventJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(3))?;
        map.serialize_entry("timeUnixNano", &self.0.at_ns.to_string())?;
        map.serialize_entry("name", &self.0.name)?;
        map.serialize_entry("attributes", &list(&self.0.attributes))?;
        map.end()
    }
}

struct LinkJson<'a>(&'a Link);

impl Serialize for LinkJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(3))?;
        map.serialize_entry("traceId", &self.0.trace.to_string())?;
        map.serialize_entry("spanId", &self.0.span.to_string())?;
        map.serialize_entry("attributes", &list(&self.0.attributes))?;
        map.end()
    }
}

fn pairs(attributes: &Attributes) -> impl Iterator<Item = Pair<'_>> {
    attributes.iter().map(|(key, value)| Pair(key, value))
}

fn list(attributes: &Attributes) -> Vec<Pair<'_>> {
    pairs(attributes).collect()
}

struct Pair<'a>(&'a str, &'a Value);

impl Serialize for Pair<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("key", self.0)?;
        match self.1 {
            Value::Str(text) => map.serialize_entry("value", &Object([("stringValue", text)]))?,
            Value::Bool(truth) => map.serialize_entry("value", &Object([("boolValue", truth)]))?,
            Value::Int(number) => {
                map.serialize_entry("value", &Object([("intValue", number.to_string())]))?;
            }
            Value::Float(number) if number.is_finite() => {
                map.serialize_entry("value", &Object([("doubleValue", number)]))?;
            }
            // JSON has no number for these; protobuf's has names.
            Value::Float(number) => {
                let name = match (number.is_nan(), *number > 0.0) {
                    (true, _) => "NaN",
                    (false, true) => "Infinity",
                    (false, false) => "-Infinity",
                };
                map.serialize_entry("value", &Object([("doubleValue", name)]))?;
            }
        }
        map.end()
    }
}

/// An object with these entries.
struct Object<T, const N: usize>([(&'static str, T); N]);

impl<T: Serialize, const N: usize> Serialize for Object<T, N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}
