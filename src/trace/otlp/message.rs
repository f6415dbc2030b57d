//! Between the model and OTLP's messages.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value as Json;

use crate::proto::opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
use crate::proto::opentelemetry::proto::common::v1::{AnyValue, KeyValue, any_value};
use crate::proto::opentelemetry::proto::resource::v1 as resource;
use crate::proto::opentelemetry::proto::trace::v1 as otlp;
use crate::proto::opentelemetry::proto::trace::v1::span::SpanKind;
use crate::proto::opentelemetry::proto::trace::v1::status::StatusCode;
use crate::trace::model::{
    Attributes, Event, Kind, Link, Resource, Span, SpanId, Status, TraceId, Value,
};

/// Spans read of one request at most.
const SPANS: usize = 200_000;

/// Lists and maps in a value, one in another, at most; what is deeper is left out.
const DEPTH: usize = 16;

/// The flag of a span that is recorded (W3C Trace Context, 3.2.2.5.1).
const SAMPLED: u32 = 1;

/// What a request held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// The spans, in the request's order.
    pub spans: Vec<Span>,
    /// Spans that were left out: without an id, or beyond the limit.
    pub refused: usize,
}

/// The spans as one request, one entry a resource, in the order of their first spans.
pub fn request(spans: &[Span]) -> ExportTraceServiceRequest {
    let mut entries: Vec<(&Arc<Resource>, otlp::ResourceSpans)> = Vec::new();
    let mut by_place: HashMap<*const Resource, usize> = HashMap::new();
    for span in spans {
        let place = Arc::as_ptr(&span.resource);
        let at = *by_place.entry(place).or_insert_with(|| {
            // The same resource may have been made twice.
            let same = entries
                .iter()
                .position(|(known, _)| **known == span.resource);
            same.unwrap_or_else(|| {
                entries.push((&span.resource, resource_spans(&span.resource)));
                entries.len() - 1
            })
        });
        let scopes = entries.get_mut(at).map(|(_, entry)| &mut entry.scope_spans);
        if let Some(scope) = scopes.and_then(|scopes| scopes.first_mut()) {
            scope.spans.push(encoded(span));
        }
    }
    ExportTraceServiceRequest {
        resource_spans: entries.into_iter().map(|(_, entry)| entry).collect(),
    }
}

fn resource_spans(of: &Resource) -> otlp::ResourceSpans {
    let service = ("service.name".to_owned(), Value::Str(of.service.clone()));
    // Jaeger's exporters write the name also as a tag.
    let others = of.attributes.iter().filter(|(key, _)| *key != service.0);
    let attributes = std::iter::once(&service).chain(others);
    otlp::ResourceSpans {
        resource: Some(resource::Resource {
            attributes: attributes.map(key_value).collect(),
            dropped_attributes_count: 0,
        }),
        scope_spans: vec![otlp::ScopeSpans::default()],
        schema_url: String::new(),
    }
}

fn encoded(span: &Span) -> otlp::Span {
    let (code, message) = match &span.status {
        Status::Unset => (StatusCode::Unset, String::new()),
        Status::Ok => (StatusCode::Ok, String::new()),
        Status::Error(why) => (StatusCode::Error, why.clone()),
    };
    let kind = match span.kind {
        Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
    };
    otlp::Span {
        trace_id: bytes(span.trace.0.to_be_bytes()),
        span_id: bytes(span.id.0.to_be_bytes()),
        parent_span_id: span
            .parent
            .map_or_else(Bytes::new, |id| bytes(id.0.to_be_bytes())),
        flags: SAMPLED,
        name: span.name.clone(),
        kind: kind.into(),
        start_time_unix_nano: span.start_ns,
        end_time_unix_nano: span.end_ns,
        attributes: span.attributes.iter().map(key_value).collect(),
        events: span
            .events
            .iter()
            .map(|event| otlp::span::Event {
                time_unix_nano: event.at_ns,
                name: event.name.clone(),
                attributes: event.attributes.iter().map(key_value).collect(),
                dropped_attributes_count: 0,
            })
            .collect(),
        links: span
            .links
            .iter()
            .map(|link| otlp::span::Link {
                trace_id: bytes(link.trace.0.to_be_bytes()),
                span_id: bytes(link.span.0.to_be_bytes()),
                attributes: link.attributes.iter().map(key_value).collect(),
                ..otlp::span::Link::default()
            })
            .collect(),
        status: Some(otlp::Status {
            message,
            code: code.into(),
        }),
        ..otlp::Span::default()
    }
}

fn bytes<const N: usize>(bytes: [u8; N]) -> Bytes {
    Bytes::copy_from_slice(&bytes)
}

fn key_value((key, value): &(String, Value)) -> KeyValue {
    let value = match value {
        Value::Str(text) => any_value::Value::StringValue(text.clone()),
        Value::Bool(truth) => any_value::Value::BoolValue(*truth),
        Value::Int(number) => any_value::Value::IntValue(*number),
        Value::Float(number) => any_value::Value::DoubleValue(*number),
    };
    KeyValue {
        key: key.clone(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

/// The spans of a request.
pub fn spans(request: &ExportTraceServiceRequest) -> Vec<Span> {
    read(request).spans
}

/// The spans of a request, and how many were left out.
pub fn read(request: &ExportTraceServiceRequest) -> Read {
    let mut read = Read::default();
    for entry in &request.resource_spans {
        let of = Arc::new(resource_of(entry.resource.as_ref()));
        for span in entry.scope_spans.iter().flat_map(|scope| &scope.spans) {
            match decoded(span, &of) {
                Some(span) if read.spans.len() < SPANS => read.spans.push(span),
                _ => read.refused += 1,
            }
        }
    }
    read
}

fn resource_of(entry: Option<&resource::Resource>) -> Resource {
    let mut attributes = entry.map_or_else(Vec::new, |entry| attributes(&entry.attributes));
    let service = attributes
        .iter()
        .find(|(key, _)| key == "service.name")
        .map(|(_, value)| value.to_string());
    attributes.retain(|(key, _)| key != "service.name");
    Resource {
        // As the specification has it for a service that does not say.
        service: service.unwrap_or_else(|| "unknown_service".to_owned()),
        attributes,
    }
}

fn decoded(span: &otlp::Span, resource: &Arc<Resource>) -> Option<Span> {
    let mut events: Vec<_> = span
        .events
        .iter()
        .map(|event| Event {
            name: event.name.clone(),
            at_ns: event.time_unix_nano,
            attributes: attributes(&event.attributes),
        })
        .collect();
    events.sort_by_key(|event| event.at_ns);
    Some(Span {
        trace: trace_id(&span.trace_id)?,
        id: span_id(&span.span_id)?,
        parent: span_id(&span.parent_span_id),
        name: span.name.clone(),
        kind: match span.kind() {
            SpanKind::Unspecified | SpanKind::Internal => Kind::Internal,
            SpanKind::Server => Kind::Server,
            SpanKind::Client => Kind::Client,
            SpanKind::Producer => Kind::Producer,
            SpanKind::Consumer => Kind::Consumer,
        },
        start_ns: span.start_time_unix_nano,
        end_ns: span.end_time_unix_nano.max(span.start_time_unix_nano),
        status: match &span.status {
            Some(status) => match status.code() {
                StatusCode::Unset => Status::Unset,
                StatusCode::Ok => Status::Ok,
                StatusCode::Error => Status::Error(status.message.clone()),
            },
            None => Status::Unset,
        },
        attributes: attributes(&span.attributes),
        events,
        links: span
            .links
            .iter()
            .filter_map(|link| {
                Some(Link {
                    trace: trace_id(&link.trace_id)?,
                    span: span_id(&link.span_id)?,
                    attributes: attributes(&link.attributes),
                })
            })
            .collect(),
        resource: resource.clone(),
    })
}

fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    let id = u128::from_be_bytes(bytes.try_into().ok()?);
    (id != 0).then_some(TraceId(id))
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    let id = u64::from_be_bytes(bytes.try_into().ok()?);
    (id != 0).then_some(SpanId(id))
}

fn attributes(pairs: &[KeyValue]) -> Attributes {
    pairs
        .iter()
        .map(|pair| {
            let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
            let value = match value {
                None => Value::Str(String::new()),
                Some(any_value::Value::StringValue(text)) => Value::Str(text.clone()),
                Some(any_value::Value::BoolValue(truth)) => Value::Bool(*truth),
                Some(any_value::Value::IntValue(number)) => Value::Int(*number),
                Some(any_value::Value::DoubleValue(number)) => Value::Float(*number),
                Some(any_value::Value::BytesValue(bytes)) => Value::Str(STANDARD.encode(bytes)),
                // As Jaeger does: a list or a map is text that holds JSON.
                Some(deep) => Value::Str(plain(deep, DEPTH).to_string()),
            };
            (pair.key.clone(), value)
        })
        .collect()
}

/// A value as plain JSON.
fn plain(value: &any_value::Value, depth: usize) -> Json {
    let inner = |value: &AnyValue| match (&value.value, depth.checked_sub(1)) {
        (Some(value), Some(depth)) => plain(value, depth),
        _ => Json::Null,
    };
    match value {
        any_value::Value::StringValue(text) => Json::from(text.as_str()),
        any_value::Value::BoolValue(truth) => Json::from(*truth),
        any_value::Value::IntValue(number) => Json::from(*number),
        any_value::Value::DoubleValue(number) => Json::from(*number),
        any_value::Value::BytesValue(bytes) => Json::from(STANDARD.encode(bytes)),
        any_value::Value::ArrayValue(list) => list.values.iter().map(inner).collect(),
        any_value::Value::KvlistValue(map) => Json::Object(
            map.values
                .iter()
                .map(|pair| {
                    let value = pair.value.as_ref().map_or(Json::Null, inner);
                    (pair.key.clone(), value)
                })
                .collect(),
        ),
    }
}
