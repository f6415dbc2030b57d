//! OTLP, OpenTelemetry's own protocol: spans as its messages, and those as its JSON.
//!
//! Lives here: pure conversions, model to messages to JSON and back. Elsewhere: sending (`telemetry`),
//! receiving (`viewer`). What comes in is taken leniently: a span without an id is left out and counted,
//! an unknown kind is internal, an end before its start is none. The messages come from `proto/`.
//! Start at [`request`] and [`spans`].

mod json;
mod message;
mod write;

pub use json::{OtlpError, from_json, request_from_json, request_to_json, to_json};
pub use message::{Read, read, request, spans};
pub use write::{Entry, entries};

#[cfg(test)]
mod tests;
