//! The daemon's own spans of a build: taken from its history right after the build, for the local trace,
//! and for Jaeger if the daemon does not send them there itself. What the history says of the build beside
//! them is kept with the run, for `verify`.

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
use crate::buildkit::{Asked, BlobError, BuildRecord, BuildState, Client};
use crate::engine::{self, Connection, EngineSettings};
use crate::telemetry::{DaemonExport, DaemonSpans, Decision, Known, RemoteParent, Share};
use crate::trace::model::{Span, SpanId, TraceId};
use crate::trace::report::{BuildEnd, BuildReport, DaemonReport};
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
    found: JoinHandle<Exports>,
}

/// What was found out: by the daemon's variables, and by what was seen in Jaeger before.
type Exports = (Option<DaemonExport>, Option<bool>);

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
            let (read, found) = tokio::join!(read, self.found);
            let (export, mut seen) = found.unwrap_or_default();
            let open = self.asked == DaemonSpans::Auto && export != Some(DaemonExport::Nowhere);
            if let (true, None, None) = (open, seen, read.error()) {
                seen = engine_memory::look(telemetry, &self.address, &read.spans).await;
            }
            (read, export, seen)
        };
        let taken = tokio::time::timeout(DEADLINE, work)
            .instrument(span.clone())
            .await;
        let (read, export, seen) = taken.unwrap_or_else(|_| {
            abort.abort();
            let late = format!("not read within {} s", DEADLINE.as_secs());
            (Read::failed(late), None, None)
        });
        let known = Known {
            export: export.as_ref(),
            seen,
            can_ask: telemetry.asks().is_some(),
        };
        let decision = Decision::new(self.asked, telemetry.exports(), known);
        let error = read.error().map(str::to_owned);
        if let Some(error) = &error {
            debug!(%error, "the daemon's spans could not be read");
        }
        span.record("dagger.daemon_spans", read.spans.len());
        span.record("dagger.import", decision.share == Share::Send);
        let report = DaemonReport {
            error,
            builds: read.builds,
            ..DaemonReport::default()
        };
        telemetry.import(read.spans, report, decision, &self.address);
    }
}

/// Reads the spans of these builds, each once.
///
/// A record holds what of its trace has ended by then: that of the build that ended last has the spans of
/// those before it too, unless the daemon has forgotten them meanwhile. What it lacks is read of their own.
async fn read(client: &Client, builds: &[Asked], trace: TraceId) -> Read {
    let mut all = Read::default();
    let Some((last, others)) = builds.split_last() else {
        return all;
    };
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
    while let Some(found) = read.next().await {
        all.add(found, trace).await;
    }
    all
}

/// The span of the call that asked for a build.
fn called(asked: &Asked) -> Option<SpanId> {
    let parent = RemoteParent::parse(asked.traceparent.as_deref()?, None);
    parent.ok().map(|parent| parent.span)
}

/// What was read, and what went wrong first.
#[derive(Default)]
struct Read {
    spans: Vec<Span>,
    seen: HashSet<SpanId>,
    builds: Vec<BuildReport>,
    problem: Option<String>,
}

/// What the history has of one build: what it says of it, and the text that holds its spans.
type Found = (Option<BuildReport>, Result<Vec<u8>, String>);

impl Read {
    fn failed(problem: String) -> Self {
        Self {
            problem: Some(problem),
            ..Self::default()
        }
    }

    /// Why there are no spans; some are better than none.
    fn error(&self) -> Option<&str> {
        self.problem.as_deref().filter(|_| self.spans.is_empty())
    }

    async fn add(&mut self, (build, blob): Found, trace: TraceId) {
        self.builds.extend(build);
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

/// What the history has of a build.
async fn of_build(client: &Client, build: &str) -> Found {
    let record = match finalized(client, build).await {
        Ok(record) => record,
        Err(error) => return (None, Err(error)),
    };
    let told = record.as_ref().and_then(told);
    let blob = record.and_then(|record| record.trace);
    let Some(blob) = blob.filter(|blob| blob.media_type == SPAN_STUBS) else {
        return (told, Err("the daemon has recorded none".to_owned()));
    };
    let read = client.read_blob(&blob).await;
    (told, read.map_err(|error: BlobError| error.to_string()))
}

/// A build's record once the build has ended and its spans are stored.
async fn finalized(client: &Client, build: &str) -> Result<Option<BuildRecord>, String> {
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
    record().await
}

/// What a record says of its build; nothing of one that has not ended.
fn told(record: &BuildRecord) -> Option<BuildReport> {
    let end = match record.state {
        BuildState::Running => return None,
        BuildState::Done => BuildEnd::Done,
        BuildState::Failed(_) => BuildEnd::Failed,
        BuildState::Cancelled => BuildEnd::Cancelled,
    };
    Some(BuildReport {
        build: record.build.clone(),
        end,
        total: record.steps.total,
        completed: record.steps.completed,
        cached: record.steps.cached,
    })
}
