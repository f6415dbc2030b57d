//! Whoever exports, the daemon or we or both: every span stands in Jaeger once, and the tree is whole.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use dagger::trace::store::{RunFilter, Store};
use serde_json::Value;

use crate::support::{Context, Dagger, Engine, Finished, bed};

const ENGINES: [Engine; 3] = [Engine::Http, Engine::Udp, Engine::Mute];

/// Our ways out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ours {
    Collector,
    Agent,
    Both,
    Otlp,
    Nowhere,
}

const OURS: [Ours; 5] = [
    Ours::Collector,
    Ours::Agent,
    Ours::Both,
    Ours::Otlp,
    Ours::Nowhere,
];

impl Ours {
    fn of(self, run: Dagger) -> Dagger {
        match self {
            Self::Collector => run.with_collector(),
            Self::Agent => run.with_agent(),
            Self::Both => run.with_collector().with_agent(),
            Self::Otlp => run.env("OTEL_EXPORTER_OTLP_ENDPOINT", &bed().otlp_http()),
            Self::Nowhere => run,
        }
    }
}

/// The record of a run, and the ids of its local trace.
fn local(run: &Finished) -> (Value, Vec<String>) {
    let store = Store::open_existing(&run.state.path().join("dagger"));
    let store = store.expect("a store").expect("a recorded run");
    let runs = store.runs(&RunFilter::default()).expect("runs");
    let record = runs[0].record.as_ref().expect("a record");
    let spans = store.trace(runs[0].begun.trace).expect("spans");
    let ids = spans.iter().map(|span| span.id.to_string()).collect();
    (serde_json::to_value(record).expect("JSON"), ids)
}

fn record(run: &Finished) -> Value {
    local(run).0
}

fn ids(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|id| id.as_str().expect("an id").to_owned())
        .collect()
}

/// Ids and parents of a trace as Jaeger has stored it; nothing if it does not know it.
fn stored(trace: &str) -> Vec<(String, Option<String>)> {
    let url = format!("{}/api/traces/{trace}?raw=true", bed().query_url());
    let output = std::process::Command::new("curl")
        .args(["-sS", &url])
        .output()
        .expect("curl can be run");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let spans = answer["data"][0]["spans"].as_array().into_iter().flatten();
    spans
        .map(|span| {
            let parent = span["references"].as_array().into_iter().flatten();
            let parent = parent
                .filter(|reference| reference["refType"] == "CHILD_OF")
                .find_map(|reference| reference["spanID"].as_str().map(str::to_owned));
            (span["spanID"].as_str().expect("an id").to_owned(), parent)
        })
        .collect()
}

/// Waits until Jaeger has as many spans as there should be, then holds them against the record.
fn assert_once_and_whole(cell: &str, run: &Finished) {
    let record = record(run);
    let export = &record["export"];
    let mut expected = ids(&export["spans"]);
    let daemons = ids(&export["daemon"]["spans"]);
    assert!(daemons.len() > 10, "{cell}: {export}");
    expected.extend(daemons);
    let until = Instant::now() + Duration::from_secs(20);
    let trace = run.trace();
    let mut found = stored(&trace);
    while found.len() < expected.len() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(200));
        found = stored(&trace);
    }
    let known: BTreeSet<_> = found.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(known.len(), found.len(), "{cell}: a span is there twice");
    assert_eq!(known, expected.into_iter().collect(), "{cell}");
    let roots = found.iter().filter(|(_, parent)| parent.is_none()).count();
    assert_eq!(roots, 1, "{cell}");
    for (id, parent) in &found {
        let known = parent.as_ref().is_none_or(|parent| known.contains(parent));
        assert!(known, "{cell}: {id} is an orphan");
    }
}

/// The same build in every cell, all of them before the first is looked at: the daemons take 5 s to export.
fn in_every_cell(code: i32, build: impl Fn(Engine, Ours, &str) -> Finished) {
    let mut runs = Vec::new();
    for engine in ENGINES {
        for ours in OURS {
            let cell = format!("{engine:?}-{ours:?}");
            runs.push((ours, cell.clone(), build(engine, ours, &cell).expect(code)));
        }
    }
    for (ours, cell, run) in runs {
        let (record, mut here) = local(&run);
        let mut all = ids(&record["export"]["spans"]);
        all.extend(ids(&record["export"]["daemon"]["spans"]));
        here.sort();
        all.sort();
        assert_eq!(here, all, "{cell}: the local trace");
        if ours == Ours::Nowhere {
            // Nothing of ours may be there; what the daemon sent by itself is its own business.
            let own: BTreeSet<_> = ids(&record["export"]["spans"]).into_iter().collect();
            let found = stored(&run.trace());
            assert!(found.iter().all(|(id, _)| !own.contains(id)), "{cell}");
        } else {
            assert_once_and_whole(&cell, &run);
        }
    }
}

#[test]
fn a_good_build_is_whole_in_every_cell() {
    in_every_cell(0, |engine, ours, cell| {
        let context = Context::three_stages(&format!("matrix-{cell}"));
        ours.of(Dagger::up(context.path(), engine, &[])).run()
    });
}

#[test]
fn a_cached_build_is_whole_in_every_cell() {
    let context = Context::three_stages("matrix-cached");
    for engine in ENGINES {
        Dagger::up(context.path(), engine, &[]).run().expect(0);
    }
    in_every_cell(0, |engine, ours, _| {
        ours.of(Dagger::up(context.path(), engine, &[])).run()
    });
}

#[test]
fn a_failed_build_is_whole_in_every_cell() {
    let context =
        Context::new("FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN echo no; exit 3\n");
    in_every_cell(1, |engine, ours, _| {
        ours.of(Dagger::up(context.path(), engine, &[])).run()
    });
}

#[test]
fn a_cancelled_build_is_whole_in_every_cell() {
    in_every_cell(130, |engine, ours, cell| {
        let context = Context::new(&format!(
            "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\n\
             RUN echo {cell} is under $((40 + 2)); sleep 100\n"
        ));
        let up = ours.of(Dagger::up(context.path(), engine, &[]));
        up.interrupted_at("is under 42")
    });
}

#[test]
fn a_flag_overrules_what_is_known_of_the_daemon() {
    let context = Context::three_stages("matrix-flag");
    let run = Dagger::up(context.path(), Engine::Mute, &["--daemon-spans", "skip"])
        .with_collector()
        .run()
        .expect(0);
    assert_eq!(record(&run)["export"]["daemon"]["imported"], false);
    let own = ids(&record(&run)["export"]["spans"]);
    assert_eq!(stored(&run.trace()).len(), own.len());
}
