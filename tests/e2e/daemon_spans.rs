//! Daemons whose variables cannot be read: their spans stand in Jaeger once, whether they export or not, and
//! what was seen of them is remembered.

use std::collections::BTreeSet;
use std::path::Path;

use dagger::trace::report::DaemonReport;
use dagger::trace::store::{RunFilter, Store};

use crate::support::{Context, Dagger, Engine, Finished, OwnJaeger, bed, span_ids, span_ids_of};

fn store(state: &Path) -> Store {
    Store::open_existing(&state.join("dagger"))
        .unwrap()
        .unwrap()
}

/// What the newest run says of the daemon's spans.
fn daemon(state: &Path) -> DaemonReport {
    let newest = store(state).runs(&RunFilter::default()).unwrap().remove(0);
    newest.record.unwrap().export.daemon.unwrap()
}

fn up(context: &Context, engine: Engine, state: &Path) -> Finished {
    Dagger::up(context.path(), engine, &[])
        .with_collector()
        .env("BUILDKIT_HOST", &bed().tcp(engine))
        .env("XDG_STATE_HOME", &state.display().to_string())
        .run()
        .expect(0)
}

/// Waits until the daemon would have sent its spans, and settles what is left.
fn push(state: &Path) -> String {
    let push = Dagger::new(Path::new("/"), &["trace", "push"])
        .with_collector()
        .env("XDG_STATE_HOME", &state.display().to_string());
    push.run().expect(0).stdout
}

#[track_caller]
fn assert_there_once(state: &Path, run: &Finished) {
    let found = span_ids(&run.trace());
    let once: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(once.len(), found.len(), "a span is there twice");
    let spans = store(state).trace(run.trace().parse().unwrap()).unwrap();
    assert!(spans.iter().any(|span| span.service() == "buildkitd"));
    let recorded = spans.iter().map(|span| span.id.to_string()).collect();
    assert_eq!(once, recorded);
}

#[test]
fn of_one_that_exports_nowhere_we_send_them_once_that_is_known() {
    let context = Context::three_stages("daemon-mute");
    let state = tempfile::tempdir().unwrap();
    let first = up(&context, Engine::Mute, state.path());
    assert!(!daemon(state.path()).imported);
    let pushed = push(state.path());
    assert!(pushed.contains("of 1 trace went to"), "{pushed}");
    assert_there_once(state.path(), &first);
    assert!(daemon(state.path()).imported, "the record says it now");

    let second = up(&context, Engine::Mute, state.path());
    let report = daemon(state.path());
    assert!(report.imported, "{report:?}");
    assert!(
        report.why.contains("did not come by themselves before"),
        "{}",
        report.why
    );
    assert_there_once(state.path(), &second);
    assert_eq!(push(state.path()), "nothing waits\n");
}

#[test]
fn to_verify_the_first_trace_makes_it_whole() {
    let context = Context::three_stages("daemon-verified");
    let state = tempfile::tempdir().unwrap();
    for (engine, sent) in [(Engine::Mute, true), (Engine::Http, false)] {
        let run = up(&context, engine, state.path());
        assert!(!daemon(state.path()).imported);
        let verify = Dagger::new(Path::new("/"), &["trace", "verify", &run.trace()])
            .with_collector()
            .env("XDG_STATE_HOME", &state.path().display().to_string());
        let verified = verify.run().expect(0);
        let told = verified.stderr.contains("had not come by themselves");
        assert_eq!(told, sent, "{}", verified.stderr);
        assert_there_once(state.path(), &run);
        assert_eq!(daemon(state.path()).imported, sent);
    }
    up(&context, Engine::Mute, state.path());
    assert!(daemon(state.path()).imported, "it is known now");
}

#[test]
fn of_one_that_exports_itself_we_send_none() {
    let context = Context::three_stages("daemon-http");
    let state = tempfile::tempdir().unwrap();
    let first = up(&context, Engine::Http, state.path());
    let pushed = push(state.path());
    assert!(pushed.contains("had arrived before"), "{pushed}");
    assert!(!pushed.contains("went to"), "{pushed}");
    assert_there_once(state.path(), &first);

    up(&context, Engine::Http, state.path());
    let report = daemon(state.path());
    assert!(!report.imported, "{report:?}");
    assert!(
        report.why.contains("came by themselves before"),
        "{}",
        report.why
    );
    assert_eq!(push(state.path()), "nothing waits\n");
}

#[test]
fn a_build_of_some_length_tells_at_once() {
    let context = Context::new(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin:/usr/bin\nRUN sleep 14 # long\n",
    );
    for (engine, imported) in [(Engine::Mute, true), (Engine::Http, false)] {
        let state = tempfile::tempdir().unwrap();
        let run = up(&context, engine, state.path());
        let report = daemon(state.path());
        assert_eq!(report.imported, imported, "{report:?}");
        if imported {
            assert_there_once(state.path(), &run);
        }
    }
}

#[test]
fn one_that_exports_elsewhere_leaves_no_hole_here() {
    let context = Context::three_stages("daemon-elsewhere");
    let state = tempfile::tempdir().unwrap();
    let mut jaeger = OwnJaeger::forgetful();
    jaeger.start();
    // Its variables can be read, and name a Jaeger: another one.
    let here = |dagger: Dagger| {
        dagger
            .env("OTEL_EXPORTER_JAEGER_ENDPOINT", &jaeger.collector())
            .env("JAEGER_QUERY_URL", &jaeger.query_url())
            .env("XDG_STATE_HOME", &state.path().display().to_string())
            .run()
            .expect(0)
    };
    let ids = |run: &Finished| {
        let mut ids = span_ids_of(&jaeger.query_url(), &run.trace());
        ids.sort();
        ids
    };
    let recorded = |run: &Finished| {
        let spans = store(state.path())
            .trace(run.trace().parse().unwrap())
            .unwrap();
        let mut ids: Vec<_> = spans.iter().map(|span| span.id.to_string()).collect();
        ids.sort();
        ids
    };
    let first = here(Dagger::up(context.path(), Engine::Http, &[]));
    let why = daemon(state.path()).why;
    assert!(
        why.contains("whether they come here is seen later"),
        "{why}"
    );
    here(Dagger::new(Path::new("/"), &["trace", "push"]));
    assert_eq!(ids(&first), recorded(&first));
    let second = here(Dagger::up(context.path(), Engine::Http, &[]));
    assert!(daemon(state.path()).imported);
    assert_eq!(ids(&second), recorded(&second));
}
