//! A build's spans and the daemon's stand in Jaeger as one tree, whichever way each of them takes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{Context, Dagger, Engine, Finished, bed};

/// What Jaeger holds of a trace, as stored.
fn stored(trace: &str) -> Value {
    let url = format!("{}/api/traces/{trace}?raw=true", bed().query_url());
    let output = std::process::Command::new("curl")
        .args(["-sSf", &url])
        .output()
        .expect("curl can be run");
    assert!(
        output.status.success(),
        "{url}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Holds a stored trace against what was promised, with code of its own: `verify` is under test too.
fn assert_one_tree(run: &Finished) {
    let answer = stored(&run.trace());
    let trace = &answer["data"][0];
    let processes = &trace["processes"];
    let spans = trace["spans"].as_array().expect("spans");
    let mut parents = BTreeMap::new();
    let mut services: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for span in spans {
        let id = span["spanID"].as_str().expect("an id");
        let parent = span["references"]
            .as_array()
            .into_iter()
            .flatten()
            .find_map(|reference| {
                (reference["refType"] == "CHILD_OF")
                    .then(|| reference["spanID"].as_str().expect("an id"))
            });
        assert_eq!(parents.insert(id, parent), None, "span {id} is there twice");
        let process = span["processID"].as_str().expect("a process");
        let service = processes[process]["serviceName"]
            .as_str()
            .expect("a service");
        services
            .entry(service)
            .or_default()
            .insert(span["operationName"].as_str().expect("a name"));
    }
    let roots: Vec<_> = parents
        .iter()
        .filter(|(_, parent)| parent.is_none())
        .collect();
    assert_eq!(roots.len(), 1, "roots: {roots:?}");
    for (id, parent) in &parents {
        assert!(
            parent.is_none_or(|parent| parents.contains_key(parent)),
            "span {id} is an orphan"
        );
    }
    assert_eq!(
        services.keys().copied().collect::<Vec<_>>(),
        ["buildkitd", "dagger"]
    );
    for name in [
        "dagger up",
        "connect",
        "solve",
        "moby.buildkit.v1.Control/Info",
        "moby.buildkit.v1.Control/ListWorkers",
        "moby.buildkit.v1.Control/Session",
        "moby.buildkit.v1.Control/Solve",
        "moby.buildkit.v1.Control/Status",
        "moby.filesync.v1.FileSync/DiffCopy",
    ] {
        assert!(
            services["dagger"].contains(name),
            "no span `{name}` of ours: {services:?}"
        );
    }
    let run_steps = |service: &str| {
        services[service]
            .iter()
            .filter(|name| name.contains("] RUN "))
            .count()
    };
    assert_eq!(
        (run_steps("dagger"), run_steps("buildkitd")),
        (3, 3),
        "{services:?}"
    );
}

fn builds_one_tree(salt: &str, engine: Engine, host: &str, route: fn(Dagger) -> Dagger) {
    let context = Context::three_stages(salt);
    let run = route(Dagger::up(context.path(), engine, &[]).env("BUILDKIT_HOST", host))
        .run()
        .expect(0);
    let verified = run.verify(&[]).expect(0);
    assert_eq!(verified.json()["exit_code"], 0);
    assert_one_tree(&run);
}

#[test]
fn over_unix_and_the_collector() {
    builds_one_tree(
        "unix-http",
        Engine::Http,
        &bed().unix(Engine::Http),
        Dagger::with_collector,
    );
}

#[test]
fn over_unix_and_the_agent() {
    builds_one_tree(
        "unix-udp",
        Engine::Udp,
        &bed().unix(Engine::Udp),
        Dagger::with_agent,
    );
}

#[test]
fn over_tcp_and_the_collector() {
    builds_one_tree(
        "tcp-http",
        Engine::Http,
        &bed().tcp(Engine::Http),
        Dagger::with_collector,
    );
}

#[test]
fn over_tcp_and_the_agent() {
    builds_one_tree(
        "tcp-udp",
        Engine::Udp,
        &bed().tcp(Engine::Udp),
        Dagger::with_agent,
    );
}

#[test]
fn a_cached_build_is_verified_too() {
    let context = Context::three_stages("cached");
    Dagger::up(context.path(), Engine::Http, &[])
        .run()
        .expect(0);
    let run = Dagger::up(context.path(), Engine::Http, &[])
        .with_collector()
        .run()
        .expect(0);
    assert!(run.stderr.contains("CACHED"), "{}", run.stderr);
    run.verify(&[]).expect(0);
}

#[test]
fn the_last_run_of_the_directory_is_verified_without_an_id() {
    let context = Context::three_stages("last-run");
    let run = Dagger::up(context.path(), Engine::Http, &[])
        .with_collector()
        .run()
        .expect(0);
    let state = run.state.path().display().to_string();
    let verify = |dir: &std::path::Path| {
        Dagger::new(dir, &["trace", "verify"])
            .env("XDG_STATE_HOME", &state)
            .run()
    };
    let here = verify(context.path()).expect(0);
    assert!(
        here.stdout.contains("PASS") || here.stderr.contains("PASS"),
        "{}{}",
        here.stdout,
        here.stderr
    );
    // Elsewhere there is no last run: that is said, and nothing passes.
    let elsewhere = verify(std::path::Path::new("/"));
    assert_ne!(elsewhere.code, 0, "{}", elsewhere.stdout);
}

#[test]
fn a_build_under_a_remote_parent_joins_its_trace() {
    let context = Context::three_stages("remote-parent");
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let run = Dagger::up(context.path(), Engine::Http, &[])
        .with_collector()
        .env("TRACEPARENT", parent)
        .run()
        .expect(0);
    assert_eq!(run.trace(), "0af7651916cd43dd8448eb211c80319c");
    run.verify(&[]).expect(0);
}

#[test]
fn an_interrupted_build_exits_with_130_and_its_trace_is_whole() {
    let context =
        Context::new("FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN echo begun; sleep 100\n");
    let started = Dagger::up(context.path(), Engine::Http, &[])
        .with_collector()
        .spawn();
    std::thread::sleep(std::time::Duration::from_secs(4));
    let pid = started.0.id().to_string();
    let kill = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .expect("kill can be run");
    assert!(kill.success());
    let run = Finished::wait(started).expect(130);
    run.verify(&[]).expect(0);
}

#[test]
fn a_step_that_another_build_had_begun_is_no_hole() {
    let dockerfile = "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN echo shared; sleep 4\n";
    let (one, two) = (Context::new(dockerfile), Context::new(dockerfile));
    let first = Dagger::up(one.path(), Engine::Http, &["--no-cache"]).spawn();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let second = Dagger::up(two.path(), Engine::Http, &[])
        .with_collector()
        .run()
        .expect(0);
    Finished::wait(first).expect(0);
    second.verify(&[]).expect(0);
}
