//! What users do, on the real engine and the real Jaeger. One file a story.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod attestations;
mod bad_input;
mod call;
mod ci_action;
mod ci_recipes;
mod completion;
mod contexts;
mod daemon_spans;
mod dashboards;
mod default_order;
mod docs;
mod doctor;
mod engine_errors;
mod engines;
mod entitlements;
mod expectations;
mod frontends;
mod history;
mod jaeger_query;
mod large_spans;
mod local_trace;
mod lost_engine;
mod outputs;
mod packaging;
mod page;
mod plans;
mod registry;
mod registry_token;
mod rule_faults;
mod same_as_buildctl;
mod secrets;
mod seed;
mod serve_collector;
mod serve_metrics;
mod serve_page;
mod serve_same_as_jaeger;
mod trace_commands;
mod trace_context;
mod trace_exec;
mod trace_faults;
mod trace_list;
mod trace_matrix;
mod trace_push;
mod trace_query;
mod trace_routes;
mod traced_build;
mod verify_baseline;
mod verify_faults;
mod verify_kinds;
mod verify_others;
mod verify_reports;
mod verify_secrets;
mod verify_sources;
mod wire;
