//! `dagger trace serve` on the local store: its page, Jaeger's query API, and how it begins and ends.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Context, Dagger, Engine, Serve};

/// A build on an engine that exports nowhere, recorded in this state directory.
fn build(context: &Context, state: &Path) -> String {
    Dagger::up(context.path(), Engine::Mute, &[])
        .env("XDG_STATE_HOME", &state.display().to_string())
        .run()
        .expect(0)
        .trace()
}

#[test]
fn a_local_run_is_verified_through_the_query_api() {
    let state = tempfile::tempdir().unwrap();
    let context = Context::three_stages("serve-local");
    let serve = Serve::start(state.path(), &[]);
    assert_eq!(serve.get("/api/services")["data"], serde_json::json!([]));
    let trace = build(&context, state.path());

    let services = serve.get("/api/services");
    assert_eq!(services["data"], serde_json::json!(["buildkitd", "dagger"]));
    let elsewhere = tempfile::tempdir().unwrap();
    Dagger::new(Path::new("/"), &["trace", "verify", &trace])
        .env("XDG_STATE_HOME", &elsewhere.path().display().to_string())
        .env("JAEGER_QUERY_URL", &serve.url())
        .run()
        .expect(0);

    let found = serve.get("/api/traces?service=dagger&operation=dagger%20up&limit=5");
    assert_eq!(found["data"][0]["traceID"], trace);
    let runs = serve.get("/api/dagger/runs?q=dagger-ctx+up");
    assert_eq!(runs["runs"][0]["trace"], trace);
    let run = serve.get(&format!("/api/dagger/runs/{trace}"));
    let rows = run["spans"]["id"].as_array().unwrap().len();
    let spans = serve.get(&format!("/api/traces/{trace}"))["data"][0]["spans"].clone();
    assert_eq!(rows, spans.as_array().unwrap().len());
    assert_eq!(serve.end("-INT"), 0);
}

#[test]
fn events_tell_of_a_build_while_it_runs() {
    let state = tempfile::tempdir().unwrap();
    let context = Context::three_stages("serve-events");
    let serve = Serve::start(state.path(), &[]);
    let mut listener = Command::new("curl")
        .args(["-sN", &format!("{}/api/dagger/events", serve.url())])
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl can be run");
    let mut lines = BufReader::new(listener.stdout.take().unwrap()).lines();
    let mut next = |wanted: &str| -> Value {
        loop {
            let line = lines.next().expect("the line stays").expect("text");
            if line != format!("event: {wanted}") {
                continue;
            }
            loop {
                let line = lines.next().unwrap().unwrap();
                if let Some(data) = line.strip_prefix("data: ") {
                    return serde_json::from_str(data).unwrap();
                }
            }
        }
    };
    assert_eq!(next("hello")["version"], env!("CARGO_PKG_VERSION"));
    let trace = build(&context, state.path());
    let mut changes = Vec::new();
    loop {
        let told = next("run");
        assert_eq!(told["trace"], trace.as_str());
        changes.push(told["change"].as_str().unwrap().to_owned());
        if told["state"] == "done" {
            assert!(told["spans"].as_u64().unwrap() > 30, "{told}");
            break;
        }
        assert_eq!(told["state"], "running");
    }
    assert_eq!(changes[0], "appeared", "{changes:?}");
    // All listeners are let go at the end.
    assert_eq!(serve.end("-TERM"), 0);
    assert!(listener.wait().unwrap().success());
}

#[test]
fn an_address_in_use_is_told() {
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path(), &[]);
    let address = serve.url().replace("http://", "");
    let second = Dagger::new(Path::new("/"), &["trace", "serve", "--listen", &address])
        .run()
        .expect(2);
    let told = format!("error: cannot listen on {address}: another program listens there");
    assert!(second.stderr.contains(&told), "{}", second.stderr);
    assert!(
        second
            .stderr
            .contains("choose another address with --listen")
    );
    let none = Dagger::new(
        Path::new("/"),
        &["trace", "serve", "--listen", "192.0.2.1:1"],
    )
    .run()
    .expect(2);
    assert!(
        none.stderr.contains("this machine has no such address"),
        "{}",
        none.stderr
    );
}

#[test]
fn the_page_is_opened_in_the_browser_that_is_set() {
    let state = tempfile::tempdir().unwrap();
    let said = state.path().join("said");
    let browser = state.path().join("browser");
    std::fs::write(
        &browser,
        format!(
            "#!/bin/sh\necho \"$1\" > {0}.part && mv {0}.part {0}\n",
            said.display()
        ),
    )
    .unwrap();
    let made = Command::new("chmod").arg("+x").arg(&browser).status();
    assert!(made.unwrap().success());
    let serve = Serve::start_with(
        state.path(),
        &["--open"],
        &[("BROWSER", &browser.display().to_string())],
    );
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !said.exists() {
        assert!(
            std::time::Instant::now() < until,
            "the browser was not started"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let opened = std::fs::read_to_string(&said).unwrap();
    assert_eq!(opened.trim(), format!("{}/", serve.url()));
}
