//! `dagger trace verify --profile buildkit`: traces of the real `buildctl` and `docker buildx`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Context, Dagger, Engine, Finished, bed};

/// A trace's id, and the client's parent in it.
fn parent(number: u32) -> (String, String) {
    let trace = format!("{:08x}{number:024x}", std::process::id());
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    (trace, parent)
}

/// Runs another client with its home in the context; says its exit code.
fn client(name: &str, context: &Context, args: &[&str], env: &[(&str, &str)]) -> Option<i32> {
    let mut command = Command::new(bed().program(name));
    command.args(args).current_dir(context.path()).env_clear();
    command
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", context.path());
    command.envs(env.iter().copied());
    let output = command.output().expect("the client can be run");
    output.status.code()
}

fn buildctl(context: &Context, engine: Engine, env: &[(&str, &str)]) {
    let address = bed().unix(engine);
    let locals = ["--local=context=.", "--local=dockerfile=."];
    let build = ["--addr", &address, "build", "--frontend=dockerfile.v0"];
    let code = client("buildctl", context, &[&build[..], &locals].concat(), env);
    assert_eq!(code, Some(0));
}

fn buildx(context: &Context, engine: Engine, file: &str, env: &[(&str, &str)]) -> Option<i32> {
    let name = file.to_lowercase();
    let create = [
        "create",
        "--name",
        &name,
        "--driver=remote",
        &bed().unix(engine),
    ];
    assert_eq!(client("buildx", context, &create, &[]), Some(0));
    let file = format!("--file={file}");
    let build = [
        "build",
        "--builder",
        &name,
        "--output=type=cacheonly",
        &file,
        ".",
    ];
    client("buildx", context, &build, env)
}

/// Verifies the trace as that of another client, under a parent that nobody exports.
fn verify(trace: &str, parent: &str, args: &[&str]) -> Finished {
    let verify = [
        "trace",
        "verify",
        trace,
        "--profile=buildkit",
        "--format=json",
    ];
    let all = [&verify[..], args].concat();
    Dagger::new(Path::new("/"), &all)
        .env("TRACEPARENT", parent)
        .run()
}

/// The entries of a rule: their status and all they say.
fn of_rule(report: &Value, id: &str) -> Vec<(String, String)> {
    let results = report["results"].as_array().unwrap().iter();
    let entries = results.filter(|entry| entry["id"] == id);
    entries
        .map(|entry| {
            let status = entry["status"].as_str().unwrap().to_owned();
            (status, entry.to_string())
        })
        .collect()
}

#[track_caller]
fn assert_says(report: &Value, rule: &str, status: &str, words: &str) {
    let entries = of_rule(report, rule);
    assert!(
        entries
            .iter()
            .any(|(got, said)| got == status && said.contains(words)),
        "{rule} does not say {status} and {words:?}: {entries:?}"
    );
}

#[test]
fn a_build_of_buildctl_passes_and_what_is_not_asked_says_why() {
    let context = Context::three_stages("others-buildctl");
    let (trace, parent) = parent(1);
    buildctl(&context, Engine::Http, &[("TRACEPARENT", &parent)]);
    let report = verify(&trace, &parent, &[]).expect(0).json();
    assert_eq!(
        report["trace"]["services"],
        serde_json::json!(["buildctl", "buildkitd"])
    );
    for rule in ["T002", "T003", "T004", "P001", "P002", "P003", "D001"] {
        assert_says(&report, rule, "pass", "");
    }
    for (rule, why) in [
        ("T007", "no record of what they exported"),
        ("P004", "only the daemon does"),
        ("E002", "do not say their exit code"),
        ("N001", "are not ours"),
    ] {
        assert_says(&report, rule, "skip", why);
    }
}

#[test]
fn spans_that_buildctl_sends_twice_are_told_with_their_cause() {
    let context = Context::three_stages("others-doubled");
    let (trace, parent) = parent(2);
    let collector = bed().collector();
    let both = [
        ("TRACEPARENT", parent.as_str()),
        ("JAEGER_TRACE", &collector),
    ];
    buildctl(&context, Engine::Http, &both);
    let report = verify(&trace, &parent, &[]).expect(0).json();
    assert_says(&report, "T004", "warn", "stored twice");
    assert_says(&report, "T004", "warn", "hands them to the daemon, too");
    // As that of `dagger`, it fails.
    let args = ["trace", "verify", &trace, "--service=buildctl", "--no-wait"];
    Dagger::new(Path::new("/"), &args)
        .env("TRACEPARENT", &parent)
        .run()
        .expect(1);
}

#[test]
fn answers_to_a_daemon_that_exports_nowhere_are_told_with_their_cause() {
    let context = Context::three_stages("others-mute");
    let (trace, parent) = parent(3);
    let otlp = bed().otlp_http();
    let env = [
        ("TRACEPARENT", parent.as_str()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &otlp),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ];
    assert_eq!(buildx(&context, Engine::Mute, "Dockerfile", &env), Some(0));
    let report = verify(&trace, &parent, &["--timeout=3s"]).expect(1).json();
    assert_says(
        &report,
        "T003",
        "fail",
        "moby.filesync.v1.FileSync/DiffCopy",
    );
    assert_says(&report, "T003", "fail", "it exports nowhere, or elsewhere");
    assert_says(&report, "P003", "fail", "no span of service `buildkitd`");
    assert_eq!(report["summary"]["failed"], 2, "{report}");
}

#[test]
fn builds_of_buildx_pass_and_a_failed_one_is_told_from_a_faulty_trace() {
    let context = Context::three_stages("others-buildx");
    let (good, good_parent) = parent(4);
    let env = [("TRACEPARENT", good_parent.as_str())];
    assert_eq!(buildx(&context, Engine::Http, "Dockerfile", &env), Some(0));
    let (bad, bad_parent) = parent(5);
    let dockerfile = "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN false\n";
    std::fs::write(context.path().join("fails"), dockerfile).unwrap();
    let env = [("TRACEPARENT", bad_parent.as_str())];
    assert_eq!(buildx(&context, Engine::Http, "fails", &env), Some(1));
    let report = verify(&good, &good_parent, &[]).expect(0).json();
    assert_eq!(
        report["trace"]["services"],
        serde_json::json!(["buildkitd", "buildx"])
    );
    assert_says(&report, "T004", "pass", "");
    let report = verify(&bad, &bad_parent, &[]).expect(0).json();
    assert_says(
        &report,
        "E001",
        "warn",
        "end their own spans without the error",
    );
}
