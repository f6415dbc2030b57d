//! Spans that a dead collector did not take wait in the store, and are delivered once.

use std::collections::BTreeSet;
use std::path::Path;

use dagger::trace::store::{RunFilter, Store};

use crate::support::{Context, Dagger, Engine, Finished, bed, span_ids};

/// Nothing listens on port 1.
const DEAD: &str = "http://127.0.0.1:1/api/traces";

/// A build whose collector is dead, and whose spans therefore wait.
fn refused(context: &Context) -> Finished {
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .env("OTEL_EXPORTER_JAEGER_ENDPOINT", DEAD)
        .run()
        .expect(0);
    let told = "they wait for the next run or `dagger trace push`";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    run
}

fn push(state: &Path, args: &[&str]) -> Dagger {
    let all: Vec<_> = ["trace", "push"].iter().chain(args).copied().collect();
    Dagger::new(Path::new("/"), &all)
        .env("XDG_STATE_HOME", &state.display().to_string())
        .with_collector()
}

/// The ids that the local store has of a trace.
fn recorded(state: &Path, trace: &str) -> BTreeSet<String> {
    let store = Store::open_existing(&state.join("dagger"))
        .unwrap()
        .unwrap();
    let spans = store.trace(trace.parse().unwrap()).unwrap();
    spans.iter().map(|span| span.id.to_string()).collect()
}

/// Every span of the trace stands in Jaeger, once.
fn assert_there_once(state: &Path, trace: &str) {
    let found = span_ids(trace);
    let once: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(once.len(), found.len(), "a span is there twice");
    assert_eq!(once, recorded(state, trace));
}

#[test]
fn ten_pushers_at_once_deliver_each_span_once() {
    let context = Context::three_stages("push");
    let run = refused(&context);
    let state = run.state.path();
    let elsewhere = push(state, &[]).run().expect(4);
    let told = format!("still wait for collector {DEAD}: no variable names it now");
    assert!(elsewhere.stderr.contains(&told), "{}", elsewhere.stderr);
    assert!(span_ids(&run.trace()).is_empty());

    let pushes: Vec<_> = (0..10).map(|_| push(state, &["--all"]).spawn()).collect();
    for pushed in pushes {
        Finished::wait(pushed).expect(0);
    }
    assert_there_once(state, &run.trace());
    // The run's record says that nothing is lost any more.
    run.verify(&["--timeout", "5s"]).expect(0);
    let again = push(state, &["--all"]).run().expect(0);
    assert_eq!(again.stdout, "nothing waits\n");
}

#[test]
fn the_next_run_delivers_what_waits() {
    let context = Context::three_stages("push-next");
    // Jaeger's collector by an address that leads nowhere at first.
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let relayed = format!("http://127.0.0.1:{port}/api/traces");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .env("OTEL_EXPORTER_JAEGER_ENDPOINT", &relayed)
        .run()
        .expect(0);
    let state = run.state.path().display().to_string();
    let collector = bed().collector();
    let to = collector
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap();
    crate::support::relay(port, to);
    // The steps of the second build take a moment, as they were never run before.
    context.write("hello.txt", "hello again\n");
    let next = Dagger::up(context.path(), Engine::Mute, &[])
        .env("OTEL_EXPORTER_JAEGER_ENDPOINT", &relayed)
        .env("XDG_STATE_HOME", &state)
        .run()
        .expect(0);
    let told = "spans of earlier runs that had waited were delivered";
    assert!(next.stderr.contains(told), "{}", next.stderr);
    assert_there_once(run.state.path(), &run.trace());
    assert_there_once(run.state.path(), &next.trace());
    let store = Store::open_existing(&run.state.path().join("dagger"));
    let runs = store.unwrap().unwrap().runs(&RunFilter::default()).unwrap();
    for run in runs {
        assert!(run.record.unwrap().export.clean());
    }
}

#[test]
fn a_push_that_fails_says_where_and_why_and_loses_nothing() {
    let context = Context::three_stages("push-fails");
    let run = refused(&context);
    let state = run.state.path();
    let failed = push(state, &[])
        .env("OTEL_EXPORTER_JAEGER_ENDPOINT", DEAD)
        .run()
        .expect(4);
    let told = format!("still wait for collector {DEAD}: connection refused");
    assert!(failed.stderr.contains(&told), "{}", failed.stderr);
    let nowhere = Dagger::new(Path::new("/"), &["trace", "push"])
        .env("XDG_STATE_HOME", &state.display().to_string())
        .run()
        .expect(4);
    assert!(
        nowhere.stderr.contains("JAEGER_TRACE"),
        "{}",
        nowhere.stderr
    );
    push(state, &["--all", "zzzz"]).run().expect(2);
    let other = refused(&context);
    assert!(recorded(other.state.path(), &other.trace()).len() > 30);
    push(state, &["--all", &run.trace()]).run().expect(0);
    assert_there_once(state, &run.trace());
}

#[test]
fn what_is_too_much_or_too_old_is_dropped_and_told() {
    let context = Context::three_stages("push-limits");
    let run = refused(&context);
    let state = run.state.path().display().to_string();
    let next = Dagger::up(context.path(), Engine::Mute, &[])
        .env("XDG_STATE_HOME", &state)
        .env("DAGGER_SPOOL_SPANS", "5")
        .run()
        .expect(0);
    let told = "spans of earlier runs waited too long, or too many did, and were dropped";
    assert!(next.stderr.contains(told), "{}", next.stderr);
    let store = Store::open_existing(&run.state.path().join("dagger"));
    let store = store.unwrap().unwrap();
    let waiting = store.waiting(u64::MAX / 4).unwrap();
    assert_eq!(waiting.iter().map(|waiting| waiting.spans).sum::<u64>(), 5);
    let newest = store.runs(&RunFilter::default()).unwrap().remove(0);
    let spool = newest.record.unwrap().export.spool.unwrap();
    assert!(spool.dropped > 30, "{spool:?}");
}

#[test]
fn credentials_are_used_and_not_stored() {
    let context = Context::three_stages("push-secret");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .env(
            "OTEL_EXPORTER_JAEGER_ENDPOINT",
            "http://me:hunter2@127.0.0.1:1/api/traces?token=hunter2",
        )
        .env("JAEGER_QUERY_URL", "http://me:hunter2@127.0.0.1:1")
        .run()
        .expect(0);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    for file in std::fs::read_dir(run.state.path().join("dagger")).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(7).any(|window| window == b"hunter2");
        assert!(!found, "{}", path.display());
    }
}

#[test]
fn a_run_that_was_never_exported_is_pushed_by_its_name_once() {
    let context = Context::three_stages("push-later");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .run()
        .expect(0);
    let state = run.state.path();
    assert_eq!(push(state, &[]).run().expect(0).stdout, "nothing waits\n");
    for _ in 0..2 {
        push(state, &["latest"]).run().expect(0);
        assert_there_once(state, &run.trace());
    }
    run.verify(&["--timeout", "5s"]).expect(0);

    // Imported, it is asked for before anything is sent.
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("trace.json").display().to_string();
    let here = |args: &[&str], state: &Path| {
        Dagger::new(Path::new("/"), args).env("XDG_STATE_HOME", &state.display().to_string())
    };
    here(&["trace", "export", "1", "-o", &file], state)
        .run()
        .expect(0);
    here(&["trace", "import", &file], other.path())
        .run()
        .expect(0);
    let pushed = push(other.path(), &["1"]).run().expect(0);
    assert!(
        pushed.stdout.contains("had arrived before"),
        "{}",
        pushed.stdout
    );
    assert_there_once(other.path(), &run.trace());
}
