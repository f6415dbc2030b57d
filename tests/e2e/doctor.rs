//! `dagger doctor` says what is well, what is not, and what to do.

use std::path::Path;

use crate::support::{Dagger, Engine, bed};

fn doctor(args: &[&str]) -> Dagger {
    let all: Vec<_> = ["doctor"].iter().chain(args).copied().collect();
    Dagger::new(Path::new("/"), &all)
        .env("BUILDKIT_HOST", &bed().unix(Engine::Http))
        .with_collector()
}

fn verdict(report: &serde_json::Value, name: &str) -> String {
    let checks = report["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no check {name} in {report}"));
    check["verdict"].as_str().expect("a verdict").to_owned()
}

#[test]
fn all_is_well() {
    let report = doctor(&["--format", "json"]).run().expect(0).json();
    assert_eq!(report["ok"], true);
    for name in [
        "dagger", "engine", "version", "clocks", "tracing", "query", "state",
    ] {
        assert_eq!(verdict(&report, name), "ok", "{name}: {report:#}");
    }
    let text = doctor(&[]).run().expect(0).stdout;
    assert_eq!(
        text.lines().count(),
        report["checks"].as_array().unwrap().len()
    );
}

#[test]
fn each_broken_part_is_named_with_its_fix() {
    let agent = "JAEGER_TRACE";
    let faults: [(&str, &str, &str); 6] = [
        ("BUILDKIT_HOST", "unix:///nowhere.sock", "engine"),
        ("BUILDKIT_HOST", "localhost:1", "engine"),
        (
            "OTEL_EXPORTER_JAEGER_ENDPOINT",
            "http://127.0.0.1:1/api/traces",
            "tracing",
        ),
        ("OTEL_EXPORTER_JAEGER_ENDPOINT", "not a url", "tracing"),
        ("JAEGER_QUERY_URL", "http://127.0.0.1:1", "query"),
        (agent, "127.0.0.1:1", "tracing"),
    ];
    for (key, value, name) in faults {
        let mut dagger = doctor(&["--format", "json"]).env(key, value);
        if key == agent {
            dagger = dagger.env("OTEL_EXPORTER_JAEGER_ENDPOINT", "");
        }
        let report = dagger.run().expect(1).json();
        assert_eq!(
            verdict(&report, name),
            "broken",
            "{key}={value}: {report:#}"
        );
        let checks = report["checks"].as_array().expect("checks");
        let check = checks
            .iter()
            .find(|check| check["name"] == name)
            .expect("it");
        assert!(
            check["fix"].as_str().is_some_and(|fix| !fix.is_empty()),
            "{check}"
        );
    }
}
