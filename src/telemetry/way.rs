//! One way out of the process: its queue, the thread that exports, and what became of the spans.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use super::pipeline::{self, BATCH_SPANS, Ledger, Shared};
use super::queue::Queue;
use super::settings::Destination;
use crate::trace::model::{Resource, Span, SpanId};
use crate::trace::report::RouteReport;
use crate::trace::store::SpoolRoute;

/// Spans waiting for the exporter. A burst of a hundred thousand is delivered whole; the memory is taken as
/// it is needed. Full: the span is not exported, and the report names it.
const QUEUE_SPANS: usize = 131_072;

/// An exporting thread, as seen from outside.
pub(super) struct Way {
    destination: Destination,
    progress: Shared,
    ended: Receiver<()>,
}

impl Way {
    /// Starts the thread, and gives the queue to it.
    pub(super) fn start(
        destination: Destination,
        resource: Arc<Resource>,
        ledger: Ledger,
    ) -> (Queue<Arc<Span>>, Self) {
        let queue = Queue::new(QUEUE_SPANS, BATCH_SPANS);
        let spans = queue.clone();
        let progress = Shared::default();
        let (done, ended) = sync_channel::<()>(1);
        let (shared, to) = (progress.clone(), destination.clone());
        std::thread::spawn(move || {
            pipeline::run(&spans, &to, &resource, &shared, &ledger);
            // Nobody waits any more: the deadline has passed.
            let _ = done.send(());
        });
        let way = Self {
            destination,
            progress,
            ended,
        };
        (queue, way)
    }

    /// Waits for what is left, and says what became of `expected`.
    pub(super) fn end(
        self,
        deadline: Duration,
        until: Instant,
        expected: &[SpanId],
    ) -> RouteReport {
        let left = until.saturating_duration_since(Instant::now());
        let in_time = self.ended.recv_timeout(left).is_ok();
        let progress = self.progress.lock();
        let delivered: HashSet<_> = progress.delivered.iter().collect();
        let lost: Vec<_> = expected
            .iter()
            .filter(|id| !delivered.contains(id))
            .map(ToString::to_string)
            .collect();
        let late = (!in_time && !lost.is_empty())
            .then(|| format!("no answer within {} s", deadline.as_secs()));
        let SpoolRoute { route, address } = self.destination.route();
        RouteReport {
            route,
            address,
            delivered: delivered.len() as u64,
            error: if lost.is_empty() {
                None
            } else {
                late.or(progress.error.clone())
            },
            lost,
            spooled: 0,
        }
    }
}
