//! Spans in: one model of a trace, and where traces are read from.
//!
//! Lives here: the model, the Jaeger query client, the local store, OTLP and thrift, the record of what a run
//! exported.
//! Elsewhere: making spans (`telemetry`), judging them (`verify`). Start at [`model::Span`].

pub mod critical_path;
pub mod diff;
pub mod error;
pub mod jaeger;
pub mod model;
pub mod ns;
pub mod otlp;
pub mod report;
pub mod spanstub;
pub mod store;
pub mod thrift;
