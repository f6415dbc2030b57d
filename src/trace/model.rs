//! One model of a trace: what Jaeger answers, what the recorder takes down, what the viewer draws.
//!
//! Lives here: the types and their spelling. Elsewhere: where spans come from (`trace::jaeger`,
//! `telemetry`), what they mean (`verify`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A trace's id: 16 bytes, not all zero; 32 lower-case hex digits in text (W3C Trace Context, 3.2.2.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub u128);

/// A span's id: 8 bytes, not all zero; 16 lower-case hex digits in text (W3C Trace Context, 3.2.2.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub u64);

/// Text that is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct IdError {
    text: String,
    expected: &'static str,
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TraceId {
    type Err = IdError;

    /// Reads 1 to 32 hex digits; Jaeger prints only 16 when the high half is zero.
    fn from_str(text: &str) -> Result<Self, IdError> {
        hex(text, 32).map(Self).ok_or_else(|| IdError {
            text: text.into(),
            expected: "a trace id (up to 32 hex digits, not all 0)",
        })
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SpanId {
    type Err = IdError;

    /// Reads 1 to 16 hex digits.
    fn from_str(text: &str) -> Result<Self, IdError> {
        hex(text, 16)
            .and_then(|id| u64::try_from(id).ok())
            .map(Self)
            .ok_or_else(|| IdError {
                text: text.into(),
                expected: "a span id (up to 16 hex digits, not all 0)",
            })
    }
}

/// The number behind 1 to `most` hex digits; `None` for zero, a sign, or anything else.
fn hex(text: &str, most: usize) -> Option<u128> {
    let plain =
        !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_hexdigit());
    plain
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
        .filter(|id| *id != 0)
}

/// One value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Str(String),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(text) => f.write_str(text),
            Self::Bool(truth) => truth.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
        }
    }
}

/// Attributes in the order they were set; a key may repeat in what others send.
pub type Attributes = Vec<(String, Value)>;

/// Whose side of a call a span is (OpenTelemetry `SpanKind`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Work inside one process.
    #[default]
    Internal,
    /// The calling side.
    Client,
    /// The called side.
    Server,
    /// Sends a message.
    Producer,
    /// Receives a message.
    Consumer,
}

impl Kind {
    /// The word for it: `internal`, `client`, `server`, `producer`, `consumer`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Client => "client",
            Self::Server => "server",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// How a span ended (OpenTelemetry span status).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Not said: it went well.
    #[default]
    Unset,
    /// Said to have gone well.
    Ok,
    /// Failed, with a description that may be empty.
    Error(String),
}

/// Something that happened during a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What happened.
    pub name: String,
    /// When, in nanoseconds since the epoch.
    pub at_ns: u64,
    /// What is known of it.
    pub attributes: Attributes,
}

/// A reference to another span, possibly of another trace (OpenTelemetry `Link`, Jaeger `FOLLOWS_FROM`).
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The other span's trace.
    pub trace: TraceId,
    /// The other span.
    pub span: SpanId,
    /// What is known of it.
    pub attributes: Attributes,
}

/// Who made a span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// `service.name`.
    pub service: String,
    /// The rest (`host.name`, `service.version`, ...).
    pub attributes: Attributes,
}

/// One span.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace: TraceId,
    /// Its id, unique in the trace.
    pub id: SpanId,
    /// The span it hangs under, if any; it may live in another process.
    pub parent: Option<SpanId>,
    /// Its name.
    pub name: String,
    /// Whose side of a call it is.
    pub kind: Kind,
    /// Start, in nanoseconds since the epoch (Jaeger keeps microseconds).
    pub start_ns: u64,
    /// End, in nanoseconds since the epoch, not before the start.
    pub end_ns: u64,
    /// How it ended.
    pub status: Status,
    /// Attributes of the span itself.
    pub attributes: Attributes,
    /// Its events, in order of time.
    pub events: Vec<Event>,
    /// Spans that it refers to, its parent not among them.
    pub links: Vec<Link>,
    /// Who made it.
    pub resource: Arc<Resource>,
}

impl Span {
    /// The first value of an attribute.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// The attribute as text; `None` if absent or of another type.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.attribute(key) {
            Some(Value::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// The attribute as a whole number; `None` if absent or of another type.
    pub fn int(&self, key: &str) -> Option<i64> {
        match self.attribute(key) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// The attribute as a truth value; `None` if absent or of another type.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.attribute(key) {
            Some(Value::Bool(truth)) => Some(*truth),
            _ => None,
        }
    }

    /// Did it fail?
    pub fn is_error(&self) -> bool {
        matches!(self.status, Status::Error(_))
    }

    /// The service that made it.
    pub fn service(&self) -> &str {
        &self.resource.service
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_trace_id_is_padded() {
        let id: TraceId = "00f067aa0ba902b7".parse().unwrap();
        assert_eq!(id.to_string(), "000000000000000000f067aa0ba902b7");
    }

    #[test]
    fn zero_signs_and_long_ids_are_refused() {
        for text in [
            "",
            "0",
            "+1",
            "-1",
            "g",
            "111111111111111111111111111111111",
        ] {
            assert!(text.parse::<TraceId>().is_err(), "{text}");
        }
        assert!("1ffffffffffffffff".parse::<SpanId>().is_err());
    }
}
