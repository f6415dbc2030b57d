//! The recorder: a `tracing` layer that turns spans into [`Span`]s.
//!
//! Every span of this crate at level INFO or above is recorded; its fields are its attributes, but for
//! these, which say something of the span itself:
//!
//! | field | meaning |
//! |---|---|
//! | `otel.name` | the name, if it is not a constant |
//! | `otel.kind` | `client`, `server`, `producer`, `consumer`; else internal |
//! | `otel.parent` | a `traceparent`: the span hangs there, whatever it is inside of here |
//! | `otel.start_ns`, `otel.end_ns` | when it happened, if not when the span was open |
//! | `otel.status`, `otel.status_message` | `ok` or `error`, and why |
//!
//! Events at INFO or above are events of the span they are in; field `event` is their name (else their
//! message), `otel.at_ns` their time.

use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::clock::Clock;
use super::parent::RemoteParent;
use super::recorded::Recorded;
use crate::trace::model::{Event, Kind, Resource, Span, SpanId, Status, TraceId, Value};

/// Attributes kept of a span or an event; what is more is counted in `dagger.dropped_attributes`.
const ATTRIBUTES: usize = 128;

/// Events kept of a span; what is more is counted in `dagger.dropped_events`.
const EVENTS: usize = 512;

/// Bytes kept of a text; a longer one ends in `…`.
const TEXT_BYTES: usize = 16 << 10;

/// The layer. Made by [`start`](super::start).
pub struct Recorder {
    pub(super) trace: TraceId,
    pub(super) remote: Option<SpanId>,
    pub(super) resource: Arc<Resource>,
    pub(super) recorded: Arc<Recorded>,
    pub(super) clock: Clock,
}

/// Is this for the trace?
pub(super) fn wants(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO && metadata.target().starts_with("dagger")
}

/// A span while it is open.
struct Open {
    span: Span,
    /// The end was given, in place of the measured one.
    given_end: bool,
    message: Option<String>,
    dropped_attributes: i64,
    dropped_events: i64,
}

impl<S> Layer<S> for Recorder
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(reference) = context.span(id) else {
            return;
        };
        let span = Span {
            trace: self.trace,
            id: self.recorded.next_id(),
            parent: nearest(reference.parent()).or(self.remote),
            name: attributes.metadata().name().to_owned(),
            kind: Kind::Internal,
            start_ns: self.clock.now_ns(),
            end_ns: 0,
            status: Status::Unset,
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            resource: self.resource.clone(),
        };
        let mut open = Open {
            span,
            given_end: false,
            message: None,
            dropped_attributes: 0,
            dropped_events: 0,
        };
        attributes.record(&mut open);
        self.recorded.begun(id, open.span.clone());
        reference.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(reference) = context.span(id) else {
            return;
        };
        if let Some(open) = reference.extensions_mut().get_mut::<Open>() {
            values.record(open);
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let Some(reference) = context.event_span(event) else {
            return;
        };
        let holder = std::iter::successors(Some(reference), SpanRef::parent)
            .find(|reference| reference.extensions().get::<Open>().is_some());
        let Some(holder) = holder else { return };
        let mut extensions = holder.extensions_mut();
        let Some(open) = extensions.get_mut::<Open>() else {
            return;
        };
        if open.span.events.len() >= EVENTS {
            open.dropped_events += 1;
            return;
        }
        let mut fields = EventFields::default();
        event.record(&mut fields);
        let name = fields
            .name
            .or(fields.message.clone())
            .unwrap_or_else(|| event.metadata().name().to_owned());
        if let Some(message) = fields.message.filter(|message| *message != name) {
            fields
                .attributes
                .push(("message".to_owned(), Value::Str(message)));
        }
        let at_ns = fields.at_ns.unwrap_or_else(|| self.clock.now_ns());
        open.span.events.push(Event {
            name,
            at_ns,
            attributes: fields.attributes,
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(reference) = context.span(&id) else {
            return;
        };
        let open = reference.extensions_mut().remove::<Open>();
        if let Some(open) = open {
            self.recorded.ended(&id, open.end(self.clock.now_ns()));
        }
    }
}

/// The nearest recorded span at or above `reference`.
fn nearest<'a, R: LookupSpan<'a>>(reference: Option<SpanRef<'a, R>>) -> Option<SpanId> {
    std::iter::successors(reference, SpanRef::parent).find_map(|reference| {
        reference
            .extensions()
            .get::<Open>()
            .map(|open| open.span.id)
    })
}

impl Open {
    fn end(mut self, now_ns: u64) -> Span {
        if !self.given_end {
            self.span.end_ns = now_ns;
        }
        self.span.end_ns = self.span.end_ns.max(self.span.start_ns);
        if let (Status::Error(text), Some(message)) = (&mut self.span.status, self.message.take()) {
            *text = message;
        }
        for (name, count) in [
            ("dagger.dropped_attributes", self.dropped_attributes),
            ("dagger.dropped_events", self.dropped_events),
        ] {
            if count > 0 {
                self.span
                    .attributes
                    .push((name.to_owned(), Value::Int(count)));
            }
        }
        self.span.events.sort_by_key(|event| event.at_ns);
        self.span
    }

    fn set(&mut self, field: &str, value: Value) {
        match (field, &value) {
            ("otel.name", Value::Str(name)) => self.span.name.clone_from(name),
            ("otel.kind", Value::Str(kind)) => {
                self.span.kind = match kind.as_str() {
                    "client" => Kind::Client,
                    "server" => Kind::Server,
                    "producer" => Kind::Producer,
                    "consumer" => Kind::Consumer,
                    _ => Kind::Internal,
                };
            }
            ("otel.parent", Value::Str(traceparent)) => {
                // A parent in another trace could not be found by anyone.
                let remote = RemoteParent::parse(traceparent, None).ok();
                if let Some(remote) = remote.filter(|remote| remote.trace == self.span.trace) {
                    self.span.parent = Some(remote.span);
                }
            }
            ("otel.start_ns", Value::Int(ns)) => {
                self.span.start_ns = u64::try_from(*ns).unwrap_or(0);
            }
            ("otel.end_ns", Value::Int(ns)) => {
                self.span.end_ns = u64::try_from(*ns).unwrap_or(0);
                self.given_end = true;
            }
            ("otel.status", Value::Str(status)) => {
                self.span.status = match status.as_str() {
                    "error" => Status::Error(String::new()),
                    "ok" => Status::Ok,
                    _ => Status::Unset,
                };
            }
            ("otel.status_message", Value::Str(message)) => self.message = Some(message.clone()),
            _ => put(
                &mut self.span.attributes,
                &mut self.dropped_attributes,
                field,
                value,
            ),
        }
    }
}

/// Sets an attribute; a later value replaces an earlier one.
fn put(attributes: &mut Vec<(String, Value)>, dropped: &mut i64, key: &str, value: Value) {
    if let Some((_, old)) = attributes.iter_mut().find(|(name, _)| name == key) {
        *old = value;
    } else if attributes.len() < ATTRIBUTES {
        attributes.push((key.to_owned(), value));
    } else {
        *dropped += 1;
    }
}

#[derive(Default)]
struct EventFields {
    name: Option<String>,
    message: Option<String>,
    at_ns: Option<u64>,
    attributes: Vec<(String, Value)>,
}

impl EventFields {
    fn set(&mut self, field: &str, value: Value) {
        match (field, value) {
            ("event", Value::Str(name)) => self.name = Some(name),
            ("message", Value::Str(message)) => self.message = Some(message),
            ("otel.at_ns", Value::Int(ns)) => self.at_ns = u64::try_from(ns).ok(),
            (field, value) => put(&mut self.attributes, &mut 0, field, value),
        }
    }
}

/// Implements `Visit` by a method `set(name, value)`.
macro_rules! visit_by_set {
    ($type:ty) => {
        impl Visit for $type {
            fn record_str(&mut self, field: &Field, value: &str) {
                self.set(plain(field), Value::Str(bounded(value)));
            }

            fn record_bool(&mut self, field: &Field, value: bool) {
                self.set(plain(field), Value::Bool(value));
            }

            fn record_i64(&mut self, field: &Field, value: i64) {
                self.set(plain(field), Value::Int(value));
            }

            fn record_u64(&mut self, field: &Field, value: u64) {
                self.set(
                    plain(field),
                    Value::Int(i64::try_from(value).unwrap_or(i64::MAX)),
                );
            }

            fn record_f64(&mut self, field: &Field, value: f64) {
                self.set(plain(field), Value::Float(value));
            }

            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                self.set(plain(field), Value::Str(bounded(&format!("{value:?}"))));
            }
        }
    };
}
visit_by_set!(Open);
visit_by_set!(EventFields);

/// The field's name; a Rust keyword is written with `r#` in the source.
fn plain(field: &Field) -> &'static str {
    match field.name() {
        "buildkit.r#ref" => "buildkit.ref",
        name => name,
    }
}

/// The text, shortened to what is kept.
fn bounded(text: &str) -> String {
    if text.len() <= TEXT_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(TEXT_BYTES);
    format!("{}…", text.get(..end).unwrap_or_default())
}
