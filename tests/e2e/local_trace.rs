//! With no variable set the whole trace is in the local store, the daemon's spans included.

use std::collections::HashSet;

use dagger::trace::model::Span;
use dagger::trace::store::{Run, RunFilter, State, Store};

use crate::support::{Context, Dagger, Engine, Finished};

fn stored(run: &Finished) -> (Run, Vec<Span>) {
    let store = Store::open_existing(&run.state.path().join("dagger"));
    let store = store.unwrap().expect("a store");
    let mut runs = store.runs(&RunFilter::default()).unwrap();
    assert_eq!(runs.len(), 1);
    let run = runs.remove(0);
    let spans = store.trace(run.begun.trace).unwrap();
    (run, spans)
}

/// One root, and every parent is there.
fn assert_whole(spans: &[Span]) {
    let ids: HashSet<_> = spans.iter().map(|span| span.id).collect();
    assert_eq!(ids.len(), spans.len(), "an id twice");
    let orphans: Vec<_> = spans
        .iter()
        .filter(|span| span.parent.is_some_and(|parent| !ids.contains(&parent)))
        .map(|span| (&span.name, span.service()))
        .collect();
    assert!(orphans.is_empty(), "{orphans:?}");
    let roots = spans.iter().filter(|span| span.parent.is_none()).count();
    assert_eq!(roots, 1);
    for service in ["dagger", "buildkitd"] {
        let has = spans.iter().any(|span| span.service() == service);
        assert!(has, "no span of {service}");
    }
}

#[test]
fn a_good_a_cached_and_a_failed_build_are_whole() {
    let context = Context::three_stages("local-trace");
    for _ in 0..2 {
        let up = Dagger::up(context.path(), Engine::Mute, &[])
            .run()
            .expect(0);
        let (run, spans) = stored(&up);
        assert_eq!((run.state, run.exit_code), (State::Finished, Some(0)));
        assert_whole(&spans);
    }
    context.write(
        "Dockerfile",
        "FROM scratch\nADD rootfs.tar /\nRUN /bin/false\n",
    );
    let up = Dagger::up(context.path(), Engine::Mute, &[])
        .run()
        .expect(1);
    let (run, spans) = stored(&up);
    assert_eq!(run.exit_code, Some(1));
    assert_whole(&spans);
}

#[test]
fn what_is_not_exported_is_whole_here_all_the_same() {
    let context = Context::three_stages("local-unsampled");
    let up = || Dagger::up(context.path(), Engine::Mute, &[]).with_collector();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    for run in [
        up().env("OTEL_TRACES_SAMPLER", "always_off"),
        up().env("OTEL_SDK_DISABLED", "true"),
        up().env("OTEL_TRACES_EXPORTER", "none"),
        up().env("TRACEPARENT", parent),
    ] {
        let up = run.run().expect(0);
        let (run, mut spans) = stored(&up);
        for span in &mut spans {
            span.parent = span
                .parent
                .filter(|parent| Some(*parent) != run.begun.remote_parent);
        }
        assert_whole(&spans);
        assert!(crate::support::span_ids(&up.trace()).is_empty());
        assert!(up.stderr.contains("sent nowhere"), "{}", up.stderr);
    }
}

#[test]
fn a_killed_run_is_readable_and_marked_unfinished() {
    let context =
        Context::new("FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN sleep 60 # killed\n");
    let (mut child, state) = Dagger::up(context.path(), Engine::Mute, &[]).spawn();
    let dir = state.path().join("dagger");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let spans = |store: &Store| {
        let runs = store.runs(&RunFilter::default()).unwrap();
        runs.first().map_or(0, |run| run.spans)
    };
    let store = loop {
        assert!(std::time::Instant::now() < until, "nothing was recorded");
        match Store::open_existing(&dir) {
            Ok(Some(store)) if spans(&store) > 3 => break store,
            _ => std::thread::sleep(std::time::Duration::from_millis(100)),
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    let run = store.runs(&RunFilter::default()).unwrap().remove(0);
    assert_eq!((run.state, run.exit_code), (State::Unfinished, None));
    assert!(store.trace(run.begun.trace).unwrap().len() > 3);
}

#[test]
fn a_store_that_cannot_be_written_is_one_warning_and_no_failed_build() {
    let context = Context::three_stages("local-broken");
    let up = Dagger::up(context.path(), Engine::Mute, &[])
        .env("XDG_STATE_HOME", "/proc/nowhere")
        .run()
        .expect(0);
    let told = up.stderr.matches("the local trace is not whole").count();
    assert_eq!(told, 1, "{}", up.stderr);
}
