//! `/metrics` of `dagger trace serve`: the dashboards that are made for Jaeger v2's metrics have data from a
//! real Prometheus that scrapes it, and its metrics are those of a real Jaeger v2 for the same spans.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::dashboards::every_expression_has_data;
use crate::serve_collector::COLLECTOR;
use crate::serve_same_as_jaeger::fill;
use crate::support::{Bed, Context, Dagger, Engine, Serve, bed_dir};

#[test]
fn the_dashboards_have_data_from_it() {
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path(), &COLLECTOR);
    let dir = bed_dir("-smet");
    std::fs::create_dir_all(&dir).unwrap();
    let facts = json!({"jaeger2": {"metrics": serve.url().replace("http://", "")}});
    std::fs::write(dir.join("bed.json"), facts.to_string()).unwrap();
    let bed = Bed::up(&dir, &["prometheus", "buildkitd:mute"]);
    let context = Context::three_stages("serve-metrics");
    context.write(
        "Broken.Dockerfile",
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN false\n",
    );
    let out = format!("local:{}", context.join("out").display());
    let build = |args: &[&str], code| {
        Dagger::new(context.path(), &[&["up"], args].concat())
            .env("BUILDKIT_HOST", &bed.unix(Engine::Mute))
            .env("OTEL_EXPORTER_JAEGER_ENDPOINT", &serve.at("collector"))
            .run()
            .expect(code);
    };
    every_expression_has_data(&bed.fact("/prometheus/url"), || {
        build(&["--no-cache", "-o", &out], 0);
        build(&["-o", &out], 0);
        build(&["--file", "Broken.Dockerfile"], 1);
    });
}

/// Samples by their name and labels, labels in order; without those that the connector adds of itself.
fn samples(url: &str) -> BTreeMap<String, f64> {
    let output = Command::new("curl")
        .args(["-sS", url])
        .output()
        .expect("curl can be run");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text
        .lines()
        .filter(|line| line.starts_with("traces_span_metrics_"));
    lines
        .map(|line| {
            // Thrift says nothing of the kind of a span inside of a process: here it is internal.
            let line = line.replace("SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL");
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').expect("labels");
            let mut labels: Vec<_> = labels.trim_end_matches('}').split(",").collect();
            labels.retain(|label| !label.starts_with("otel_scope_") && !label.starts_with("job="));
            labels.sort_unstable();
            (
                format!("{name}{{{}}}", labels.join(",")),
                value.parse().expect("a number"),
            )
        })
        .collect()
}

#[test]
fn its_metrics_are_those_of_jaeger_v2() {
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path(), &COLLECTOR);
    let bed = Bed::up(&bed_dir("-smet2"), &["jaeger2"]);
    let theirs = bed.fact("/jaeger2/query_url");
    let pair = fill(&serve, &bed.fact("/jaeger2/collector_url"), theirs);
    let ours = samples(&format!("{}/metrics", pair.ours));
    assert!(ours.len() > 100, "{ours:?}");
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let theirs = samples(&format!("http://{}/metrics", bed.fact("/jaeger2/metrics")));
        let different: Vec<_> = ours
            .iter()
            .filter(|(series, value)| {
                let other = theirs.get(*series).copied().unwrap_or(f64::NAN);
                // Sums of floats depend on their order.
                (other - **value).abs() > 1e-6 * value.abs() || other.is_nan()
            })
            .collect();
        if different.is_empty() && theirs.len() == ours.len() {
            break;
        }
        let more: Vec<_> = theirs
            .keys()
            .filter(|series| !ours.contains_key(*series))
            .collect();
        assert!(
            Instant::now() < until,
            "ours alone or other: {:#?}\ntheirs alone: {:#?}",
            different.first(),
            more.first()
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}
