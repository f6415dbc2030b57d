//! What `dagger trace verify` says of traces that are not what they should be, made by real faults.

use crate::support::{Context, Dagger, Engine, bed, without_traceparent};

/// The ids of the rules that failed.
fn failed(report: &serde_json::Value) -> Vec<String> {
    let results = report["results"].as_array().expect("results");
    let failed = results.iter().filter(|result| result["status"] == "fail");
    let mut ids: Vec<_> = failed
        .map(|result| result["id"].as_str().expect("an id").to_owned())
        .collect();
    ids.dedup();
    ids
}

#[test]
fn a_failed_build_has_a_whole_trace() {
    let context =
        Context::new("FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN echo why; exit 3\n");
    let run = Dagger::up(context.path(), Engine::Http, &["--no-cache"])
        .with_collector()
        .run()
        .expect(1);
    run.verify(&[]).expect(0);
}

#[test]
fn a_daemon_that_does_not_export_is_named() {
    let context = Context::three_stages("mute");
    let skip = ["--daemon-spans", "skip"];
    let run = Dagger::up(context.path(), Engine::Mute, &skip)
        .with_collector()
        .run()
        .expect(0);
    let verified = run.verify(&["--timeout", "3s"]).expect(1);
    let failed = failed(&verified.json());
    assert!(failed.contains(&"P003".to_owned()), "{failed:?}");
}

#[test]
fn a_trace_without_one_span_fails() {
    let context = Context::three_stages("one-lost");
    let run = Dagger::up(context.path(), Engine::Http, &[])
        .with_collector()
        .run()
        .expect(0);
    run.verify(&[]).expect(0);
    // As if the collector had lost a span: the record knows one that Jaeger does not have.
    let file = run.state.path().join("dagger/traces.db");
    let changed = rusqlite::Connection::open(file).unwrap().execute(
        "UPDATE runs SET record = json_insert(record, '$.export.spans[#]', '00000000000000aa')",
        [],
    );
    assert_eq!(changed, Ok(1));
    let verified = run.verify(&["--timeout", "2s"]).expect(1);
    assert_eq!(failed(&verified.json()), ["T007"]);
}

#[test]
fn a_dead_collector_is_one_warning_and_no_failed_build() {
    let context = Context::three_stages("dead-collector");
    let began = std::time::Instant::now();
    let run = Dagger::up(context.path(), Engine::Http, &[])
        .env(
            "OTEL_EXPORTER_JAEGER_ENDPOINT",
            "http://127.0.0.1:1/api/traces",
        )
        .run()
        .expect(0);
    assert!(began.elapsed().as_secs() < 60, "the exit was held up");
    assert_eq!(run.stderr.matches("warning:").count(), 1, "{}", run.stderr);
    // The daemon exported its part, ours is missing: the trace is there and has holes.
    let verified = run.verify(&["--timeout", "12s"]).expect(1);
    let failed = failed(&verified.json());
    assert!(failed.contains(&"T008".to_owned()), "{failed:?}");
}

#[test]
fn no_jaeger_is_exit_4() {
    let context = Context::three_stages("no-jaeger");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .with_collector()
        .run()
        .expect(0);
    run.verify(&["--timeout", "1s", "--jaeger-url", "http://127.0.0.1:1"])
        .expect(4);
}

#[test]
fn an_unknown_trace_is_exit_4() {
    let dir = std::path::Path::new("/");
    let args = [
        "trace",
        "verify",
        "0123456789abcdef0123456789abcdef",
        "--timeout",
        "1s",
    ];
    Dagger::new(dir, &args)
        .env("JAEGER_QUERY_URL", &bed().query_url())
        .run()
        .expect(4);
}

#[test]
fn a_daemon_that_got_no_context_is_named() {
    let context = Context::three_stages("no-context");
    let host = without_traceparent(&bed().tcp(Engine::Http));
    let run = Dagger::up(context.path(), Engine::Http, &[])
        .env("BUILDKIT_HOST", &host)
        .with_collector()
        .run()
        .expect(0);
    let verified = run.verify(&["--timeout", "8s"]).expect(1);
    // The daemon traced the build, but under a trace of its own.
    let failed = failed(&verified.json());
    assert!(failed.contains(&"P003".to_owned()), "{failed:?}");
}

#[test]
fn a_collector_that_never_answers_holds_the_exit_up_by_5_s_at_most() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/traces", listener.local_addr().unwrap());
    let context = Context::three_stages("slow-collector");
    Dagger::up(context.path(), Engine::Mute, &[])
        .run()
        .expect(0);
    let began = std::time::Instant::now();
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .env("OTEL_EXPORTER_JAEGER_ENDPOINT", &url)
        .run()
        .expect(0);
    let took = began.elapsed();
    assert!(took.as_secs() < 10, "{took:?}");
    assert!(
        run.stderr.contains("no answer within 5 s"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_wrong_collector_is_told_with_its_answer() {
    let url = format!("{}/api/nothing", bed().query_url());
    let context = Context::three_stages("wrong-collector");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .env("OTEL_EXPORTER_JAEGER_ENDPOINT", &url)
        .run()
        .expect(0);
    assert!(
        run.stderr.contains("warning:") && run.stderr.contains("is this the collector's address"),
        "{}",
        run.stderr
    );
}
