//! From our spans to the exporter crate's.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationLibrary, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::export::trace::SpanData;
use opentelemetry_sdk::trace::{Config, SpanEvents, SpanLinks};

use crate::trace::model::{self, Attributes, Kind, Span, Value};

/// Jaeger warns of spans without a length, so every span has at least this one.
const SHORTEST: Duration = Duration::from_micros(1);

/// A span as the exporter crate takes it.
pub(super) fn span(span: &Span) -> SpanData {
    let start = time(span.start_ns);
    let mut events = SpanEvents::default();
    for event in &span.events {
        let attributes = key_values(&event.attributes);
        events.events.push(Event::new(
            event.name.clone(),
            time(event.at_ns),
            attributes,
            0,
        ));
    }
    SpanData {
        span_context: SpanContext::new(
            TraceId::from_bytes(span.trace.0.to_be_bytes()),
            SpanId::from_bytes(span.id.0.to_be_bytes()),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: span
            .parent
            .map_or(SpanId::INVALID, |id| SpanId::from_bytes(id.0.to_be_bytes())),
        span_kind: match span.kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Client => SpanKind::Client,
            Kind::Server => SpanKind::Server,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        },
        name: Cow::Owned(span.name.clone()),
        start_time: start,
        end_time: time(span.end_ns).max(start + SHORTEST),
        attributes: key_values(&span.attributes),
        dropped_attributes_count: 0,
        events,
        links: links(&span.links),
        status: match &span.status {
            model::Status::Unset => Status::Unset,
            model::Status::Ok => Status::Ok,
            model::Status::Error(description) => Status::error(description.clone()),
        },
        resource: Cow::Owned(Resource::empty()),
        instrumentation_lib: InstrumentationLibrary::default(),
    }
}

fn links(of: &[model::Link]) -> SpanLinks {
    let mut links = SpanLinks::default();
    links.links = of
        .iter()
        .map(|link| {
            let context = SpanContext::new(
                TraceId::from_bytes(link.trace.0.to_be_bytes()),
                SpanId::from_bytes(link.span.0.to_be_bytes()),
                TraceFlags::SAMPLED,
                true,
                TraceState::NONE,
            );
            Link::new(context, key_values(&link.attributes), 0)
        })
        .collect();
    links
}

/// The resource as the exporter crate takes it: once for all spans.
pub(super) fn config(resource: &model::Resource) -> Config {
    Config::default().with_resource(Resource::new(key_values(&resource.attributes)))
}

fn key_values(attributes: &Attributes) -> Vec<KeyValue> {
    let pair = |(key, value): &(String, Value)| match value {
        Value::Str(text) => KeyValue::new(key.clone(), text.clone()),
        Value::Bool(truth) => KeyValue::new(key.clone(), *truth),
        Value::Int(number) => KeyValue::new(key.clone(), *number),
        Value::Float(number) => KeyValue::new(key.clone(), *number),
    };
    attributes.iter().map(pair).collect()
}

fn time(ns: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(ns)
}
