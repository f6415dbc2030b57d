//! Starting, asking for the context of a span, and ending with a report.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::local::{Kept, Local, LocalRun};
use super::parent::{RemoteParent, traceparent};
use super::pipeline::{self, Shared};
use super::recorded::Recorded;
use super::recorder::{self, Recorder};
use super::settings::{Destination, Settings};
use crate::trace::model::{Span, SpanId, TraceId};
use crate::trace::report::{DaemonReport, ExportReport, Route, RouteReport};

/// Spans waiting for the exporter (as `OTEL_BSP_MAX_QUEUE_SIZE`'s default).
/// Full: the span is not exported, and the report names it.
const QUEUE_SPANS: usize = 2_048;

/// Tracing of a run.
pub struct Telemetry {
    handle: Handle,
    recorded: Arc<Recorded>,
    export: Option<Export>,
    local: Option<Local>,
}

/// Gives the trace context of spans. Clones are cheap.
#[derive(Clone)]
pub struct Handle {
    trace: TraceId,
    tracestate: Option<Arc<str>>,
    destination: Option<Arc<Destination>>,
    unsampled: bool,
    recorded: Arc<Recorded>,
}

/// The exporting thread, as seen from outside.
struct Export {
    destination: Destination,
    progress: Shared,
    ended: Receiver<()>,
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
    let destination = settings.destination.clone().filter(|_| exports);
    let unsampled = !exports;
    let (queue, export) = match destination.clone() {
        None => (None, None),
        Some(destination) => {
            let (queue, spans) = sync_channel(QUEUE_SPANS);
            let progress = Shared::default();
            let (done, ended) = sync_channel::<()>(1);
            let (shared, to, of) = (progress.clone(), destination.clone(), resource.clone());
            std::thread::spawn(move || {
                pipeline::run(&spans, &to, &of, &shared);
                // Nobody waits any more: the deadline has passed.
                let _ = done.send(());
            });
            (
                Some(queue),
                Some(Export {
                    destination,
                    progress,
                    ended,
                }),
            )
        }
    };
    let (keep, local) = local
        .map(|mut local| {
            local.run.trace = trace;
            local.run.remote_parent = remote;
            Local::start(local)
        })
        .unzip();
    let recorded = Arc::new(Recorded::new(queue, keep, random()));
    let layer = Recorder {
        trace,
        remote,
        resource,
        recorded: recorded.clone(),
    };
    let tracestate = parent.and_then(|parent| parent.tracestate).map(Arc::from);
    let handle = Handle {
        trace,
        tracestate,
        destination: destination.map(Arc::new),
        unsampled,
        recorded: recorded.clone(),
    };
    (
        layer.with_filter(filter_fn(recorder::wants)),
        Telemetry {
            handle,
            recorded,
            export,
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

    /// Where spans go; `None`: nowhere.
    pub fn destination(&self) -> Option<&Destination> {
        self.destination.as_deref()
    }

    /// Takes spans that the daemon has made. Each becomes part of the trace once; they are exported if the
    /// report says so.
    pub fn import(&self, spans: Vec<Span>, report: DaemonReport) {
        self.recorded.import(spans, report);
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
        self.recorded.close();
        let (ended, open, dropped) = self.recorded.ids();
        let (daemon, imported) = self.recorded.daemon();
        let text = |ids: Vec<SpanId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let routes = self.export.map(|export| {
            let in_time = export.ended.recv_timeout(deadline).is_ok();
            let progress = export.progress.lock();
            let delivered: std::collections::HashSet<_> = progress.delivered.iter().collect();
            let lost: Vec<_> = ended
                .iter()
                .chain(&imported)
                .filter(|id| !delivered.contains(id) && !dropped.contains(id))
                .copied()
                .collect();
            let late = (!in_time && !lost.is_empty())
                .then(|| format!("no answer within {} s", deadline.as_secs()));
            RouteReport {
                route: match export.destination {
                    Destination::Collector { .. } => Route::Collector,
                    Destination::Otlp { .. } => Route::Otlp,
                    Destination::Agent { .. } => Route::Agent,
                },
                address: export.destination.to_string(),
                delivered: delivered.len() as u64,
                error: if lost.is_empty() {
                    None
                } else {
                    late.or(progress.error.clone())
                },
                lost: text(lost),
            }
        });
        let kept = self.local.map(|local| {
            let mut kept = local.end(LOCAL_DEADLINE).unwrap_or_default();
            kept.lost += self.recorded.unkept();
            kept
        });
        let report = ExportReport {
            spans: text(ended),
            unfinished: text(open),
            dropped: text(dropped),
            routes: routes.into_iter().collect(),
            daemon,
            unsampled: self.handle.unsampled,
        };
        (report, kept)
    }
}
