//! `dagger`: a tracing-first build harness for BuildKit.
//!
//! `dagger up` runs a build on any BuildKit daemon; every connection and every solve is a span;
//! `dagger trace verify` reads the spans back and proves that the trace is whole.
//! The rooms and the arrows between them are in `docs/design.md`.

pub mod buildkit;
pub mod cli;
pub mod document;
pub mod engine;
pub mod llb;
pub mod plan;
pub mod progress;
pub mod proto;
pub mod session;
pub mod solve;
pub mod telemetry;
pub mod trace;
pub mod verify;
pub mod viewer;
