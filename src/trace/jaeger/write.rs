//! Spans as Jaeger's JSON: the inverse of what [`decode`](super::decode) reads.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::trace::model::{
    Attributes, Event, Kind, Resource, Span, SpanId, Status, TraceId, Value,
};

/// The largest whole number that JavaScript holds exactly; Jaeger sends those beyond as text.
const SAFE: u64 = 9_007_199_254_740_991;

/// One element of the list `data`: a trace with these spans, in their order.
pub fn to_json(trace: TraceId, spans: &[Span]) -> Json {
    let mut known: Vec<&Resource> = Vec::new();
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    let mut written = Vec::with_capacity(spans.len());
    for span in spans {
        let address = std::sync::Arc::as_ptr(&span.resource) as usize;
        let place = *places.entry(address).or_insert_with(|| {
            let same = known.iter().position(|other| **other == *span.resource);
            same.unwrap_or_else(|| {
                known.push(&span.resource);
                known.len() - 1
            })
        });
        written.push(span_json(span, &format!("p{}", place + 1)));
    }
    let processes: Map<String, Json> = (1..)
        .zip(known)
        .map(|(number, resource): (usize, _)| (format!("p{number}"), process(resource)))
        .collect();
    json!({
        "traceID": trace_id(trace),
        "spans": written,
        "processes": processes,
        "warnings": null,
    })
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

fn span_json(span: &Span, process: &str) -> Json {
    let parent = span
        .parent
        .map(|parent| reference("CHILD_OF", span.trace, parent));
    let links = span
        .links
        .iter()
        .map(|link| reference("FOLLOWS_FROM", link.trace, link.span));
    let references: Vec<Json> = parent.into_iter().chain(links).collect();
    json!({
        "traceID": trace_id(span.trace),
        "spanID": span.id.to_string(),
        "flags": 1,
        "operationName": span.name,
        "references": references,
        "startTime": span.start_ns / 1_000,
        // Cut before it is subtracted: the end is then that of the two cut times.
        "duration": (span.end_ns / 1_000).saturating_sub(span.start_ns / 1_000),
        "tags": list(&tags(span)),
        "logs": span.events.iter().map(log).collect::<Vec<_>>(),
        "processID": process,
        "warnings": null,
    })
}

fn reference(kind: &str, trace: TraceId, span: SpanId) -> Json {
    json!({"refType": kind, "traceID": trace_id(trace), "spanID": span.to_string()})
}

fn log(event: &Event) -> Json {
    let name = (!event.name.is_empty())
        .then(|| tag("event", &Value::Str(event.name.clone())))
        .into_iter();
    let fields: Vec<Json> = name.chain(list(&event.attributes)).collect();
    json!({"timestamp": event.at_ns / 1_000, "fields": fields})
}

fn process(resource: &Resource) -> Json {
    json!({"serviceName": resource.service, "tags": list(&resource.attributes)})
}

fn list(attributes: &Attributes) -> Vec<Json> {
    attributes
        .iter()
        .map(|(key, value)| tag(key, value))
        .collect()
}

fn tag(key: &str, value: &Value) -> Json {
    let (kind, value) = match value {
        Value::Str(text) => ("string", json!(text)),
        Value::Bool(truth) => ("bool", json!(truth)),
        Value::Int(number) if number.unsigned_abs() > SAFE => ("int64", json!(number.to_string())),
        Value::Int(number) => ("int64", json!(number)),
        Value::Float(number) if number.is_finite() => ("float64", json!(number)),
        Value::Float(number) => ("float64", json!(number.to_string())),
    };
    json!({"key": key, "type": kind, "value": value})
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!(tag("n", &Value::Int(1 << 53))["value"], "9007199254740992");
        assert_eq!(tag("n", &Value::Int(-3))["value"], -3);
        assert_eq!(trace_id(TraceId(0xabc)), "0000000000000abc");
    }
}
