//! The store reads back what it wrote, whoever writes beside it.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::trace::model::{Event, Kind, Link, Resource, Span, SpanId, Status, TraceId, Value};
use crate::trace::report::{ExportReport, RunRecord};

pub(super) const TRACE: TraceId = TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);

pub(super) fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

pub(super) fn new_run(started_ns: u64) -> NewRun {
    NewRun {
        trace: TRACE,
        root: Some(SpanId(1)),
        remote_parent: None,
        service: "dagger".into(),
        command: "up".into(),
        args: "up .".into(),
        directory: "/project".into(),
        started_ns,
        pid: std::process::id(),
        plan_digest: None,
    }
}

pub(super) fn record(exit_code: i32) -> RunRecord {
    RunRecord {
        schema: 1,
        trace: TRACE.to_string(),
        root: SpanId(1).to_string(),
        remote_parent: None,
        service: "dagger".into(),
        command: "up".into(),
        directory: "/project".into(),
        started_ms: 1,
        exit_code,
        query_url: None,
        secrets: Vec::new(),
        export: ExportReport::default(),
    }
}

pub(super) fn span(id: u64) -> Span {
    Span {
        trace: TRACE,
        id: SpanId(id),
        parent: (id > 1).then_some(SpanId(1)),
        name: format!("span {id}"),
        kind: Kind::Client,
        start_ns: 1_000 + id,
        end_ns: 2_000 + id,
        status: Status::Unset,
        attributes: vec![("key".into(), Value::Int(i64::MIN))],
        events: Vec::new(),
        links: Vec::new(),
        resource: Arc::new(Resource {
            service: "dagger".into(),
            attributes: Vec::new(),
        }),
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::Str),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        Just(Value::Float(f64::INFINITY)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_span_is_read_back_as_it_was(
        id in 1..=u64::MAX,
        name in any::<String>(),
        description in any::<String>(),
        attributes in prop::collection::vec((any::<String>(), value()), 0..6),
        at_ns in 0..i64::MAX as u64,
    ) {
        let (_dir, store) = store();
        let run = store.begin(&new_run(1)).unwrap();
        let mut span = span(2);
        span.id = SpanId(id);
        span.name = name.clone();
        span.status = Status::Error(description);
        span.events = vec![Event { name, at_ns, attributes: attributes.clone() }];
        span.links = vec![Link { trace: TRACE, span: SpanId(id), attributes: attributes.clone() }];
        span.attributes = attributes;
        store.append(run, std::slice::from_ref(&span)).unwrap();
        // NaN is no equal of itself, so the text is compared.
        prop_assert_eq!(format!("{:?}", store.trace(TRACE).unwrap()), format!("{:?}", [span]));
    }
}

#[test]
fn a_span_is_kept_once() {
    let (_dir, store) = store();
    let run = store.begin(&new_run(1)).unwrap();
    assert_eq!(store.append(run, &[span(1), span(2)]).unwrap(), 2);
    assert_eq!(store.append(run, &[span(2), span(3)]).unwrap(), 1);
    assert_eq!(store.trace(TRACE).unwrap().len(), 3);
    assert_eq!(store.run(run).unwrap().unwrap().spans, 3);
}

#[test]
fn a_run_of_a_process_that_is_gone_is_unfinished() {
    let (_dir, store) = store();
    let ours = store.begin(&new_run(1)).unwrap();
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .unwrap();
    let theirs = store
        .begin(&NewRun {
            pid: child.id(),
            ..new_run(2)
        })
        .unwrap();
    let state = |run| store.run(run).unwrap().unwrap().state;
    assert_eq!(
        (state(ours), state(theirs)),
        (State::Running, State::Running)
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(state(theirs), State::Unfinished);
    store.finish(ours, &record(3), 7).unwrap();
    let run = store.run(ours).unwrap().unwrap();
    assert_eq!(
        (run.state, run.exit_code, run.record),
        (State::Finished, Some(3), Some(record(3)))
    );
}

#[test]
fn ten_writers_at_once_lose_nothing() {
    let (dir, store) = store();
    std::thread::scope(|scope| {
        for writer in 0..10 {
            let dir = dir.path();
            scope.spawn(move || {
                // A connection of its own, as another process would have.
                let store = Store::open(dir).unwrap();
                let run = store.begin(&new_run(writer)).unwrap();
                for batch in 0..10 {
                    let first = 1 + writer * 1_000 + batch * 10;
                    let spans: Vec<_> = (first..first + 10).map(span).collect();
                    assert_eq!(store.append(run, &spans).unwrap(), 10);
                }
                store.finish(run, &record(0), writer + 1).unwrap();
            });
        }
    });
    assert_eq!(store.trace(TRACE).unwrap().len(), 1_000);
    assert_eq!(store.runs_of_trace(TRACE).unwrap().len(), 10);
}

#[test]
fn the_oldest_runs_go_first_and_a_running_one_stays() {
    let (_dir, store) = store();
    let running = store.begin(&new_run(0)).unwrap();
    for started in 1..=5 {
        let run = store.begin(&new_run(started)).unwrap();
        store.append(run, &[span(started)]).unwrap();
        store.finish(run, &record(0), started + 1).unwrap();
    }
    let limits = Limits {
        runs: Some(2),
        since_ns: None,
        bytes: None,
    };
    assert_eq!(store.prune(&limits).unwrap().runs, 3);
    let left: Vec<_> = store.runs(&RunFilter::default()).unwrap();
    let started: Vec<_> = left.iter().map(|run| run.begun.started_ns).collect();
    assert_eq!(started, [5, 4, 0]);
    assert_eq!(left[2].id, running);
    assert_eq!(store.trace(TRACE).unwrap().len(), 2);
}

#[test]
fn runs_are_found_by_what_is_asked() {
    let (_dir, store) = store();
    for (started, code) in [(10, 0), (20, 1)] {
        let run = store.begin(&new_run(started)).unwrap();
        store.finish(run, &record(code), started * 2).unwrap();
    }
    let count = |filter: RunFilter| store.runs(&filter).unwrap().len();
    let all = RunFilter::default;
    assert_eq!(
        count(RunFilter {
            since_ns: Some(15),
            ..all()
        }),
        1
    );
    assert_eq!(
        count(RunFilter {
            succeeded: Some(true),
            ..all()
        }),
        1
    );
    assert_eq!(
        count(RunFilter {
            min_duration_ns: Some(20),
            ..all()
        }),
        1
    );
    assert_eq!(
        count(RunFilter {
            directory: Some("/elsewhere".into()),
            ..all()
        }),
        0
    );
    assert_eq!(
        count(RunFilter {
            limit: Some(1),
            ..all()
        }),
        1
    );
}

#[test]
fn twenty_make_a_new_store_at_once() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..20)
                .map(|n| scope.spawn(move || Store::open(path)?.begin(&new_run(n))))
                .collect();
            for opened in opened {
                opened.join().unwrap().unwrap();
            }
        });
        let store = Store::open(path).unwrap();
        assert_eq!(store.runs(&RunFilter::default()).unwrap().len(), 20);
    }
}

#[test]
fn a_store_of_each_earlier_version_is_migrated_with_what_is_in_it() {
    for version in 1..super::schema::VERSION {
        let dir = tempfile::tempdir().unwrap();
        let old = rusqlite::Connection::open(dir.path().join("traces.db")).unwrap();
        super::schema::migrate_to(&old, version);
        old.execute_batch(
            "INSERT INTO runs (id, trace, service, command, args, directory, started_ns, pid, process)
             VALUES (7, x'00000000000000000000000000000001', 'dagger', 'up', '', '/', 5, 0, '');
             INSERT INTO spool (trace, span, kind, address, run, since_ns)
             VALUES (x'00000000000000000000000000000001', 2, 'agent', 'udp://h:1', 7, 5);",
        )
        .unwrap();
        drop(old);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(
            store.run(RunId(7)).unwrap().unwrap().begun.trace,
            TraceId(1)
        );
        let waiting = store.waiting(9).unwrap().remove(0);
        assert_eq!(
            (waiting.run, waiting.spans, waiting.due_ns),
            (RunId(7), 1, 0)
        );
    }
}

#[test]
fn a_damaged_file_and_a_newer_one_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Store::open_existing(dir.path()).unwrap().is_none());
    let file = dir.path().join("traces.db");
    std::fs::write(&file, vec![7; 8192]).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(error.help().contains("damaged"), "{error} {}", error.help());

    std::fs::remove_file(&file).unwrap();
    let store = Store::open(dir.path()).unwrap();
    store
        .with("write to", |connection| {
            connection.pragma_update(None, "user_version", 99)
        })
        .unwrap();
    drop(store);
    assert!(matches!(
        Store::open(dir.path()),
        Err(StoreError::Newer { found: 99, .. })
    ));
}

#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, store) = store();
    let mode = std::fs::metadata(store.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
