//! What waits is sent by one, and whoever sends it says so in the run's record.

use super::*;
use crate::trace::report::RouteReport;
use crate::trace::store::tests::{new_run, record, span, store};

fn route(host: &str) -> SpoolRoute {
    SpoolRoute {
        route: Route::Collector,
        address: format!("http://{host}/api/traces"),
    }
}

/// A run that was to send two spans to each of these hosts, and has ended without.
fn waits_for(store: &Store, hosts: &[&str]) -> RunId {
    let run = store.begin(&new_run(1)).unwrap();
    let outgoing = Outgoing {
        routes: hosts.iter().map(|host| route(host)).collect(),
        claim: Claim::run(),
    };
    let spans = [span(1), span(2)];
    store
        .append_outgoing(run, &spans, &outgoing, None, 5)
        .unwrap();
    assert_eq!(store.waiting(6).unwrap(), [], "the run is sending them");
    let mut record = record(0);
    record.export.routes = outgoing
        .routes
        .iter()
        .map(|route| RouteReport {
            route: route.route,
            address: route.address.clone(),
            delivered: 0,
            lost: spans.iter().map(|span| span.id.to_string()).collect(),
            spooled: 2,
            error: Some("connection refused".into()),
        })
        .collect();
    store.finish(run, &record, 6).unwrap();
    store.release(&outgoing.claim).unwrap();
    run
}

fn keys(claimed: &[Claimed]) -> Vec<(TraceId, SpanId)> {
    claimed.iter().map(|one| (one.trace, one.span)).collect()
}

#[test]
fn what_waits_is_claimed_by_one() {
    let (dir, store) = store();
    waits_for(&store, &["h"]);
    let other = Store::open(dir.path()).unwrap();
    let (us, them) = (Claim::push(), Claim::push());
    let ours = store
        .claim(&route("h"), Wanted::default(), &us, 1, 7)
        .unwrap();
    let theirs = other
        .claim(&route("h"), Wanted::default(), &them, 9, 7)
        .unwrap();
    assert_eq!((ours.len(), theirs.len()), (1, 1));
    assert_ne!(ours, theirs);
    assert_eq!(store.waiting(8).unwrap()[0].in_hand, 2);
    other.release(&them).unwrap();
    store
        .delivered(&route("h"), &us, &keys(&ours), true)
        .unwrap();
    let again = store
        .claim(&route("h"), Wanted::default(), &us, 9, 9)
        .unwrap();
    assert_eq!(again, theirs);
    // Of another's claim nothing can be taken off.
    other
        .delivered(&route("h"), &them, &keys(&again), true)
        .unwrap();
    assert_eq!(store.waiting(9).unwrap()[0].spans, 1);
}

#[test]
fn a_delivery_is_written_into_the_runs_record() {
    let (_dir, store) = store();
    let run = waits_for(&store, &["h"]);
    let claim = Claim::push();
    let claimed = store
        .claim(
            &route("h"),
            Wanted {
                run: Some(run),
                ..Wanted::default()
            },
            &claim,
            9,
            7,
        )
        .unwrap();
    assert!(claimed.iter().all(|one| one.uncertain));
    let keys = keys(&claimed);
    let (first, second) = keys.split_at(1);
    store.delivered(&route("h"), &claim, first, true).unwrap();
    let of = |run| store.run(run).unwrap().unwrap().record.unwrap().export;
    let report = of(run).routes.remove(0);
    assert_eq!(
        (report.delivered, report.spooled, report.lost.len()),
        (1, 1, 1)
    );
    assert!(report.error.is_some());
    store.refused(&route("h"), &claim, second, false).unwrap();
    store.release(&claim).unwrap();
    let claimed = store
        .claim(&route("h"), Wanted::default(), &claim, 9, 8)
        .unwrap();
    assert!(!claimed[0].uncertain);
    store.delivered(&route("h"), &claim, second, true).unwrap();
    assert!(of(run).clean(), "{:?}", of(run));
}

#[test]
fn what_waits_for_two_addresses_is_readdressed_once() {
    let (_dir, store) = store();
    let run = waits_for(&store, &["old", "older"]);
    assert_eq!(store.spooled(run).unwrap().len(), 2);
    let new = route("new");
    store
        .readdress(std::slice::from_ref(&new), &new, None, 7)
        .unwrap();
    assert_eq!(store.spooled(run).unwrap(), [(new.clone(), 2)]);
    let claim = Claim::push();
    let claimed = store.claim(&new, Wanted::default(), &claim, 9, 8).unwrap();
    store
        .delivered(&new, &claim, &keys(&claimed), true)
        .unwrap();
    let routes = store
        .run(run)
        .unwrap()
        .unwrap()
        .record
        .unwrap()
        .export
        .routes;
    assert_eq!(routes.len(), 1);
    assert_eq!(
        (routes[0].address.as_str(), routes[0].delivered),
        (new.address.as_str(), 2)
    );
}

#[test]
fn runs_that_are_removed_say_how_many_of_their_spans_had_waited() {
    let (_dir, store) = store();
    waits_for(&store, &["h"]);
    store.begin(&new_run(2)).unwrap();
    let limits = |runs| crate::trace::store::Limits {
        runs: Some(runs),
        since_ns: None,
        bytes: None,
    };
    assert_eq!(store.prune(&limits(2)).unwrap().waiting, 0);
    let pruned = store.prune(&limits(1)).unwrap();
    assert_eq!((pruned.runs, pruned.waiting), (1, 2));
    assert!(!store.has_spooled().unwrap());
}

#[test]
fn what_an_engine_may_send_itself_is_due_later_and_no_loss_of_ours() {
    let (_dir, store) = store();
    let run = store.begin(&new_run(1)).unwrap();
    let outgoing = Outgoing {
        routes: vec![route("h")],
        claim: Claim::run(),
    };
    let asked = Asked {
        engine: "tcp://e".into(),
        due_ns: 100,
    };
    store
        .append_outgoing(run, &[span(1)], &outgoing, Some(&asked), 5)
        .unwrap();
    let mut ended = record(0);
    ended.export.daemon = Some(Default::default());
    store.finish(run, &ended, 6).unwrap();
    store.release(&outgoing.claim).unwrap();
    assert_eq!(store.spooled(run).unwrap(), []);
    let claim = Claim::push();
    assert_eq!(
        store
            .claim(&route("h"), Wanted::default(), &claim, 9, 99)
            .unwrap(),
        []
    );
    assert_eq!(store.waiting(7).unwrap()[0].of_engines, 1);
    let engines = Wanted {
        engines_only: true,
        ..Wanted::default()
    };
    let claimed = store.claim(&route("h"), engines, &claim, 9, 100).unwrap();
    assert_eq!(claimed[0].engine.as_deref(), Some("tcp://e"));
    // It had come by itself: the record has nothing to add.
    store
        .delivered(&route("h"), &claim, &keys(&claimed), false)
        .unwrap();
    let export = store.run(run).unwrap().unwrap().record.unwrap().export;
    assert_eq!(export, ended.export);

    assert_eq!(
        store.engine_exports("tcp://e", "http://j", 0).unwrap(),
        None
    );
    store.note_engine("tcp://e", "http://j", false, 7).unwrap();
    store.note_engine("tcp://e", "http://j", true, 8).unwrap();
    assert_eq!(
        store.engine_exports("tcp://e", "http://j", 8).unwrap(),
        Some(true)
    );
    assert_eq!(
        store.engine_exports("tcp://e", "http://j", 9).unwrap(),
        None
    );
    assert_eq!(
        store.engine_exports("tcp://e", "http://k", 0).unwrap(),
        None
    );
}

#[test]
fn the_oldest_are_dropped_and_what_is_being_sent_stays() {
    let (_dir, store) = store();
    waits_for(&store, &["a", "b"]);
    let none = SpoolLimits::default();
    assert_eq!(store.trim_spool(&none, 9).unwrap(), 0);
    let most = |spans| SpoolLimits {
        spans: Some(spans),
        since_ns: None,
    };
    assert_eq!(store.trim_spool(&most(3), 9).unwrap(), 1);
    let claim = Claim::push();
    let held = store
        .claim(&route("a"), Wanted::default(), &claim, 1, 9)
        .unwrap()
        .len()
        + store
            .claim(&route("b"), Wanted::default(), &claim, 1, 9)
            .unwrap()
            .len();
    let old = SpoolLimits {
        spans: None,
        since_ns: Some(6),
    };
    assert_eq!(store.trim_spool(&old, 9).unwrap(), 3 - held as u64);
    let gone = store.begin(&new_run(2)).unwrap();
    store.remove(gone).unwrap();
    assert_eq!(store.waiting(9).unwrap().len(), held);
}
