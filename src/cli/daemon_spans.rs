//! The daemon's own spans of a build: taken from its history right after the build, for the local trace,
//! and for Jaeger if the daemon does not send them there itself.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use futures_util::stream::{self, StreamExt};
use tokio::task::JoinHandle;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;
use tracing::{Instrument, debug, field::Empty, info_span};

use super::engine_memory;
use super::traced::Traced;
use crate::buildkit::{Asked, BlobError, BuildState, Client};
use crate::engine::{self, Connection, EngineSettings};
use crate::telemetry::{DaemonExport, DaemonSpans, Decision, Known, RemoteParent, Share};
use crate::trace::model::{Span, SpanId, TraceId};
use crate::trace::report::DaemonReport;
use crate::trace::spanstub;

/// How long it may take in all; the build is done, and people wait.
const DEADLINE: Duration = Duration::from_secs(5);

/// The daemon's span of the solve ends a moment after its answer. It was there without any wait in 150 of
/// 150 builds on a machine with twice as many busy processes as cores.
const SETTLE: Duration = Duration::from_millis(5);

/// How often a record is looked at whose build has not ended.
const POLL: Duration = Duration::from_millis(20);

/// A build that was stopped ends a moment after we stopped it.
const STOPPING: Duration = Duration::from_secs(1);

/// Builds whose records are read at once.
const AT_ONCE: usize = 16;

/// How the daemon writes a build's spans.
const SPAN_STUBS: &str = "application/vnd.buildkit.otlp.json.v0";

/// Values of `--daemon-spans`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum DaemonSpansArg {
    /// Send the daemon's spans to Jaeger unless it does so itself
    #[default]
    Auto,
    /// Send them
    Import,
    /// Leave them to the daemon
    Skip,
}

impl From<DaemonSpansArg> for DaemonSpans {
    fn from(arg: DaemonSpansArg) -> Self {
        match arg {
            DaemonSpansArg::Auto => Self::Auto,
            DaemonSpansArg::Import => Self::Import,
            DaemonSpansArg::Skip => Self::Skip,
        }
    }
}

/// Finds out about the daemon while it builds.
pub(super) struct Daemon {
    asked: DaemonSpans,
    address: String,
    found: JoinHandle<Found>,
}

/// What was found out: by the daemon's variables, and by what was seen in Jaeger before.
type Found = (Option<DaemonExport>, Option<bool>);

impl Daemon {
    /// Begins to find out.
    pub(super) fn watch(
        asked: DaemonSpans,
        connection: &Connection,
        settings: Arc<EngineSettings>,
        traced: &Traced,
    ) -> Self {
        let wanted = asked == DaemonSpans::Auto && traced.telemetry.exports();
        let engine = connection.choice.address.clone();
        let address = engine.to_string();
        let (telemetry, key) = (traced.telemetry.clone(), address.clone());
        let found = async move {
            if !wanted {
                return (None, None);
            }
            let variables = engine::environment(&engine, settings).await;
            match variables.as_ref().map(DaemonExport::detect) {
                Some(DaemonExport::Nowhere) => (Some(DaemonExport::Nowhere), None),
                export => (export, engine_memory::recall(&telemetry, &key).await),
            }
        };
        Self {
            asked,
            address,
            found: tokio::spawn(found.in_current_span()),
        }
    }

    /// Takes the spans of all builds on this connection. What cannot be had is no failure of the build.
    pub(super) async fn take(self, client: &Client, traced: &Traced) {
        let builds = client.builds();
        if builds.is_empty() {
            self.found.abort();
            return;
        }
        let span = info_span!(
            "daemon spans",
            dagger.daemon_spans = Empty,
            dagger.import = Empty
        );
        let abort = self.found.abort_handle();
        let telemetry = &traced.telemetry;
        let work = async {
            let read = read(client, &builds, telemetry.trace_id());
            let (spans, found) = tokio::join!(read, self.found);
            let (export, mut seen) = found.unwrap_or_default();
            let open = self.asked == DaemonSpans::Auto && export != Some(DaemonExport::Nowhere);
            if let (true, None, Ok(spans)) = (open, seen, &spans) {
                seen = engine_memory::look(telemetry, &self.address, spans).await;
            }
            (spans, export, seen)
        };
        let taken = tokio::time::timeout(DEADLINE, work)
            .instrument(span.clone())
            .await;
        let (spans, export, seen) = taken.unwrap_or_else(|_| {
            abort.abort();
            let late = format!("not read within {} s", DEADLINE.as_secs());
            (Err(late), None, None)
        });
        let known = Known {
            export: export.as_ref(),
            seen,
            can_ask: telemetry.asks().is_some(),
        };
        let decision = Decision::new(self.asked, telemetry.exports(), known);
        let (spans, error) = match spans {
            Ok(spans) => (spans, None),
            Err(error) => {
                debug!(%error, "the daemon's spans could not be read");
                (Vec::new(), Some(error))
            }
        };
        span.record("dagger.daemon_spans", spans.len());
        span.record("dagger.import", decision.share == Share::Send);
        let report = DaemonReport {
            error,
            ..DaemonReport::default()
        };
        telemetry.import(spans, report, decision, &self.address);
    }
}

/// Reads the spans of these builds, each once.
///
/// A record holds what of its trace has ended by then: that of the build that ended last has the spans of
/// those before it too, unless the daemon has forgotten them meanwhile. What it lacks is read of their own.
async fn read(client: &Client, builds: &[Asked], trace: TraceId) -> Result<Vec<Span>, String> {
    let Some((last, others)) = builds.split_last() else {
        return Ok(Vec::new());
    };
    let mut all = Read::default();
    // No spans of ours: reading a trace must not make it longer.
    let of_last = of_build(client, &last.build).with_subscriber(NoSubscriber::new());
    all.add(of_last.await, trace).await;
    let answered: HashSet<SpanId> = all.spans.iter().filter_map(|span| span.parent).collect();
    let missing = others
        .iter()
        .filter(|asked| called(asked).is_none_or(|id| !answered.contains(&id)));
    let read = stream::iter(missing)
        .map(|asked| of_build(client, &asked.build).with_subscriber(NoSubscriber::new()))
        .buffered(AT_ONCE);
    tokio::pin!(read);
    while let Some(blob) = read.next().await {
        all.add(blob, trace).await;
    }
    match all.problem {
        Some(problem) if all.spans.is_empty() => Err(problem),
        _ => Ok(all.spans),
    }
}

/// The span of the call that asked for a build.
fn called(asked: &Asked) -> Option<SpanId> {
    let parent = RemoteParent::parse(asked.traceparent.as_deref()?, None);
    parent.ok().map(|parent| parent.span)
}

/// Spans that were read, and what went wrong first.
#[derive(Default)]
struct Read {
    spans: Vec<Span>,
    seen: HashSet<SpanId>,
    problem: Option<String>,
}

impl Read {
    async fn add(&mut self, blob: Result<Vec<u8>, String>, trace: TraceId) {
        let blob = match blob {
            Ok(blob) => blob,
            Err(error) => {
                self.problem.get_or_insert(error);
                return;
            }
        };
        let stubs = tokio::task::spawn_blocking(move || spanstub::read(&blob, trace));
        let stubs = stubs.await.unwrap_or_default();
        if let Some(broken) = stubs.broken {
            self.problem.get_or_insert(broken);
        }
        let seen = &mut self.seen;
        self.spans
            .extend(stubs.spans.into_iter().filter(|span| seen.insert(span.id)));
    }
}

/// The text that holds a build's spans.
async fn of_build(client: &Client, build: &str) -> Result<Vec<u8>, String> {
    let record = async || {
        client
            .build_record(build)
            .await
            .map_err(|error| error.to_string())
    };
    let running = async {
        loop {
            match record().await? {
                Some(found) if found.state != BuildState::Running => return Ok(()),
                _ => tokio::time::sleep(POLL).await,
            }
        }
    };
    // One that never ended may have spans all the same.
    if let Ok(Err(error)) = tokio::time::timeout(STOPPING, running).await {
        return Err(error);
    }
    tokio::time::sleep(SETTLE).await;
    let finalized = client.finalize_build(build).await;
    finalized.map_err(|error| error.to_string())?;
    let found = record().await?.and_then(|found| found.trace);
    let blob = found.filter(|blob| blob.media_type == SPAN_STUBS);
    let blob = blob.ok_or("the daemon has recorded none")?;
    client
        .read_blob(&blob)
        .await
        .map_err(|error: BlobError| error.to_string())
}
