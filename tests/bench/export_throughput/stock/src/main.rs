//! The same spans as `../ours.rs` makes, through opentelemetry-jaeger's own batch pipeline.
#![allow(deprecated)]

use std::time::Instant;

use opentelemetry::trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};

#[tokio::main]
async fn main() {
    let spans: u32 = std::env::var("BENCH_SPANS").unwrap().parse().unwrap();
    // The exporter reads its endpoint and the processor its sizes from the environment.
    let tracer = opentelemetry_jaeger::new_collector_pipeline()
        .with_service_name("bench")
        .with_reqwest()
        .install_batch(opentelemetry_sdk::runtime::Tokio)
        .unwrap();

    let began = Instant::now();
    let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
    let trace = root.span().span_context().trace_id();
    for number in 1..spans {
        let mut span = tracer
            .span_builder("[build 3/7] RUN make all")
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new("vertex", "sha256:6f0f1a4d1d0b1f5ac6ad0f2a9a0f5f4c1b8c8f0b8d6e0f4c3a2b1c0d9e8f7a6b"),
                KeyValue::new("rpc.system", "grpc"),
                KeyValue::new("rpc.service", "moby.buildkit.v1.Control"),
                KeyValue::new("rpc.method", "Solve"),
                KeyValue::new("number", i64::from(number)),
                KeyValue::new("bytes", 1_048_576_i64),
                KeyValue::new("cached", false),
            ])
            .start_with_context(&tracer, &root);
        span.add_event("output", vec![KeyValue::new("message", "cc -O2 -c main.c -o main.o")]);
        span.end();
    }
    root.span().end();
    let made = began.elapsed();
    drop((root, tracer));
    // Blocks until the processor has sent what waits.
    tokio::task::spawn_blocking(global::shutdown_tracer_provider).await.unwrap();
    let wall = began.elapsed();
    println!("{{\"trace\":\"{trace}\",\"made_s\":{},\"wall_s\":{}}}", made.as_secs_f64(), wall.as_secs_f64());
}
