//! The thread that exports: batches from the queue, retries, and what became of each span.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::debug;

use super::agent::Agent;
use super::collector::Collector;
use super::exporter::{ExportError, Exporter};
use super::local::Item;
use super::otlp::Otlp;
use super::queue::Queue;
use super::settings::Destination;
use crate::trace::model::{Resource, Span, SpanId};

/// Spans in one batch at most (as `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`'s default).
pub(super) const BATCH_SPANS: usize = 512;

/// How long a batch may wait to fill.
const BATCH_WAIT: Duration = Duration::from_secs(1);

/// Tries of one batch, and the pause before the second; it doubles.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);

/// What became of the spans so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) delivered: Vec<SpanId>,
    pub(super) error: Option<String>,
}

/// Progress that the thread and the one who waits for it share.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<Progress>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Progress> {
        // Whole after each call, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where it is taken down what became of spans, and under which number this way is known there.
pub(super) type Ledger = Option<(Queue<Item>, usize)>;

/// Exports until the queue's other end is gone and all is sent.
pub(super) fn run(
    queue: &Queue<Arc<Span>>,
    destination: &Destination,
    resource: &Resource,
    progress: &Shared,
    ledger: &Ledger,
) {
    // At once: setting up takes some milliseconds, which pass while the build runs.
    let mut exporters = Exporters::new(destination, resource);
    while let Some(batch) = queue.take(BATCH_WAIT) {
        let batch = batch.into_iter().map(Arc::unwrap_or_clone).collect();
        for part in by_resource(batch) {
            let result = exporters.send(&part);
            let ids: Vec<_> = part.iter().map(|span| span.id).collect();
            take_down(ledger, &ids, &result);
            let mut progress = progress.lock();
            match result {
                Ok(()) => progress.delivered.extend(ids),
                Err(error) => {
                    debug!(%error, spans = part.len(), "a batch was not taken");
                    progress.error = Some(error.reason);
                }
            }
        }
    }
}

fn take_down(ledger: &Ledger, spans: &[SpanId], result: &Result<(), ExportError>) {
    let Some((to, way)) = ledger else { return };
    let (way, spans) = (*way, spans.to_vec());
    // Without the store's thread nothing is taken down anywhere.
    let _ = to.push_waiting(match result {
        Ok(()) => Item::Delivered { way, spans },
        Err(error) => Item::Refused {
            way,
            spans,
            uncertain: error.uncertain,
        },
    });
}

/// The spans in parts that have one resource each, as the exporters want them.
pub(super) fn by_resource(batch: Vec<Span>) -> Vec<Vec<Span>> {
    let mut parts: Vec<Vec<Span>> = Vec::new();
    for span in batch {
        let same = |part: &&mut Vec<Span>| {
            part.first().is_some_and(|first| {
                Arc::ptr_eq(&first.resource, &span.resource) || first.resource == span.resource
            })
        };
        match parts.iter_mut().find(same) {
            Some(part) => part.push(span),
            None => parts.push(vec![span]),
        }
    }
    parts
}

/// An exporter, or why there is none.
type Made = Result<Box<dyn Exporter>, ExportError>;

/// One exporter a resource: each has its resource for good.
pub(super) struct Exporters<'a> {
    destination: &'a Destination,
    made: Vec<(Resource, Made)>,
}

/// Exporters kept at once; a build's trace has two or three resources.
const EXPORTERS: usize = 16;

impl<'a> Exporters<'a> {
    /// For spans of this resource, and of those that come.
    pub(super) fn new(destination: &'a Destination, own: &Resource) -> Self {
        let made = vec![(own.clone(), connect(destination, own))];
        Self { destination, made }
    }

    /// Sends spans of one resource.
    pub(super) fn send(&mut self, part: &[Span]) -> Result<(), ExportError> {
        let Some(first) = part.first() else {
            return Ok(());
        };
        let resource = &*first.resource;
        if !self.made.iter().any(|(known, _)| known == resource) {
            if self.made.len() == EXPORTERS {
                drop(self.made.remove(1));
            }
            let exporter = connect(self.destination, resource);
            self.made.push((resource.clone(), exporter));
        }
        let made = self.made.iter_mut().find(|(known, _)| known == resource);
        match made {
            Some((_, Ok(exporter))) => send(exporter.as_mut(), part),
            Some((_, Err(error))) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

fn connect(
    destination: &Destination,
    resource: &Resource,
) -> Result<Box<dyn Exporter>, ExportError> {
    Ok(match destination {
        Destination::Collector { url, credentials } => {
            Box::new(Collector::new(url, credentials.clone(), resource)?)
        }
        Destination::Otlp { url, headers, json } => Box::new(Otlp::new(url, headers, *json)?),
        Destination::Agent { host, port } => Box::new(Agent::new(host, *port, resource)?),
    })
}

/// Sends a batch, again if the failure may pass. The same bytes each time, so that a collector that
/// had stored the first ones sees equal copies.
fn send(exporter: &mut dyn Exporter, batch: &[Span]) -> Result<(), ExportError> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match exporter.export(batch) {
            Err(error) if error.passing => {
                debug!(%error, wait = ?pause, "a batch was refused; trying again")
            }
            result => return result,
        }
        std::thread::sleep(pause);
        pause *= 2;
    }
    exporter.export(batch)
}
