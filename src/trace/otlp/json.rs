//! Between OTLP's messages and its JSON (OTLP specification, "JSON Protobuf Encoding").
//!
//! Ids are hex, 64-bit numbers are texts, enums are numbers. Read are also numbers for texts, names of
//! enums, ids in base64, snake_case keys, and a file with one request a line, as the OpenTelemetry collector writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Deserializer, Value as Json, json};
use thiserror::Error;

use super::message;
use crate::proto::opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
use crate::proto::opentelemetry::proto::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use crate::proto::opentelemetry::proto::resource::v1::Resource;
use crate::proto::opentelemetry::proto::trace::v1::span::{Event, Link, SpanKind};
use crate::proto::opentelemetry::proto::trace::v1::status::StatusCode;
use crate::proto::opentelemetry::proto::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use crate::trace::model;

/// A text that is no OTLP JSON.
#[derive(Debug, Error)]
pub enum OtlpError {
    /// It is no JSON.
    #[error("this is no JSON")]
    Syntax(#[from] serde_json::Error),
    /// It is JSON of another kind.
    #[error("this is no OTLP JSON: it has no list `resourceSpans`")]
    Shape,
}

/// The spans as one request in OTLP JSON.
pub fn to_json(spans: &[model::Span]) -> Json {
    request_to_json(&message::request(spans))
}

/// The spans of a text: one request, or several one after another.
///
/// # Errors
/// When it is no JSON, or has no request in it.
pub fn from_json(text: &[u8]) -> Result<Vec<model::Span>, OtlpError> {
    let mut spans = Vec::new();
    let mut requests = 0;
    for json in Deserializer::from_slice(text).into_iter::<Json>() {
        spans.extend(message::spans(&request_from_json(&json?)?));
        requests += 1;
    }
    if requests == 0 {
        return Err(OtlpError::Shape);
    }
    Ok(spans)
}

/// A request as OTLP JSON.
pub fn request_to_json(request: &ExportTraceServiceRequest) -> Json {
    let entry = |entry: &ResourceSpans| {
        let of = entry.resource.clone().unwrap_or_default();
        json!({
            "resource": {"attributes": write_attributes(&of.attributes)},
            "scopeSpans": entry.scope_spans.iter().map(write_scope).collect::<Json>(),
        })
    };
    json!({"resourceSpans": request.resource_spans.iter().map(entry).collect::<Json>()})
}

fn write_scope(scope: &ScopeSpans) -> Json {
    let of = scope.scope.clone().unwrap_or_default();
    json!({
        "scope": {"name": of.name, "version": of.version},
        "spans": scope.spans.iter().map(write_span).collect::<Json>(),
    })
}

fn write_span(span: &Span) -> Json {
    let status = span.status.clone().unwrap_or_default();
    let events = span.events.iter().map(|event| {
        json!({
            "timeUnixNano": event.time_unix_nano.to_string(),
            "name": event.name,
            "attributes": write_attributes(&event.attributes),
        })
    });
    let links = span.links.iter().map(|link| {
        json!({
            "traceId": hex(&link.trace_id),
            "spanId": hex(&link.span_id),
            "attributes": write_attributes(&link.attributes),
        })
    });
    json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "parentSpanId": hex(&span.parent_span_id),
        "flags": span.flags,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_time_unix_nano.to_string(),
        "endTimeUnixNano": span.end_time_unix_nano.to_string(),
        "attributes": write_attributes(&span.attributes),
        "events": events.collect::<Json>(),
        "links": links.collect::<Json>(),
        "status": {"code": status.code, "message": status.message},
    })
}

fn write_attributes(pairs: &[KeyValue]) -> Json {
    pairs
        .iter()
        .map(|pair| json!({"key": pair.key, "value": write_value(pair.value.as_ref())}))
        .collect()
}

fn write_value(value: Option<&AnyValue>) -> Json {
    match value.and_then(|value| value.value.as_ref()) {
        None => json!({}),
        Some(any_value::Value::StringValue(text)) => json!({"stringValue": text}),
        Some(any_value::Value::BoolValue(truth)) => json!({"boolValue": truth}),
        Some(any_value::Value::IntValue(number)) => json!({"intValue": number.to_string()}),
        // JSON has no number for these; protobuf's has names.
        Some(any_value::Value::DoubleValue(number)) if !number.is_finite() => {
            let name = match (number.is_nan(), *number > 0.0) {
                (true, _) => "NaN",
                (false, true) => "Infinity",
                (false, false) => "-Infinity",
            };
            json!({"doubleValue": name})
        }
        Some(any_value::Value::DoubleValue(number)) => json!({"doubleValue": number}),
        Some(any_value::Value::BytesValue(bytes)) => {
            json!({"bytesValue": STANDARD.encode(bytes)})
        }
        Some(any_value::Value::ArrayValue(list)) => {
            let values = list.values.iter().map(|value| write_value(Some(value)));
            json!({"arrayValue": {"values": values.collect::<Json>()}})
        }
        Some(any_value::Value::KvlistValue(map)) => {
            json!({"kvlistValue": {"values": write_attributes(&map.values)}})
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request from its JSON. What cannot be read in it is left out.
///
/// # Errors
/// When it has no list of resources.
pub fn request_from_json(json: &Json) -> Result<ExportTraceServiceRequest, OtlpError> {
    let entries = field(json, "resourceSpans").and_then(Json::as_array);
    let entries = entries.ok_or(OtlpError::Shape)?;
    let entry = |entry: &Json| ResourceSpans {
        resource: field(entry, "resource").map(|resource| Resource {
            attributes: attributes(resource),
            dropped_attributes_count: 0,
        }),
        scope_spans: list(entry, "scopeSpans").map(scope).collect(),
        schema_url: String::new(),
    };
    Ok(ExportTraceServiceRequest {
        resource_spans: entries.iter().map(entry).collect(),
    })
}

fn scope(json: &Json) -> ScopeSpans {
    ScopeSpans {
        scope: field(json, "scope").map(|scope| InstrumentationScope {
            name: text(scope, "name"),
            version: text(scope, "version"),
            ..InstrumentationScope::default()
        }),
        spans: list(json, "spans").map(span).collect(),
        schema_url: String::new(),
    }
}

fn span(json: &Json) -> Span {
    Span {
        trace_id: id(json, "traceId"),
        span_id: id(json, "spanId"),
        trace_state: text(json, "traceState"),
        parent_span_id: id(json, "parentSpanId"),
        flags: u32::try_from(number(json, "flags")).unwrap_or(0),
        name: text(json, "name"),
        kind: enumerated(json, "kind", |name| {
            SpanKind::from_str_name(name).map(i32::from)
        }),
        start_time_unix_nano: number(json, "startTimeUnixNano"),
        end_time_unix_nano: number(json, "endTimeUnixNano"),
        attributes: attributes(json),
        events: list(json, "events")
            .map(|event| Event {
                time_unix_nano: number(event, "timeUnixNano"),
                name: text(event, "name"),
                attributes: attributes(event),
                dropped_attributes_count: 0,
            })
            .collect(),
        links: list(json, "links")
            .map(|link| Link {
                trace_id: id(link, "traceId"),
                span_id: id(link, "spanId"),
                attributes: attributes(link),
                ..Link::default()
            })
            .collect(),
        status: field(json, "status").map(|status| Status {
            message: text(status, "message"),
            code: enumerated(status, "code", |name| {
                StatusCode::from_str_name(name).map(i32::from)
            }),
        }),
        ..Span::default()
    }
}

/// A field by its name in camelCase, or in snake_case.
fn field<'a>(json: &'a Json, name: &str) -> Option<&'a Json> {
    let found = json.get(name).or_else(|| {
        let mut snake = String::with_capacity(name.len() + 2);
        for letter in name.chars() {
            if letter.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
        }
        json.get(&snake)
    });
    found.filter(|value| !value.is_null())
}

fn list<'a>(json: &'a Json, name: &str) -> impl Iterator<Item = &'a Json> {
    field(json, name)
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
}

fn text(json: &Json, name: &str) -> String {
    let text = field(json, name).and_then(Json::as_str);
    text.unwrap_or_default().to_owned()
}

fn number(json: &Json, name: &str) -> u64 {
    let number = field(json, name).and_then(|value| match value {
        Json::String(text) => text.parse().ok(),
        other => other.as_u64(),
    });
    number.unwrap_or(0)
}

fn enumerated(json: &Json, name: &str, by_name: impl Fn(&str) -> Option<i32>) -> i32 {
    let value = field(json, name).and_then(|value| match value {
        Json::String(text) => by_name(text),
        other => other.as_i64().and_then(|number| i32::try_from(number).ok()),
    });
    value.unwrap_or(0)
}

/// An id in hex, or in base64 as protobuf's own JSON has it; empty if it is none.
fn id(json: &Json, name: &str) -> Bytes {
    let text = text(json, name);
    // The lengths of 16 and 8 bytes in base64, which are no lengths of ids in hex.
    if matches!(text.len(), 24 | 12)
        && let Ok(bytes) = STANDARD.decode(&text)
    {
        return bytes.into();
    }
    let digits = text.as_bytes();
    let pairs = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    let plain = digits.iter().all(u8::is_ascii_hexdigit) && digits.len() <= 32;
    let bytes: Option<Vec<u8>> = plain.then(|| pairs.collect()).flatten();
    bytes.unwrap_or_default().into()
}

fn attributes(json: &Json) -> Vec<KeyValue> {
    key_values(json, "attributes")
}

fn key_values(json: &Json, name: &str) -> Vec<KeyValue> {
    list(json, name)
        .map(|pair| KeyValue {
            key: text(pair, "key"),
            value: field(pair, "value").map(value),
        })
        .collect()
}

/// A value; its depth is bounded by serde_json's own bound.
fn value(json: &Json) -> AnyValue {
    let texts = |name: &str| field(json, name).and_then(Json::as_str);
    let value = if let Some(text) = texts("stringValue") {
        Some(any_value::Value::StringValue(text.to_owned()))
    } else if let Some(truth) = field(json, "boolValue").and_then(Json::as_bool) {
        Some(any_value::Value::BoolValue(truth))
    } else if let Some(number) = field(json, "intValue") {
        let text = number.as_str().and_then(|text| text.parse().ok());
        number.as_i64().or(text).map(any_value::Value::IntValue)
    } else if let Some(number) = field(json, "doubleValue") {
        let named = number.as_str().and_then(|text| match text {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            "NaN" => Some(f64::NAN),
            text => text.parse().ok(),
        });
        number.as_f64().or(named).map(any_value::Value::DoubleValue)
    } else if let Some(text) = texts("bytesValue") {
        let bytes = STANDARD.decode(text).unwrap_or_default();
        Some(any_value::Value::BytesValue(bytes.into()))
    } else if let Some(list_of) = field(json, "arrayValue") {
        Some(any_value::Value::ArrayValue(ArrayValue {
            values: list(list_of, "values").map(self::value).collect(),
        }))
    } else {
        field(json, "kvlistValue").map(|map| {
            any_value::Value::KvlistValue(KeyValueList {
                values: key_values(map, "values"),
            })
        })
    };
    AnyValue { value }
}
