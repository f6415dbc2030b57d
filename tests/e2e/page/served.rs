//! The page as the real `dagger trace serve` gives it, on real builds.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use super::{browser, say, site};
use crate::plans::example;
use crate::support::{Context, Dagger, Engine, Finished, Serve, bed};

fn build(context: &Context, state: &std::path::Path, args: &[&str]) -> Dagger {
    Dagger::up(context.path(), Engine::Mute, args)
        .env("XDG_STATE_HOME", &state.display().to_string())
}

#[test]
fn build_is_seen_from_its_start_to_its_end() {
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path(), &[]);
    let steps = [("first", 0.6), ("second", 0.6), ("third", 4.0)];
    let mut plan =
        "version: 1\nactions:\n  base:\n    build: { context: base }\n  first:\n    from: base\n"
            .to_owned();
    // A new text, so that nothing of it is cached.
    let salt = state.path().display();
    for (place, (name, seconds)) in steps.iter().enumerate() {
        if let Some((before, _)) = place.checked_sub(1).and_then(|before| steps.get(before)) {
            plan.push_str(&format!("  {name}:\n    from: {before}\n"));
        }
        plan.push_str(&format!(
            "    run: \"sleep {seconds}; echo {name} {salt} >/{name}\"\n"
        ));
    }
    let context = Context::new("FROM scratch\n").with("dagger.yaml", &plan);
    context.write("base/Dockerfile", "FROM scratch\nADD rootfs.tar /\n");
    std::fs::rename(context.join("rootfs.tar"), context.join("base/rootfs.tar")).unwrap();

    let mut scenario = browser("build_is_seen_from_its_start_to_its_end")
        .arg(site())
        .arg(serve.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node can be run");
    let mut said = BufReader::new(scenario.stdout.take().unwrap()).lines();
    let first = said.next().map(|line| line.expect("text"));
    if first.as_deref() == Some("ready") {
        Finished::wait(build(&context, state.path(), &[]).spawn()).expect(0);
    }
    let ended = scenario.wait().unwrap();
    let mut wrong = String::new();
    let mut stderr = scenario.stderr.take().unwrap();
    stderr.read_to_string(&mut wrong).unwrap();
    assert!(ended.success(), "{first:?}\n{wrong}");
}

#[test]
fn real_runs_are_compared_and_their_plan_is_drawn() {
    let state = tempfile::tempdir().unwrap();
    let context = example("monorepo");
    // Nobody else builds the example there. Of a step under way for two builds the engine tells each of both.
    let build = |args| {
        let run =
            build(&context, state.path(), args).env("BUILDKIT_HOST", &bed().unix(Engine::Udp));
        run.run().expect(0)
    };
    let before = build(&[]).trace();
    let after = build(&["-w", "release=2"]);
    let trace = after.trace();
    let steps = after
        .stderr
        .lines()
        .find_map(|line| line.split_once(" steps, "));
    let (steps, _) = steps.expect("a summary");
    let serve = Serve::start(state.path(), &[]);
    for name in [
        "plan_is_a_graph_with_its_times",
        "run_is_compared_with_the_one_before",
    ] {
        let output = browser(name)
            .arg(site())
            .args([&serve.url(), &trace, &before, steps])
            .output()
            .expect("node can be run");
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {wrong}\n{}", after.stderr);
        say(&String::from_utf8_lossy(&output.stdout));
    }
}
