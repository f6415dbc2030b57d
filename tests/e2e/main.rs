//! What users do, on the real engine and the real Jaeger. One file a story.

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod outputs;
mod traced_build;
mod verify_faults;
