//! Spans as Jaeger's JSON: the inverse of what [`decode`](super::decode) reads.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value as Json;

use crate::trace::model::{
    Attributes, Event, Kind, Resource, Span, SpanId, Status, TraceId, Value,
};

/// The largest whole number that JavaScript holds exactly; Jaeger sends those beyond as text.
const SAFE: u64 = 9_007_199_254_740_991;

/// One element of the list `data`: a trace with these spans, in their order. It is written as it goes: a
/// large trace is never in memory as a tree.
#[derive(Debug)]
pub struct Trace<'a> {
    id: TraceId,
    spans: &'a [Span],
    sorted: bool,
    /// The process of each span, and the processes.
    places: Vec<usize>,
    known: Vec<&'a Resource>,
}

impl<'a> Trace<'a> {
    /// As it is stored.
    pub fn new(id: TraceId, spans: &'a [Span]) -> Self {
        let mut known: Vec<&Resource> = Vec::new();
        let mut by_address: BTreeMap<usize, usize> = BTreeMap::new();
        let place = |span: &'a Span| {
            let address = std::sync::Arc::as_ptr(&span.resource) as usize;
            *by_address.entry(address).or_insert_with(|| {
                let same = known.iter().position(|other| **other == *span.resource);
                same.unwrap_or_else(|| {
                    known.push(&span.resource);
                    known.len() - 1
                })
            })
        };
        let places = spans.iter().map(place).collect();
        Self {
            id,
            spans,
            sorted: false,
            places,
            known,
        }
    }

    /// With tags and fields in order of their keys.
    pub fn sorted(mut self) -> Self {
        self.sorted = true;
        self
    }
}

impl Serialize for Trace<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let spans = self.spans.iter().zip(&self.places);
        let spans = spans.map(|(span, place)| SpanJson {
            span,
            process: place + 1,
            sorted: self.sorted,
        });
        let processes = (1..)
            .zip(&self.known)
            .map(|(number, resource): (usize, _)| {
                let process = Process {
                    resource,
                    sorted: self.sorted,
                };
                (format!("p{number}"), process)
            });
        let mut map = to.serialize_map(Some(4))?;
        map.serialize_entry("traceID", &trace_id(self.id))?;
        map.serialize_entry("spans", &Sequence::new(spans))?;
        map.serialize_entry("processes", &Mapping::new(processes))?;
        map.serialize_entry("warnings", &())?;
        map.end()
    }
}

/// The same as a tree.
pub fn to_json(trace: TraceId, spans: &[Span]) -> Json {
    serde_json::to_value(Trace::new(trace, spans)).unwrap_or_default()
}

/// A trace's id as Jaeger prints it: 16 digits if the high half is zero.
pub fn trace_id(trace: TraceId) -> String {
    match u64::try_from(trace.0) {
        Ok(low) => format!("{low:016x}"),
        Err(_) => trace.to_string(),
    }
}

/// A span's attributes, with those in which Jaeger keeps kind and status.
pub fn tags(span: &Span) -> Attributes {
    let mut tags = span.attributes.clone();
    let mut text = |key: &str, value: &str| tags.push((key.into(), Value::Str(value.into())));
    match span.kind {
        Kind::Internal => {}
        Kind::Client => text("span.kind", "client"),
        Kind::Server => text("span.kind", "server"),
        Kind::Producer => text("span.kind", "producer"),
        Kind::Consumer => text("span.kind", "consumer"),
    }
    match &span.status {
        Status::Unset => {}
        Status::Ok => text("otel.status_code", "OK"),
        Status::Error(description) => {
            text("otel.status_code", "ERROR");
            if !description.is_empty() {
                text("otel.status_description", description);
            }
            tags.push(("error".into(), Value::Bool(true)));
        }
    }
    tags
}

struct SpanJson<'a> {
    span: &'a Span,
    process: usize,
    sorted: bool,
}

impl Serialize for SpanJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let span = self.span;
        let parent = span
            .parent
            .map(|parent| Reference("CHILD_OF", span.trace, parent));
        let links = span
            .links
            .iter()
            .map(|link| Reference("FOLLOWS_FROM", link.trace, link.span));
        let logs = span.events.iter().map(|event| Log(event, self.sorted));
        let (start_us, end_us) = (span.start_ns / 1_000, span.end_ns / 1_000);
        let mut map = to.serialize_map(Some(11))?;
        map.serialize_entry("traceID", &trace_id(span.trace))?;
        map.serialize_entry("spanID", &span.id.to_string())?;
        map.serialize_entry("flags", &1)?;
        map.serialize_entry("operationName", &span.name)?;
        map.serialize_entry(
            "references",
            &Sequence::new(parent.into_iter().chain(links)),
        )?;
        map.serialize_entry("startTime", &start_us)?;
        // Cut before it is subtracted: the end is then that of the two cut times.
        map.serialize_entry("duration", &end_us.saturating_sub(start_us))?;
        map.serialize_entry("tags", &tag_list(&tags(span), self.sorted))?;
        map.serialize_entry("logs", &Sequence::new(logs))?;
        map.serialize_entry("processID", &format!("p{}", self.process))?;
        map.serialize_entry("warnings", &())?;
        map.end()
    }
}

struct Reference(&'static str, TraceId, SpanId);

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(kind, trace, span) = self;
        let mut map = to.serialize_map(Some(3))?;
        map.serialize_entry("refType", kind)?;
        map.serialize_entry("traceID", &trace_id(*trace))?;
        map.serialize_entry("spanID", &span.to_string())?;
        map.end()
    }
}

struct Log<'a>(&'a Event, bool);

impl Serialize for Log<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(event, sorted) = self;
        let name = Value::Str(event.name.clone());
        let name = (!event.name.is_empty()).then_some(Tag("event", &name));
        let others = event.attributes.iter().map(|(key, value)| Tag(key, value));
        let mut fields: Vec<Tag<'_>> = name.into_iter().chain(others).collect();
        if *sorted {
            fields.sort_by_key(|tag| tag.0);
        }
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("timestamp", &(event.at_ns / 1_000))?;
        map.serialize_entry("fields", &fields)?;
        map.end()
    }
}

struct Process<'a> {
    resource: &'a Resource,
    sorted: bool,
}

impl Serialize for Process<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("serviceName", &self.resource.service)?;
        map.serialize_entry("tags", &tag_list(&self.resource.attributes, self.sorted))?;
        map.end()
    }
}

fn tag_list(attributes: &Attributes, sorted: bool) -> Vec<Tag<'_>> {
    let mut tags: Vec<_> = attributes
        .iter()
        .map(|(key, value)| Tag(key, value))
        .collect();
    if sorted {
        tags.sort_by_key(|tag| tag.0);
    }
    tags
}

struct Tag<'a>(&'a str, &'a Value);

impl Serialize for Tag<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(3))?;
        map.serialize_entry("key", self.0)?;
        match self.1 {
            Value::Str(text) => {
                map.serialize_entry("type", "string")?;
                map.serialize_entry("value", text)?;
            }
            Value::Bool(truth) => {
                map.serialize_entry("type", "bool")?;
                map.serialize_entry("value", truth)?;
            }
            Value::Int(number) => {
                map.serialize_entry("type", "int64")?;
                if number.unsigned_abs() > SAFE {
                    map.serialize_entry("value", &number.to_string())?;
                } else {
                    map.serialize_entry("value", number)?;
                }
            }
            Value::Float(number) => {
                map.serialize_entry("type", "float64")?;
                if number.is_finite() {
                    map.serialize_entry("value", number)?;
                } else {
                    map.serialize_entry("value", &number.to_string())?;
                }
            }
        }
        map.end()
    }
}

/// A list that is made while it is written; once.
struct Sequence<I>(RefCell<Option<I>>);

impl<I> Sequence<I> {
    fn new(items: I) -> Self {
        Self(RefCell::new(Some(items)))
    }
}

impl<I: Iterator<Item: Serialize>> Serialize for Sequence<I> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.take().into_iter().flatten())
    }
}

/// The same for a map.
struct Mapping<I>(RefCell<Option<I>>);

impl<I> Mapping<I> {
    fn new(entries: I) -> Self {
        Self(RefCell::new(Some(entries)))
    }
}

impl<K: Serialize, V: Serialize, I: Iterator<Item = (K, V)>> Serialize for Mapping<I> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.take().into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::trace::jaeger::decode;

    const SAMPLE: &[u8] = include_bytes!("../../../tests/fixtures/traces/buildctl-build.json");

    #[test]
    fn what_is_written_is_read_back() {
        let trace: TraceId = "9078779b6155c559f6ce1eea10bf1044".parse().unwrap();
        let read = decode(SAMPLE, trace).unwrap().unwrap().spans;
        let body = json!({"data": [to_json(trace, &read)]}).to_string();
        assert_eq!(decode(body.as_bytes(), trace).unwrap().unwrap().spans, read);
    }

    #[test]
    fn numbers_beyond_the_safe_range_are_text() {
        let tag = |number| serde_json::to_value(Tag("n", &Value::Int(number))).unwrap();
        assert_eq!(tag(1 << 53)["value"], "9007199254740992");
        assert_eq!(tag(-3)["value"], -3);
        assert_eq!(trace_id(TraceId(0xabc)), "0000000000000abc");
    }
}
