//! The dashboards: every expression in them has data, from a real Prometheus that scrapes a real
//! Jaeger v2 after real builds; the files are what Grafana takes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Bed, Context, Dagger, Engine, bed_dir};

/// How long metrics may take from a build to Prometheus: a flush and a scrape, each a second here.
const DEADLINE: Duration = Duration::from_secs(60);

fn boards() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/grafana/dashboards");
    let files = std::fs::read_dir(dir).expect("dashboards");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() >= 2, "{files:?}");
    files
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a dashboard")).expect("JSON")
}

/// Each PromQL expression, with the panel that it is of.
fn expressions(board: &Value) -> Vec<(String, String)> {
    let panels = board["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().expect("a title").to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets
            .into_iter()
            .map(move |target| (title.clone(), target))
    });
    targets
        .filter_map(|(title, target)| Some((title, target["expr"].as_str()?.to_owned())))
        .collect()
}

/// The expression with Grafana's variables replaced, as Grafana does for a window of some minutes.
fn filled(expression: &str) -> String {
    expression
        .replace("$__rate_interval", "5m")
        .replace("$__range", "10m")
}

/// Every value that the expression has now.
fn ask(prometheus: &str, expression: &str) -> Vec<f64> {
    let url = format!("{prometheus}/api/v1/query");
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--get",
            &url,
            "--data-urlencode",
        ])
        .arg(format!("query={expression}"))
        .output()
        .expect("curl");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["status"], "success", "{expression}: {answer}");
    let result = answer["data"]["result"].as_array().expect("a vector");
    let values = result
        .iter()
        .filter_map(|series| series["value"][1].as_str());
    values
        .map(|value| value.parse().expect("a number"))
        .collect()
}

#[test]
fn the_files_are_what_grafana_takes() {
    let check = crate::support::bed().program("check-dashboards");
    let status = Command::new(&check)
        .args(boards())
        .status()
        .expect("it runs");
    assert!(status.success());

    // That it can say no.
    let dir = tempfile::tempdir().unwrap();
    let wrong = dir.path().join("wrong.json");
    let text = std::fs::read_to_string(&boards()[0]).unwrap();
    std::fs::write(&wrong, text.replacen("\"gridPos\"", "\"gridPosition\"", 1)).unwrap();
    let output = Command::new(&check).arg(&wrong).output().expect("it runs");
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("gridPosition"),
        "{output:?}"
    );
}

#[test]
fn the_data_sources_that_panels_name_are_provisioned() {
    let file = "dashboards/grafana/provisioning/datasources/dagger.yaml";
    let sources =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    for board in boards() {
        let board = read(&board);
        for panel in board["panels"].as_array().unwrap() {
            if let Some(uid) = panel["datasource"]["uid"].as_str() {
                assert!(sources.contains(&format!("uid: {uid},")), "{uid}: {panel}");
            }
        }
    }
}

#[test]
fn the_compose_profile_brings_them_up_from_files_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("docker-compose")
        .args([
            "-f",
            "tracing.compose.yaml",
            "--profile",
            "dashboards",
            "config",
        ])
        .current_dir(root)
        .output()
        .expect("docker-compose");
    assert!(output.status.success(), "{output:?}");
    let config = String::from_utf8(output.stdout).unwrap();
    for service in ["prometheus:", "grafana:"] {
        assert!(config.contains(&format!("\n  {service}\n")), "{config}");
    }
    let mounts = config
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- /"));
    let sources: Vec<_> = mounts
        .filter_map(|mount| Some(Path::new("/").join(mount.split_once(':')?.0)))
        .collect();
    assert_eq!(sources.len(), 4, "{config}");
    for source in sources {
        assert!(
            source.exists(),
            "{} is mounted and is not there",
            source.display()
        );
    }
}

#[test]
fn every_expression_has_data_after_real_builds() {
    let bed = Bed::up(
        &bed_dir("-dash"),
        &["jaeger2", "prometheus", "buildkitd:mute"],
    );
    let context = Context::three_stages("dashboards");
    context.write(
        "Broken.Dockerfile",
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN false\n",
    );
    let out = format!("local:{}", context.join("out").display());
    let build = |args: &[&str], code| {
        Dagger::new(context.path(), &[&["up"], args].concat())
            .env("BUILDKIT_HOST", &bed.unix(Engine::Mute))
            .env(
                "OTEL_EXPORTER_JAEGER_ENDPOINT",
                &bed.fact("/jaeger2/collector_url"),
            )
            .run()
            .expect(code);
    };
    let round = || {
        build(&["--no-cache", "-o", &out], 0);
        build(&["-o", &out], 0);
        build(&["--file", "Broken.Dockerfile"], 1);
    };
    every_expression_has_data(&bed.fact("/prometheus/url"), round);
}

/// Makes builds in two rounds of three, and waits until each expression of the dashboards has data in this
/// Prometheus.
pub(crate) fn every_expression_has_data(prometheus: &str, round: impl Fn()) {
    // Prometheus sees a counter grow only from its second sample on: the first round makes the series.
    round();
    let roots = r#"sum(traces_span_metrics_calls_total{span_name="dagger up"})"#;
    let start = Instant::now();
    loop {
        let seen = ask(prometheus, roots);
        if seen == [3.0] {
            break;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "of three builds Prometheus has {seen:?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    round();
    let mut open: Vec<_> = boards()
        .iter()
        .flat_map(|board| expressions(&read(board)))
        .collect();
    assert!(open.len() >= 15, "{open:?}");
    let start = Instant::now();
    loop {
        // Above zero: `or vector(0)` alone is no data.
        open.retain(|(_, expression)| {
            !ask(prometheus, &filled(expression))
                .iter()
                .any(|value| *value > 0.0)
        });
        if open.is_empty() {
            break;
        }
        assert!(start.elapsed() < DEADLINE, "no data for {open:#?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}
