//! One target for each parser of bytes that others have made: whatever they are, it must not panic,
//! and what it has read must make sense.
//!
//! `fuzz_targets/` hands them to libFuzzer (`cargo +nightly fuzz run NAME`), and `tests/fuzz.rs` to
//! each `make test`, with damaged copies of what is in `corpus/`.

use std::path::Path;

use dagger::plan::file::{Given, PlanFile};
use dagger::proto::opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
use dagger::session::fuzzing;
use dagger::trace::jaeger::{self, Answer, Broken};
use dagger::trace::model::TraceId;
use dagger::trace::{otlp, thrift};
use dagger::verify::expect::Expectations;
use dagger::verify::select::Selector;
use prost::Message;

/// A target.
pub type Target = (&'static str, fn(&[u8]));

/// All of them, by the names of their files.
pub const TARGETS: [Target; 14] = [
    ("docker_config", docker_config),
    ("expectations", expectations),
    ("jaeger_v1", jaeger_v1),
    ("jaeger_v3", jaeger_v3),
    ("otlp_json", otlp_json),
    ("otlp_protobuf", otlp_protobuf),
    ("patterns", patterns),
    ("plan_json", plan_json),
    ("plan_toml", plan_toml),
    ("plan_yaml", plan_yaml),
    ("selector", selector),
    ("thrift_binary", thrift_binary),
    ("thrift_collector", thrift_collector),
    ("thrift_compact", thrift_compact),
];

/// An answer of Jaeger's `/api/traces/ID`.
pub fn jaeger_v1(data: &[u8]) {
    let asked = asked(data, "\"traceID\"");
    let Some(answer) = answered(jaeger::decode(data, asked)) else {
        return;
    };
    assert!(answer.spans.iter().all(|span| span.trace == asked));
    // What is written of it is read back.
    let text = format!(
        "{{\"data\":[{}]}}",
        jaeger::write::to_json(asked, &answer.spans)
    );
    let again = answered(jaeger::decode(text.as_bytes(), asked));
    let again = again.map_or(0, |answer| answer.spans.len());
    assert_eq!(again, answer.spans.len());
}

/// An answer of Jaeger's `/api/v3/traces/ID`.
pub fn jaeger_v3(data: &[u8]) {
    let asked = asked(data, "\"traceId\"");
    if let Some(answer) = answered(jaeger::decode_v3(data, asked)) {
        assert!(answer.spans.iter().all(|span| span.trace == asked));
    }
}

/// OTLP's JSON, from a file or a client.
pub fn otlp_json(data: &[u8]) {
    if let Ok(spans) = otlp::from_json(data) {
        let text = otlp::to_json(&spans).to_string();
        let again = otlp::from_json(text.as_bytes()).map_or(0, |again| again.len());
        assert_eq!(again, spans.len());
    }
}

/// OTLP's protobuf, from a client.
pub fn otlp_protobuf(data: &[u8]) {
    if let Ok(request) = ExportTraceServiceRequest::decode(data) {
        let read = otlp::read(&request);
        let again = otlp::read(&otlp::request(&read.spans));
        assert_eq!((again.spans.len(), again.refused), (read.spans.len(), 0));
    }
}

/// A batch as a collector gets it.
pub fn thrift_collector(data: &[u8]) {
    batch(data, thrift::collected(data));
}

/// A datagram in the compact encoding.
pub fn thrift_compact(data: &[u8]) {
    batch(data, thrift::agent(data));
}

/// A datagram in the binary encoding.
pub fn thrift_binary(data: &[u8]) {
    batch(data, thrift::agent_binary(data));
}

/// `dagger.yaml`.
pub fn plan_yaml(data: &[u8]) {
    plan("dagger.yaml", data);
}

/// `dagger.json`.
pub fn plan_json(data: &[u8]) {
    plan("dagger.json", data);
}

/// `dagger.toml`.
pub fn plan_toml(data: &[u8]) {
    plan("dagger.toml", data);
}

/// `trace.expect.yaml`.
pub fn expectations(data: &[u8]) {
    in_file("trace.expect.yaml", data, |file, dir| {
        if let Err(fault) = Expectations::load(file, Path::new("trace.expect.yaml"), dir) {
            assert!(!fault.to_string().is_empty());
        }
    });
}

/// A selector of spans: what is printed of it reads back.
pub fn selector(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(selector) = text.parse::<Selector>() {
        let printed = selector.to_string();
        let again = printed.parse::<Selector>();
        assert_eq!(again.map(|again| again.to_string()), Ok(printed));
    }
}

/// Patterns of `.dockerignore`, as the daemon sends them: a line each, the first is the path.
pub fn patterns(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n').map(str::to_owned);
    let path = lines.next().unwrap_or_default();
    let texts: Vec<String> = lines.collect();
    let matched = fuzzing::patterns(&texts, &path);
    // An exception can only take away.
    let excepted = [texts, vec!["!**".to_owned()]].concat();
    if matched.is_some() {
        assert_eq!(fuzzing::patterns(&excepted, &path).map(|_| ()), Some(()));
    }
}

/// Docker's `config.json`.
pub fn docker_config(data: &[u8]) {
    for host in ["registry.example.com", "https://index.docker.io/v1/", ""] {
        fuzzing::docker_config(data, host);
    }
}

fn answered(decoded: Result<Result<Answer, String>, Broken>) -> Option<Answer> {
    decoded.ok()?.ok()
}

/// The trace that an answer seems to be about, so that its spans are not all foreign.
fn asked(data: &[u8], key: &str) -> TraceId {
    let text = String::from_utf8_lossy(data);
    let after = text.split(key).nth(1).unwrap_or_default();
    let id = after.split('"').nth(1).unwrap_or_default();
    id.parse().unwrap_or(TraceId(1))
}

/// What is read is less than the bytes that it was read from.
fn batch(data: &[u8], read: Result<thrift::Batch, thrift::ThriftError>) {
    if let Ok(batch) = read {
        assert!(batch.spans.len() + batch.refused <= data.len());
    }
}

fn plan(name: &str, data: &[u8]) {
    in_file(name, data, |_, dir| {
        let given = Given {
            cwd: dir,
            plan: None,
            project: None,
            with: &[],
            env: &|_| None,
            cue: &|_| Err("no cue".to_owned()),
        };
        match PlanFile::load(given) {
            // Each is after what it needs.
            Ok(Some(plan)) => assert!(plan.select(&[]).is_ok() || plan.actions.is_empty()),
            Ok(None) => panic!("the file is there"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}

fn in_file(name: &str, data: &[u8], read: impl Fn(&Path, &Path)) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join(name);
    std::fs::write(&file, data).expect("a file");
    read(&file, dir.path());
}
