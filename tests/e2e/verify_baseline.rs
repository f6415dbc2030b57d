//! `dagger trace verify --baseline`: former runs of a Jaeger, where this machine has recorded none, as in CI.

use std::path::Path;

use serde_json::Value;

use crate::support::{Context, Dagger, Engine, bed};

/// What no other test builds: of steps under way for two builds the daemon makes one.
fn dockerfile(sleep: &str) -> String {
    let ours = std::process::id();
    format!(
        "FROM scratch\nWORKDIR /baseline-{ours}\nADD rootfs.tar /\nENV PATH=/bin\nRUN sleep {sleep}\n"
    )
}

/// Slower is what takes seconds more: the machine may be busy with other tests.
const EXPECTED: &str = "version: 1\nbaseline:\n  compare:\n  \
    - {select: '\"dagger up\":root', slower: {ratio: 15%, floor: 1500ms}}\n";

/// What the baseline says of a trace on a machine without run records.
fn baseline(dir: &Path, trace: &str, service: &str, code: i32) -> Vec<(String, String)> {
    let args = [
        "trace",
        "verify",
        trace,
        "--baseline=3",
        "--format=json",
        "--service",
        service,
    ];
    let run = Dagger::new(dir, &args)
        .env("JAEGER_QUERY_URL", &bed().query_url())
        .run()
        .expect(code);
    let report = run.json();
    let results = report["results"].as_array().unwrap().iter();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    results
        .filter(|entry| entry["kind"] == "baseline")
        .map(|entry| (text(entry, "status"), text(entry, "message")))
        .collect()
}

#[test]
fn former_runs_in_jaeger_are_a_baseline_for_a_machine_that_has_none() {
    let context = Context::new(&dockerfile("0.2")).with("trace.expect.yaml", EXPECTED);
    let baseline =
        |trace: &str, service: &str, code: i32| baseline(context.path(), trace, service, code);
    let service = format!("baseline-{}", std::process::id());
    let up = |args: &[&str]| {
        let args = [&["--no-cache"], args].concat();
        Dagger::up(context.path(), Engine::Mute, &args)
            .with_collector()
            .env("OTEL_SERVICE_NAME", &service)
            .run()
    };
    let first = up(&[]).expect(0).trace();
    // Other arguments are no former run of the same.
    up(&["--build-arg=A=1"]).expect(0);
    up(&[]).expect(0);
    let third = up(&[]).expect(0).trace();
    let told = baseline(&third, &service, 0);
    assert_eq!(told.len(), 1, "{told:?}");
    let (status, message) = &told[0];
    assert!(
        status == "skip" && message.starts_with("2 former runs"),
        "{told:?}"
    );
    // Nor is what came later.
    assert!(
        baseline(&first, &service, 0)[0]
            .1
            .starts_with("0 former runs")
    );

    let unchanged = up(&[]).expect(0).trace();
    assert_eq!(baseline(&unchanged, &service, 0)[0].0, "pass");
    context.write("Dockerfile", &dockerfile("4"));
    let slow = up(&[]).expect(0).trace();
    let told = baseline(&slow, &service, 1);
    let slower = |(status, message): &(String, String)| {
        status == "fail" && message.contains("dagger up") && message.contains("longer than usual")
    };
    assert!(told.iter().any(slower), "{told:?}");

    // Run again, it is as slow; and once the cause is gone, it was noise.
    let confirmed = |code: i32| {
        let args = [
            "trace",
            "verify",
            &slow,
            "--baseline=3",
            "--confirm=2",
            "--service",
            &service,
        ];
        let command = [
            "--",
            env!("CARGO_BIN_EXE_dagger"),
            "up",
            "--log-format",
            "plain",
            "--no-cache",
        ];
        Dagger::new(context.path(), &[&args[..], &command].concat())
            .env("BUILDKIT_HOST", &bed().unix(Engine::Mute))
            .env("OTEL_SERVICE_NAME", &service)
            .with_collector()
            .run()
            .expect(code)
            .stdout
    };
    let report = confirmed(1);
    assert!(report.contains("slower in 2 of 2 runs again"), "{report}");
    context.write("Dockerfile", &dockerfile("0.2"));
    let report = confirmed(0);
    assert!(report.contains("slower in 0 of 2 runs again"), "{report}");
    // A command that leaves no trace confirms nothing.
    let args = [
        "trace",
        "verify",
        &slow,
        "--baseline=3",
        "--confirm=1",
        "--timeout=1s",
    ];
    let service = ["--service", &service, "--", "true"];
    let no_trace = Dagger::new(context.path(), &[&args[..], &service].concat())
        .run()
        .expect(1);
    assert!(
        no_trace.stderr.contains("heed TRACEPARENT"),
        "{}",
        no_trace.stderr
    );
}
