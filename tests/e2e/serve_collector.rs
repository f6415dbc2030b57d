//! `dagger trace serve --collector` in Jaeger's place: real daemons and `dagger up` export to it, and what
//! it has is verified; what it has acknowledged survives that it is killed.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dagger::trace::model::TraceId;
use dagger::trace::store::Store;
use serde_json::json;

use crate::seed::contracts_ports;
use crate::support::{Bed, Context, Dagger, Serve, bed_dir, span_ids_of};

/// Flags that make it a collector at free ports.
pub(crate) const COLLECTOR: [&str; 9] = [
    "--collector",
    "--collector-http",
    "127.0.0.1:0",
    "--collector-otlp",
    "127.0.0.1:0",
    "--collector-udp",
    "127.0.0.1:0",
    "--collector-udp-binary",
    "127.0.0.1:0",
];

/// A bed whose daemons take this server for Jaeger.
fn daemons_of(serve: &Serve, name: &str, daemons: &[&str]) -> Bed {
    let dir = bed_dir(name);
    std::fs::create_dir_all(&dir).unwrap();
    let otlp = serve.at("OTLP").replace("/v1/traces", "");
    let jaeger = json!({
        "query_url": serve.url(),
        "collector_url": serve.at("collector"),
        "agent": serve.at("agent"),
        "otlp_http_url": otlp,
    });
    std::fs::write(dir.join("bed.json"), json!({"jaeger": jaeger}).to_string()).unwrap();
    Bed::up(&dir, daemons)
}

/// `dagger trace verify` of another machine, which knows of the trace what this server says.
fn verify(serve: &Serve, trace: &str) {
    Dagger::new(
        Path::new("/"),
        &["trace", "verify", trace, "--timeout", "60s"],
    )
    .env("JAEGER_QUERY_URL", &serve.url())
    .run()
    .expect(0);
}

#[test]
fn builds_and_daemons_export_to_it_in_each_way() {
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path(), &COLLECTOR);
    let bed = daemons_of(
        &serve,
        "-serve",
        &["buildkitd", "buildkitd:udp", "buildkitd:otlp"],
    );
    let agent = serve.at("agent");
    let otlp = serve.at("OTLP");
    for (daemon, variables) in [
        (
            "http",
            [
                ("OTEL_EXPORTER_JAEGER_ENDPOINT", serve.at("collector")),
                ("X", String::new()),
            ],
        ),
        ("udp", [("JAEGER_TRACE", agent), ("X", String::new())]),
        (
            "otlp",
            [
                ("OTEL_TRACES_EXPORTER", "otlp".to_owned()),
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", otlp),
            ],
        ),
    ] {
        let context = Context::three_stages(&format!("serve-{daemon}"));
        let host = bed.fact(&format!("/buildkitd/{daemon}/unix"));
        let mut up = Dagger::new(context.path(), &["up", "--log-format", "plain"])
            .env("BUILDKIT_HOST", &host)
            .env("JAEGER_QUERY_URL", &serve.url());
        for (key, value) in &variables {
            up = up.env(key, value);
        }
        // Its own store is elsewhere: all that the server has was sent to it.
        let trace = up.run().expect(0).trace();
        verify(&serve, &trace);
        let ids = span_ids_of(&serve.url(), &trace);
        let unique: HashSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), unique.len(), "{daemon}");
        let services = serve.get("/api/services")["data"].to_string();
        assert!(
            services.contains("buildkitd") && services.contains("dagger"),
            "{services}"
        );
    }
}

#[test]
fn a_run_that_is_recorded_here_and_received_again_is_one() {
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path(), &COLLECTOR);
    let bed = daemons_of(&serve, "-once", &["buildkitd"]);
    let context = Context::three_stages("serve-once");
    let trace = Dagger::new(context.path(), &["up", "--log-format", "plain"])
        .env("BUILDKIT_HOST", &bed.fact("/buildkitd/http/unix"))
        .env("JAEGER_QUERY_URL", &serve.url())
        .env("OTEL_EXPORTER_JAEGER_ENDPOINT", &serve.at("collector"))
        .env("XDG_STATE_HOME", &state.path().display().to_string())
        .run()
        .expect(0)
        .trace();
    verify(&serve, &trace);
    let runs = serve.get("/api/dagger/runs");
    let of_trace: Vec<_> = runs["runs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|run| run["trace"] == trace.as_str())
        .collect();
    assert_eq!(of_trace.len(), 1, "{runs}");
    assert_eq!(
        (&of_trace[0]["name"], &of_trace[0]["exit_code"]),
        (&json!("dagger up"), &json!(0))
    );
    let ids = span_ids_of(&serve.url(), &trace);
    let unique: HashSet<_> = ids.iter().collect();
    assert_eq!(
        (ids.len(), of_trace[0]["spans"].as_u64().unwrap()),
        (unique.len(), ids.len() as u64)
    );
    // The copy with nanoseconds is the one that stays.
    let store = Store::open(&state.path().join("dagger")).unwrap();
    let spans = store.trace(trace.parse().unwrap()).unwrap();
    let fine = spans
        .iter()
        .filter(|span| span.start_ns % 1_000 != 0)
        .count();
    assert!(fine * 2 > spans.len(), "{fine} of {}", spans.len());
}

#[test]
fn the_usual_variables_work_with_it_as_with_jaeger() {
    let _ports = contracts_ports();
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::at_its_own_addresses(state.path(), &["--collector"]);
    assert_eq!(serve.url(), "http://127.0.0.1:16686");
    assert_eq!(serve.at("agent"), "localhost:6831");
    let bed = daemons_of(&serve, "-usual", &["buildkitd", "buildkitd:udp"]);
    for (daemon, variable, value) in [
        (
            "http",
            "OTEL_EXPORTER_JAEGER_ENDPOINT",
            "http://localhost:14268/api/traces",
        ),
        ("udp", "JAEGER_TRACE", "localhost:6831"),
    ] {
        let context = Context::three_stages(&format!("serve-usual-{daemon}"));
        let own = tempfile::tempdir().unwrap();
        let dagger = |args: &[&str]| {
            Dagger::new(context.path(), args)
                .env(
                    "BUILDKIT_HOST",
                    &bed.fact(&format!("/buildkitd/{daemon}/unix")),
                )
                .env("XDG_STATE_HOME", &own.path().display().to_string())
                .env("JAEGER_QUERY_URL", "")
                .env(variable, value)
        };
        let trace = dagger(&["up"]).run().expect(0).trace();
        // The last run of this directory, by its record; at the default address.
        dagger(&["trace", "verify"]).run().expect(0);
        let found = serve.get(&format!("/api/traces/{trace}"));
        let processes = found["data"][0]["processes"].as_object().unwrap();
        let services: HashSet<_> = processes
            .values()
            .map(|process| process["serviceName"].as_str().unwrap())
            .collect();
        assert_eq!(services, HashSet::from(["buildkitd", "dagger"]), "{daemon}");
    }
}

/// A batch of these spans, in binary thrift.
fn thrift(trace: u64, ids: &[u64]) -> Vec<u8> {
    let mut bytes = b"\x0c\0\x01\x0b\0\x01\0\0\0\x06killed\0\x0f\0\x02\x0c".to_vec();
    bytes.extend((ids.len() as u32).to_be_bytes());
    for id in ids {
        for (field, number) in [(1, trace), (3, *id), (8, 1_764_000_000_000_000), (9, 7)] {
            bytes.extend([10, 0, field]);
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(b"\x0b\0\x05\0\0\0\x04work\0");
    }
    bytes.push(0);
    bytes
}

/// The same in OTLP's JSON.
fn otlp(trace: u64, ids: &[u64]) -> Vec<u8> {
    let span = |id: &u64| {
        json!({
            "traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "name": "work",
            "startTimeUnixNano": "1764000000000000000", "endTimeUnixNano": "1764000000000007000",
        })
    };
    let spans: Vec<_> = ids.iter().map(span).collect();
    let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    request.to_string().into_bytes()
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    const SENDERS: u64 = 6;
    let state = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let acknowledged = Arc::new(Mutex::new(Vec::<(u64, u64)>::new()));
    for round in 0..4_u64 {
        let serve = Serve::start(state.path(), &COLLECTOR);
        let before = acknowledged.lock().unwrap().len();
        let mut senders = Vec::new();
        for sender in 0..SENDERS {
            let (url, kind) = if sender % 2 == 0 {
                (serve.at("collector"), "application/x-thrift")
            } else {
                (serve.at("OTLP"), "application/json")
            };
            let acknowledged = acknowledged.clone();
            let trace = 1 + round * SENDERS + sender;
            senders.push(runtime.spawn(async move {
                let client = reqwest::Client::new();
                for batch in 0.. {
                    let ids: Vec<u64> = (1..=20).map(|id| batch * 20 + id).collect();
                    let body = if kind == "application/json" {
                        otlp(trace, &ids)
                    } else {
                        thrift(trace, &ids)
                    };
                    let request = client.post(&url).header("content-type", kind).body(body);
                    match request.send().await {
                        Ok(answer) if answer.status().is_success() => {
                            let mut acknowledged = acknowledged.lock().unwrap();
                            acknowledged.extend(ids.iter().map(|id| (trace, *id)));
                        }
                        Ok(answer) => assert_eq!(answer.status().as_u16(), 503),
                        Err(_) => return,
                    }
                }
            }));
        }
        // At some moment when batches are under way.
        let wanted = before + 1_000 * (1 + usize::try_from(round).unwrap());
        while acknowledged.lock().unwrap().len() < wanted {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(serve.end("-KILL"), -1);
        for sender in senders {
            runtime.block_on(sender).unwrap();
        }
        let store = Store::open(&state.path().join("dagger")).unwrap();
        let acknowledged = acknowledged.lock().unwrap();
        for trace in 1..=(round + 1) * SENDERS {
            let stored = store.trace(TraceId(trace.into())).unwrap();
            let stored: HashSet<u64> = stored.iter().map(|span| span.id.0).collect();
            let lost: Vec<_> = acknowledged
                .iter()
                .filter(|(of, id)| *of == trace && !stored.contains(id))
                .collect();
            assert!(
                lost.is_empty(),
                "round {round}: {} of trace {trace}",
                lost.len()
            );
        }
    }
}
