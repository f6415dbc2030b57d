//! Starting, asking for the context of a span, and ending with a report.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::backlog::Backlog;
use super::below::below;
use super::clock::Clock;
use super::daemon::{Decision, Share};
use super::local::{Kept, Leaves, Local, LocalRun};
use super::parent::{RemoteParent, traceparent};
use super::recorded::Recorded;
use super::recorder::{self, Recorder};
use super::settings::{Destination, Settings};
use super::way::Way;
use crate::trace::jaeger::QueryUrl;
use crate::trace::model::{Span, SpanId, TraceId};
use crate::trace::report::{DaemonReport, ExportReport};

/// Tracing of a run.
pub struct Telemetry {
    handle: Handle,
    recorded: Arc<Recorded>,
    ways: Vec<Way>,
    backlog: Option<Backlog>,
    local: Option<Local>,
}

/// Gives the trace context of spans. Clones are cheap.
#[derive(Clone)]
pub struct Handle {
    trace: TraceId,
    tracestate: Option<Arc<str>>,
    exports: bool,
    asks: Option<Arc<(PathBuf, QueryUrl)>>,
    unsampled: bool,
    /// Is the trace another's, who may have more runs in it?
    joined: bool,
    recorded: Arc<Recorded>,
}

/// How long the local store may delay the exit.
const LOCAL_DEADLINE: Duration = Duration::from_secs(5);

/// Starts to record; into the local store too, if `local` says where. The layer is to be added to the subscriber; the rest stays with the caller.
pub fn start<S>(
    settings: &Settings,
    parent: Option<RemoteParent>,
    local: Option<LocalRun>,
) -> (impl Layer<S> + use<S>, Telemetry)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let resource = Arc::new(settings.resource.clone());
    let (trace, remote) = match &parent {
        Some(parent) => (parent.trace, Some(parent.span)),
        None => (
            TraceId(u128::from(random()) << 64 | u128::from(random())),
            None,
        ),
    };
    let exports = settings.sampler.exports(trace, parent.as_ref());
    let unsampled = !exports;
    let destinations: Vec<_> = settings
        .destinations
        .iter()
        .filter(|_| exports)
        .cloned()
        .collect();
    let backlog = local
        .as_ref()
        .filter(|_| !destinations.is_empty())
        .map(|local| Backlog::start(destinations.clone(), resource.clone(), local));
    let asks = local
        .as_ref()
        .filter(|_| destinations.len() == 1)
        .and_then(|local| Some((local.state_dir.clone(), local.query_url.clone()?)))
        .map(Arc::new);
    let (keep, local) = local
        .map(|mut local| {
            local.run.trace = trace;
            local.run.remote_parent = remote;
            let routes = destinations.iter().map(Destination::route);
            Local::start(local, routes.collect())
        })
        .unzip();
    let (queues, ways): (Vec<_>, _) = destinations
        .iter()
        .enumerate()
        .map(|(way, to)| {
            let ledger = keep.clone().map(|keep| (keep, way));
            Way::start(to.clone(), resource.clone(), ledger)
        })
        .unzip();
    let recorded = Arc::new(Recorded::new(queues, keep, random()));
    if let Some(local) = &local {
        local.watch(&recorded);
    }
    let layer = Recorder {
        trace,
        remote,
        resource,
        recorded: recorded.clone(),
        clock: Clock::start(),
    };
    let tracestate = parent.and_then(|parent| parent.tracestate).map(Arc::from);
    let handle = Handle {
        trace,
        tracestate,
        exports: !destinations.is_empty(),
        asks,
        unsampled,
        joined: remote.is_some(),
        recorded: recorded.clone(),
    };
    (
        layer.with_filter(filter_fn(recorder::wants)),
        Telemetry {
            handle,
            recorded,
            ways,
            backlog,
            local,
        },
    )
}

/// Eight bytes of randomness, not all zero; the clock where the system has none.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let mut number = 0;
    if getrandom::fill(&mut bytes).is_ok() {
        number = u64::from_ne_bytes(bytes);
    }
    if number == 0 {
        let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        number = now.map_or(1, |since| {
            since.as_secs() << 32 | u64::from(since.subsec_nanos()) | 1
        });
    }
    number
}

impl Handle {
    /// The span as a W3C `traceparent`; `None` if it is not recorded, or has ended.
    pub fn traceparent_of(&self, span: &tracing::Span) -> Option<String> {
        self.span_id_of(span).map(|id| traceparent(self.trace, id))
    }

    /// The id of a span that is recorded and open.
    pub fn span_id_of(&self, span: &tracing::Span) -> Option<SpanId> {
        self.recorded.id_of(&span.id()?)
    }

    /// As [`traceparent_of`](Self::traceparent_of), for another process that exports by itself: it is told
    /// whether the trace is exported at all. The daemon is told so always, or it would record nothing.
    pub fn traceparent_for_child(&self, span: &tracing::Span) -> Option<String> {
        let text = self.traceparent_of(span)?;
        let flags = if self.unsampled { "00" } else { "01" };
        Some(format!("{}{flags}", text.strip_suffix("01")?))
    }

    /// The trace that all spans of this run belong to.
    pub fn trace_id(&self) -> TraceId {
        self.trace
    }

    /// Where what was seen of engines is remembered, and the Jaeger that can be asked what it has of all that
    /// is exported; `None`: there is none.
    pub fn asks(&self) -> Option<(&Path, &QueryUrl)> {
        let (state_dir, query_url) = self.asks.as_deref()?;
        Some((state_dir, query_url))
    }

    /// Does any span leave the machine?
    pub fn exports(&self) -> bool {
        self.exports
    }

    /// Takes spans that the engine of this address has made. Each becomes part of the trace once; who sends
    /// them is decided already.
    pub fn import(
        &self,
        spans: Vec<Span>,
        mut report: DaemonReport,
        decision: Decision,
        engine: &str,
    ) {
        let leaves = match decision.share {
            Share::Send => Leaves::Now,
            Share::Leave => Leaves::Never,
            Share::Ask => Leaves::Asked(engine.into()),
        };
        report.imported = decision.share == Share::Send;
        report.why = decision.why;
        let spans = if self.joined {
            let (ended, open, _) = self.recorded.ids();
            below(&ended.into_iter().chain(open).collect(), spans)
        } else {
            spans
        };
        self.recorded.import(spans, report, &leaves);
    }

    /// Takes down the digest of what is run.
    pub fn describe_plan(&self, digest: String) {
        self.recorded.describe_plan(digest);
    }

    /// The `tracestate` to pass on.
    pub fn tracestate(&self) -> Option<String> {
        self.tracestate.as_deref().map(str::to_owned)
    }
}

impl Telemetry {
    /// Gives the trace context of spans.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The trace that all spans of this run belong to.
    pub fn trace_id(&self) -> TraceId {
        self.handle.trace
    }

    /// Sends what is left and says what became of every span. Takes `deadline` at most, and some seconds
    /// more if the local store hangs.
    pub fn shutdown(self, deadline: Duration) -> (ExportReport, Option<Kept>) {
        let until = Instant::now() + deadline;
        self.recorded.close();
        if let Some(backlog) = &self.backlog {
            backlog.stop();
        }
        let (ended, open, dropped) = self.recorded.ids();
        let (daemon, imported) = self.recorded.daemon();
        let text = |ids: &[SpanId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let gone: HashSet<_> = dropped.iter().collect();
        let expected: Vec<_> = ended
            .iter()
            .chain(&imported)
            .filter(|id| !gone.contains(id))
            .copied()
            .collect();
        let ways = self.ways.into_iter();
        let mut routes: Vec<_> = ways
            .map(|way| way.end(deadline, until, &expected))
            .collect();
        let spool = self.backlog.and_then(|backlog| backlog.end(until));
        let kept = self.local.map(|local| {
            let mut kept = local.end(LOCAL_DEADLINE).unwrap_or_default();
            kept.lost += self.recorded.unkept();
            kept
        });
        let lossy = !dropped.is_empty() || routes.iter().any(|route| !route.lost.is_empty());
        if let (true, Some(Some((store, run)))) = (lossy, kept.as_ref().map(|kept| &kept.run)) {
            // What cannot be counted is not said to be safe.
            for (waits, spans) in store.spooled(*run).unwrap_or_default() {
                let mut routes = routes.iter_mut();
                let route = routes
                    .find(|route| route.route == waits.route && route.address == waits.address);
                if let Some(route) = route {
                    route.spooled = spans;
                }
            }
        }
        let report = ExportReport {
            spans: text(&ended),
            unfinished: text(&open),
            dropped: text(&dropped),
            routes,
            daemon,
            spool,
            unsampled: self.handle.unsampled,
        };
        (report, kept)
    }
}
