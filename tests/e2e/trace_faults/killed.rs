//! `dagger` or the daemon is killed in the middle of the build.

use std::process::{Child, Command};

use dagger::trace::model::Kind;
use dagger::trace::store::State;

use super::{
    assert_pushed_whole, assert_waits, assert_whole, long, meanwhile, newest, own, push, recorded,
    up,
};
use crate::support::{Bed, Dagger, Finished, OwnJaeger, bed, bed_dir};

const DEAD: &str = "http://127.0.0.1:1/api/traces";

fn kill(signal: &str, child: &Child) {
    let pid = child.id().to_string();
    let status = Command::new("kill").args([signal, &pid]).status();
    assert!(status.unwrap().success());
}

#[test]
fn an_interrupted_build_with_a_dead_collector_loses_nothing() {
    for signal in ["-INT", "-TERM"] {
        let context = long(&format!("fault{signal}"), 600);
        let run = meanwhile(up(&context, DEAD), |child| kill(signal, child)).expect(130);
        assert_waits(&run);
        assert_pushed_whole(&run);
    }
}

#[test]
fn two_interrupts_quit_at_once_and_what_had_ended_is_kept() {
    let context = long("fault-twice", 600);
    let run = meanwhile(up(&context, DEAD), |child| {
        kill("-INT", child);
        kill("-INT", child);
    });
    let run = run.expect(130);
    assert!(recorded(run.state.path()).len() > 3);
    assert_pushed_whole(&run);
}

#[test]
fn what_a_killed_build_had_done_is_pushed_once() {
    let context = long("fault-kill", 600);
    let mut jaeger = OwnJaeger::forgetful();
    jaeger.start();
    let killed = |dagger: Dagger| -> Finished {
        meanwhile(dagger, |child| {
            // Some of it is sent by then.
            std::thread::sleep(std::time::Duration::from_millis(1_500));
            kill("-KILL", child);
        })
        .expect(-1)
    };
    for dagger in [up(&context, DEAD), own(&jaeger, up(&context, ""))] {
        let run = killed(dagger.env("JAEGER_QUERY_URL", &jaeger.query_url()));
        let state = run.state.path();
        assert_eq!(newest(state).state, State::Unfinished);
        assert!(recorded(state).len() > 3);
        push(state, &jaeger.collector(), &jaeger.query_url(), &["--all"]);
        assert_whole(state, &jaeger.query_url());
        assert_tree(state);
    }
}

/// What was open when it was killed is there, marked, and the rest hangs below it; only what hangs under the
/// daemon's own spans, which nobody has read, has no parent.
fn assert_tree(state: &std::path::Path) {
    let run = newest(state);
    let spans = super::store(state).trace(run.begun.trace).unwrap();
    let unfinished: Vec<_> = spans
        .iter()
        .filter(|span| span.flag("dagger.unfinished") == Some(true))
        .collect();
    let root = unfinished.iter().find(|span| span.parent.is_none());
    let root = root.expect("the root");
    assert_eq!(
        (root.name.as_str(), Some(root.id)),
        ("dagger up", run.begun.root)
    );
    assert!(root.is_error());
    for name in ["solve", "moby.buildkit.v1.Control/Solve"] {
        assert!(unfinished.iter().any(|span| span.name == name), "{name}");
    }
    for span in spans.iter().filter(|span| span.kind != Kind::Server) {
        let known = |parent| spans.iter().any(|span| Some(span.id) == parent);
        assert!(span.parent.is_none() || known(span.parent), "{}", span.name);
    }
}

#[test]
fn the_daemon_is_killed_while_the_collector_is_dead() {
    let dir = bed_dir("-fault-daemon");
    let own = Bed::up(&dir, &["buildkitd:mute"]);
    let pid = std::fs::read_to_string(dir.join("pids/buildkitd-mute")).unwrap();
    let context = long("fault-daemon", 600);
    let dagger = up(&context, DEAD).env("BUILDKIT_HOST", &own.fact("/buildkitd/mute/unix"));
    let run = meanwhile(dagger, |_| {
        let killed = Command::new("kill").args(["-KILL", pid.trim()]).status();
        assert!(killed.unwrap().success());
    });
    let run = run.expect(3);
    assert!(run.stderr.contains("lost the engine"), "{}", run.stderr);
    assert_waits(&run);
    assert_pushed_whole(&run);
    let down = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/down");
    assert!(Command::new(down).arg(&dir).status().unwrap().success());
}

#[test]
fn ten_builds_at_once_on_one_store_lose_nothing() {
    let state = tempfile::tempdir().unwrap();
    let contexts: Vec<_> = (0..10)
        .map(|n| crate::support::Context::three_stages(&format!("fault-ten-{n}")))
        .collect();
    let runs: Vec<_> = contexts
        .iter()
        .map(|context| {
            up(context, DEAD)
                .env("XDG_STATE_HOME", &state.path().display().to_string())
                .spawn()
        })
        .collect();
    let runs: Vec<_> = runs
        .into_iter()
        .map(|run| Finished::wait(run).expect(0))
        .collect();
    push(
        state.path(),
        &bed().collector(),
        &bed().query_url(),
        &["--all"],
    );
    let store = super::store(state.path());
    for told in runs {
        let trace = told.trace();
        let mut found = crate::support::span_ids(&trace);
        let spans = store.trace(trace.parse().unwrap()).unwrap();
        let mut recorded: Vec<_> = spans.iter().map(|span| span.id.to_string()).collect();
        let run = store
            .runs_of_trace(trace.parse().unwrap())
            .unwrap()
            .remove(0);
        let export = run.record.unwrap().export;
        let daemon = export.daemon.unwrap();
        // Twenty processes on two cores may take too long for it; that is told.
        let unread = told
            .stderr
            .contains("the daemon's own spans could not be read");
        assert_eq!(daemon.error.is_some(), unread, "{}", told.stderr);
        assert_eq!(recorded.len(), export.spans.len() + daemon.spans.len());
        found.sort();
        recorded.sort();
        assert_eq!(found, recorded);
    }
}
