//! A state directory whose spool holds spans that a test has made: what `dagger trace push` sends is known
//! to the last byte before it is sent.

use std::path::Path;
use std::sync::Arc;

use dagger::trace::model::{Kind, Resource, Span, SpanId, Status, TraceId};
use dagger::trace::report::Route;
use dagger::trace::store::{Claim, NewRun, Outgoing, SpoolRoute, Store};

use super::Dagger;

/// When these spans happened, in nanoseconds since the epoch.
pub(crate) const WHEN_NS: u64 = 1_790_000_000_123_456_000;

/// A state directory where these spans of one trace wait for a collector that nobody runs any more.
pub(crate) fn waiting(spans: &[Span]) -> tempfile::TempDir {
    let state = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(&state.path().join("dagger")).expect("a store");
    let run = NewRun {
        trace: spans[0].trace,
        root: Some(spans[0].id),
        remote_parent: None,
        service: spans[0].resource.service.clone(),
        command: "up".into(),
        args: "up .".into(),
        directory: "/".into(),
        started_ns: WHEN_NS,
        pid: std::process::id(),
        plan_digest: None,
    };
    let run = store.begin(&run).expect("a run");
    let outgoing = Outgoing {
        routes: vec![SpoolRoute {
            route: Route::Collector,
            address: "http://gone:14268/api/traces".into(),
        }],
        claim: Claim::run(),
    };
    let since = dagger::trace::ns::now();
    let kept = store.append_outgoing(run, spans, &outgoing, None, since);
    assert_eq!(kept.expect("spans are kept"), spans.len());
    store.release(&outgoing.claim).expect("the claim is let go");
    state
}

/// `dagger trace push --all` of that state; where to is for the caller to set.
pub(crate) fn push_all(state: &tempfile::TempDir) -> Dagger {
    Dagger::new(Path::new("/"), &["trace", "push", "--all"])
        .env("XDG_STATE_HOME", &state.path().display().to_string())
}

/// A span of `trace` with nothing in it.
pub(crate) fn plain_span(trace: u128, id: u64, resource: &Arc<Resource>) -> Span {
    Span {
        trace: TraceId(trace),
        id: SpanId(id),
        parent: None,
        name: format!("span {id}"),
        kind: Kind::Internal,
        start_ns: WHEN_NS,
        end_ns: WHEN_NS + 5_000_000,
        status: Status::Unset,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
        resource: resource.clone(),
    }
}
