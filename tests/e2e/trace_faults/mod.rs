//! What goes wrong around a traced build. Each time: the build's result is right, the exit comes, nothing is
//! lost without being told, and `dagger trace push` makes Jaeger whole afterwards.

mod backend;
mod disk;
mod killed;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use dagger::trace::store::{Run, RunFilter, Store};

use crate::support::{Context, Dagger, Engine, Finished, OwnJaeger, bed, span_ids_of};

/// Longer than any of these builds with all deadlines; a hang is not to hold up the whole suite.
const HANG: Duration = Duration::from_secs(60);

fn store(state: &Path) -> Store {
    Store::open_existing(&state.join("dagger"))
        .unwrap()
        .unwrap()
}

fn newest(state: &Path) -> Run {
    store(state).runs(&RunFilter::default()).unwrap().remove(0)
}

/// The ids that the store has of a run's trace.
fn recorded(state: &Path) -> BTreeSet<String> {
    let spans = store(state).trace(newest(state).begun.trace).unwrap();
    spans.iter().map(|span| span.id.to_string()).collect()
}

/// A build that was never made before, some steps long.
fn up(context: &Context, collector: &str) -> Dagger {
    Dagger::up(context.path(), Engine::Mute, &[]).env("OTEL_EXPORTER_JAEGER_ENDPOINT", collector)
}

/// A build that says `it begins`, and then takes some seconds.
pub(crate) fn long(salt: &str, seconds: u32) -> Context {
    Context::new(&format!(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin:/usr/bin\nRUN echo it begins; sleep {seconds} # {salt}\n"
    ))
}

/// Runs it, and does this as soon as its long step has begun.
pub(crate) fn meanwhile(dagger: Dagger, work: impl FnOnce(&mut std::process::Child)) -> Finished {
    let (mut child, state) = dagger.spawn();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = String::new();
    let mut work = Some(work);
    for line in &mut lines {
        let line = line.unwrap();
        told.push_str(&line);
        told.push('\n');
        if line.contains("it begins")
            && !line.contains("RUN")
            && let Some(work) = work.take()
        {
            work(&mut child);
        }
    }
    assert!(work.is_none(), "the step never began:\n{told}");
    Finished {
        code: child.wait().unwrap().code().unwrap_or(-1),
        stdout: String::new(),
        stderr: told,
        state,
    }
}

/// Runs it to its end, which comes.
fn in_time(dagger: Dagger) -> Finished {
    let began = Instant::now();
    let run = dagger.run();
    assert!(began.elapsed() < HANG, "it hung:\n{}", run.stderr);
    run
}

/// What was not exported waits, all of it, and that was said.
#[track_caller]
fn assert_waits(run: &Finished) {
    let told = "wait for the next run or `dagger trace push`";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    let export = newest(run.state.path()).record.unwrap().export;
    for route in &export.routes {
        assert_eq!(route.spooled, route.lost.len() as u64);
        assert!(
            route.delivered + route.spooled == export.total() as u64,
            "{export:?}"
        );
    }
}

/// `dagger trace push` to this collector, which takes all.
#[track_caller]
fn push(state: &Path, collector: &str, query_url: &str, args: &[&str]) -> Finished {
    let all: Vec<_> = ["trace", "push"].iter().chain(args).copied().collect();
    let push = Dagger::new(Path::new("/"), &all)
        .env("XDG_STATE_HOME", &state.display().to_string())
        .env("JAEGER_QUERY_URL", query_url)
        .env("OTEL_EXPORTER_JAEGER_ENDPOINT", collector);
    let pushed = in_time(push).expect(0);
    assert!(store(state).waiting(u64::MAX / 4).unwrap().is_empty());
    pushed
}

/// Every recorded span is in Jaeger, once.
#[track_caller]
fn assert_whole(state: &Path, query_url: &str) {
    let found = span_ids_of(query_url, &newest(state).begun.trace.to_string());
    let once: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(once.len(), found.len(), "a span is there twice");
    assert_eq!(once, recorded(state));
}

/// The same with the bed's Jaeger, after what waits was sent there.
#[track_caller]
fn assert_pushed_whole(run: &Finished) {
    let state = run.state.path();
    push(state, &bed().collector(), &bed().query_url(), &["--all"]);
    assert_whole(state, &bed().query_url());
}

fn own(jaeger: &OwnJaeger, dagger: Dagger) -> Dagger {
    dagger
        .env("OTEL_EXPORTER_JAEGER_ENDPOINT", &jaeger.collector())
        .env("JAEGER_QUERY_URL", &jaeger.query_url())
}
