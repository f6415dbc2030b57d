//! Spans as fast as one thread makes them, through the library's own recorder and exporter.
//!
//! Run by `tests/bench/export_throughput.py`; the variables say where to, as they do for `dagger`. Prints
//! one line of JSON.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures, for a person who looks"
)]

use std::time::{Duration, Instant};

use dagger::telemetry::{LocalRun, Settings, start};
use dagger::trace::model::TraceId;
use dagger::trace::store::NewRun;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() {
    let var = |name: &str| std::env::var(name).ok();
    let spans: u32 = var("BENCH_SPANS")
        .and_then(|n| n.parse().ok())
        .expect("BENCH_SPANS");
    let local = var("BENCH_STATE").map(|state| LocalRun {
        state_dir: state.into(),
        run: NewRun {
            trace: TraceId(1),
            root: None,
            remote_parent: None,
            service: "bench".into(),
            command: "bench".into(),
            args: String::new(),
            directory: "/".into(),
            started_ns: dagger::trace::ns::now(),
            pid: std::process::id(),
            plan_digest: None,
        },
        query_url: None,
    });
    let settings = Settings::read(&var).expect("settings");
    let (layer, telemetry) = start(&settings, None, local);
    tracing_subscriber::registry().with(layer).init();
    let trace = telemetry.trace_id();

    let began = Instant::now();
    let root = tracing::info_span!(target: "dagger::bench", "root");
    for number in 1..spans {
        let span = tracing::info_span!(
            target: "dagger::bench", parent: &root, "step",
            otel.name = "[build 3/7] RUN make all", otel.kind = "client",
            vertex = "sha256:6f0f1a4d1d0b1f5ac6ad0f2a9a0f5f4c1b8c8f0b8d6e0f4c3a2b1c0d9e8f7a6b",
            rpc.system = "grpc", rpc.service = "moby.buildkit.v1.Control", rpc.method = "Solve",
            number, bytes = 1_048_576_u32, cached = false,
        );
        tracing::info!(target: "dagger::bench", parent: &span, event = "output", "cc -O2 -c main.c -o main.o");
    }
    drop(root);
    let made = began.elapsed();
    let (report, kept) = telemetry.shutdown(Duration::from_secs(60));
    let wall = began.elapsed();
    let delivered = report.routes.first().map_or(0, |route| route.delivered);
    println!(
        "{{\"trace\":\"{trace}\",\"made_s\":{},\"wall_s\":{},\"delivered\":{delivered},\"unkept\":{}}}",
        made.as_secs_f64(),
        wall.as_secs_f64(),
        kept.map_or(0, |kept| kept.lost),
    );
}
