//! Spans are lost, doubled or changed on their way into Jaeger, in it, or on their way out of it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use super::{assert_found, found};
use crate::engines::{docker, docker_host};
use crate::support::{
    Context, Dagger, Engine, Finished, OwnJaeger, OwnJaeger2, bed, lossy_agent, silent_collector,
};

/// A build of one step that was never run before, and takes a moment.
fn one_step(salt: &str) -> Context {
    Context::new(&format!(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN echo lost {salt}; sleep 2\n"
    ))
}

#[test]
fn a_datagram_of_ours_that_is_lost_is_missed() {
    let context = one_step("faults-ours");
    let run = Dagger::up(context.path(), Engine::Mute, &["--daemon-spans=skip"])
        .env("JAEGER_TRACE", &lossy_agent(&bed().agent(), "echo lost"))
        .run()
        .expect(0);
    let verified = run.verify(&["--timeout=1s"]).expect(1);
    // With it went what was in the same datagram.
    assert!(found(&verified).contains("T007"), "{}", verified.stdout);
}

#[test]
fn a_datagram_of_the_daemon_that_is_lost_is_missed() {
    let agent = lossy_agent(&bed().agent(), "echo lost");
    let variable = format!("JAEGER_TRACE={agent}");
    let container = "faults-buildkit";
    let image = "docker.io/moby/buildkit:latest";
    let started = docker(&[
        "run",
        "-d",
        "--name",
        container,
        "--privileged",
        "--network=host",
        "--env",
        &variable,
        "--env",
        "OTEL_BSP_SCHEDULE_DELAY=200",
        image,
    ]);
    assert!(started.status.success(), "{started:?}");
    // Its own datagram has the step, as nothing else ends about when it does.
    let context = Context::new(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN sleep 1\nRUN echo lost; sleep 2\nRUN sleep 1\n",
    );
    let run = Dagger::up(context.path(), Engine::Mute, &["--daemon-spans=skip"])
        .env("BUILDKIT_HOST", &format!("docker-container://{container}"))
        .env("DOCKER_HOST", &docker_host())
        .with_collector()
        .run()
        .expect(0);
    let verified = run.verify(&["--timeout=8s"]);
    docker(&["rm", "--force", container]);
    assert_found(&verified, &["D002", "P004"]);
}

#[test]
fn a_jaeger_that_forgot_has_no_trace() {
    let mut jaeger = OwnJaeger::forgetful();
    jaeger.start();
    let context = Context::three_stages("faults-forgot");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .env("OTEL_EXPORTER_JAEGER_ENDPOINT", &jaeger.collector())
        .env("JAEGER_QUERY_URL", &jaeger.query_url())
        .run()
        .expect(0);
    let at = ["--timeout=1s", "--jaeger-url", &jaeger.query_url()];
    assert_found(&run.verify(&at).expect(0), &[]);
    jaeger.kill();
    jaeger.start();
    let verified = run.verify(&at).expect(4);
    assert!(found(&verified).contains("T001"), "{}", verified.stdout);
}

#[test]
fn a_batch_that_was_taken_without_an_answer_and_sent_again_stands_twice() {
    let to = bed().collector();
    let to = to.trim_start_matches("http://").split('/').next().unwrap();
    let context = Context::three_stages("faults-twice");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .env("OTEL_EXPORTER_JAEGER_ENDPOINT", &silent_collector(to))
        .run()
        .expect(0);
    // Nobody is there to be asked what had arrived.
    Dagger::new(context.path(), &["trace", "push", "--all"])
        .env("XDG_STATE_HOME", &run.state.path().display().to_string())
        .env("JAEGER_QUERY_URL", "")
        .with_collector()
        .run()
        .expect(0);
    assert_found(&run.verify(&["--timeout=1s"]).expect(0), &["T004"]);
}

/// The trace as Jaeger answers.
fn answer(run: &Finished) -> Value {
    let url = format!("{}/api/traces/{}?raw=true", bed().query_url(), run.trace());
    let curl = Command::new("curl").args(["-sSf", &url]).output().unwrap();
    serde_json::from_slice(&curl.stdout).unwrap()
}

#[test]
fn an_answer_with_another_trace_in_it_is_told() {
    let build = |salt: &str| {
        let context = Context::three_stages(salt);
        Dagger::up(context.path(), Engine::Mute, &[])
            .with_collector()
            .run()
            .expect(0)
    };
    let (run, other) = (build("faults-merged"), build("faults-merged-too"));
    let mut merged = answer(&run);
    let more = answer(&other)["data"][0].clone();
    merged["data"].as_array_mut().unwrap().push(more);
    // A cache before Jaeger that mixes its answers up.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, body) = (client.unwrap(), merged.to_string());
            let mut request = [0; 4_096];
            let _ = client.read(&mut request);
            let length = body.len();
            let _ = write!(
                client,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            );
        }
    });
    let verified = run
        .verify(&["--timeout=1s", "--jaeger-url", &url])
        .expect(1);
    assert_found(&verified, &["T006"]);
}

/// What `verify` says of a build whose spans went through this processor.
fn through(salt: &str, name: &str, settings: &str, rules: &[&str]) {
    let jaeger = OwnJaeger2::with(name, settings);
    let context = Context::three_stages(salt);
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .env("OTEL_EXPORTER_JAEGER_ENDPOINT", &jaeger.collector())
        .env("JAEGER_QUERY_URL", &jaeger.query_url())
        .run()
        .expect(0);
    let verified = run.verify(&["--timeout=1s", "--jaeger-url", &jaeger.query_url()]);
    assert_found(&verified, rules);
}

#[test]
fn a_collector_that_takes_attributes_out_is_told() {
    let settings = "{ actions: [{ key: buildkit.cached, action: delete }] }";
    through(
        "faults-attributes",
        "attributes",
        settings,
        &["C001", "C002"],
    );
    let settings = "{ actions: [{ key: dagger.exit_code, action: delete }] }";
    through("faults-exit-code", "attributes", settings, &["E002"]);
}

#[test]
fn a_collector_that_filters_spans_is_told() {
    let settings = r#"{ traces: { span: ['IsMatch(name, "RUN") and attributes["buildkit.cached"] != nil'] } }"#;
    through(
        "faults-steps",
        "filter",
        settings,
        &["C002", "P005", "T007"],
    );
    let settings = r#"{ traces: { span: ['name == "dagger up"'] } }"#;
    through("faults-root", "filter", settings, &["T002", "T003", "T007"]);
    let settings =
        r#"{ traces: { span: ['resource.attributes["service.name"] == "buildkitd"'] } }"#;
    through("faults-no-daemon", "filter", settings, &["P003", "T003"]);
}
