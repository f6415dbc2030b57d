//! The local trace: every span of a run goes into the store while the run goes on, whatever is
//! exported elsewhere. A process that is killed leaves what had ended by then.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tracing::debug;

use crate::trace::model::Span;
use crate::trace::store::{NewRun, RunId, Store, StoreError};

/// Spans waiting for the store. Full: the span is not in the local trace, and counted.
const QUEUE_SPANS: usize = 16_384;

/// Spans in one transaction at most.
const BATCH_SPANS: usize = 2_048;

/// How long a span waits for others: what a kill may cost.
const BATCH_WAIT: Duration = Duration::from_millis(100);

/// A run that is to be recorded.
#[derive(Clone, Debug)]
pub struct LocalRun {
    /// Where the store is.
    pub state_dir: PathBuf,
    /// The run; its trace is set when recording starts.
    pub run: NewRun,
}

/// What became of the local trace.
#[derive(Debug, Default)]
pub struct Kept {
    /// The store and the run in it, if it could be opened.
    pub run: Option<(Store, RunId)>,
    /// The first failure.
    pub error: Option<StoreError>,
    /// Spans that are not in it.
    pub lost: u64,
}

/// The writing thread, as seen from outside.
pub(super) struct Local {
    kept: Receiver<Kept>,
}

impl Local {
    /// Starts the thread; the store is opened there, while the run goes on.
    pub(super) fn start(local: LocalRun) -> (SyncSender<Span>, Self) {
        let (queue, spans) = sync_channel(QUEUE_SPANS);
        let (done, kept) = sync_channel(1);
        std::thread::spawn(move || {
            // Nobody waits any more: the deadline has passed.
            let _ = done.send(write(&local, &spans));
        });
        (queue, Self { kept })
    }

    /// Waits until all is written; `None` if that takes longer.
    pub(super) fn end(self, deadline: Duration) -> Option<Kept> {
        self.kept.recv_timeout(deadline).ok()
    }
}

fn write(local: &LocalRun, queue: &Receiver<Span>) -> Kept {
    let opened = Store::open(&local.state_dir).and_then(|store| {
        let run = store.begin(&local.run)?;
        Ok((store, run))
    });
    let mut kept = Kept::default();
    match opened {
        Ok(run) => kept.run = Some(run),
        Err(error) => kept.error = Some(error),
    }
    let mut batch = Vec::new();
    loop {
        let open = fill(queue, &mut batch);
        if !batch.is_empty() {
            let written = kept
                .run
                .as_ref()
                .map(|(store, run)| store.append(*run, &batch));
            if !matches!(written, Some(Ok(_))) {
                kept.lost += batch.len() as u64;
            }
            if let Some(Err(error)) = written {
                debug!(%error, spans = batch.len(), "spans are not in the local trace");
                kept.error.get_or_insert(error);
            }
            batch.clear();
        }
        if !open {
            return kept;
        }
    }
}

/// Waits for spans; false when no more will come.
fn fill(queue: &Receiver<Span>, batch: &mut Vec<Span>) -> bool {
    match queue.recv() {
        Ok(span) => batch.push(span),
        Err(_) => return false,
    }
    let until = Instant::now() + BATCH_WAIT;
    while batch.len() < BATCH_SPANS {
        match queue.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(span) => batch.push(span),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
    true
}
