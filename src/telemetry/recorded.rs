//! What was recorded so far: the ids that the report is made of, and the queues to the exporters.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::span::Id;

use super::local::{Item, Leaves};
use super::queue::Queue;
use crate::trace::model::{Span, SpanId};
use crate::trace::report::DaemonReport;

/// Spans of a run, as seen from the recording side. Shared by all threads.
#[derive(Debug)]
pub(super) struct Recorded {
    state: Mutex<State>,
    seed: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Empty: nothing is to be exported, or no more.
    queues: Vec<Queue<Arc<Span>>>,
    /// Spans that found a queue full, for each of them.
    dropped: Vec<HashSet<SpanId>>,
    /// To the local store, if there is one.
    local: Option<Queue<Item>>,
    /// Spans that found the way to the local store full.
    unkept: u64,
    /// Open spans, by their id in `tracing`.
    open: HashMap<u64, Span>,
    ended: Vec<SpanId>,
    made: u64,
    daemon: Option<DaemonReport>,
    /// Spans of others that are to be exported.
    imported: Vec<SpanId>,
}

/// How long spans of others wait for room in the queue.
const ROOM: Duration = Duration::from_secs(1);

impl Recorded {
    /// `seed` makes ids differ between runs.
    pub(super) fn new(
        queues: Vec<Queue<Arc<Span>>>,
        local: Option<Queue<Item>>,
        seed: u64,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                dropped: vec![HashSet::new(); queues.len()],
                queues,
                local,
                ..State::default()
            }),
            seed,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole after each call, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An id that no other span of this run has, and that does not tell its number.
    pub(super) fn next_id(&self) -> SpanId {
        let mut state = self.state();
        loop {
            state.made += 1;
            // SplitMix64 (Steele et al. 2014): a bijection, so different numbers give different ids.
            let mut id = self
                .seed
                .wrapping_add(state.made.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            id ^= id >> 31;
            if id != 0 {
                return SpanId(id);
            }
        }
    }

    pub(super) fn begun(&self, tracing: &Id, span: Span) {
        self.state().open.insert(tracing.into_u64(), span);
    }

    /// The spans that are open, and began then or earlier.
    pub(super) fn open_since(&self, start_ns: u64) -> Vec<Span> {
        let state = self.state();
        let old = state.open.values().filter(|span| span.start_ns <= start_ns);
        old.cloned().collect()
    }

    pub(super) fn ended(&self, tracing: &Id, span: Span) {
        let mut state = self.state();
        state.open.remove(&tracing.into_u64());
        let (id, span) = (span.id, Arc::new(span));
        state.ended.push(id);
        state.keep(&span, &Leaves::Now);
        let State {
            queues, dropped, ..
        } = &mut *state;
        for (queue, dropped) in queues.iter().zip(dropped) {
            if queue.push(span.clone()).is_err() {
                dropped.insert(id);
            }
        }
    }

    /// Takes spans of the daemon; those with ids that are known are left out.
    pub(super) fn import(&self, spans: Vec<Span>, mut report: DaemonReport, leaves: &Leaves) {
        let (queues, spans) = {
            let mut state = self.state();
            let mut known: HashSet<SpanId> = state.ended.iter().copied().collect();
            known.extend(state.open.values().map(|span| span.id));
            let spans = spans.into_iter().filter(|span| known.insert(span.id));
            let spans: Vec<_> = spans.map(Arc::new).collect();
            for span in &spans {
                state.keep(span, leaves);
            }
            report.spans = spans.iter().map(|span| span.id.to_string()).collect();
            if report.imported {
                state.imported.extend(spans.iter().map(|span| span.id));
            }
            let queues = if report.imported {
                state.queues.clone()
            } else {
                Vec::new()
            };
            state.daemon = Some(report);
            (queues, spans)
        };
        let until = Instant::now() + ROOM;
        for (way, queue) in queues.iter().enumerate() {
            for span in &spans {
                let id = span.id;
                if !sent(queue, span.clone(), until)
                    && let Some(dropped) = self.state().dropped.get_mut(way)
                {
                    dropped.insert(id);
                }
            }
        }
    }

    /// What became of the daemon's spans, and the ids of those that are to be exported.
    pub(super) fn daemon(&self) -> (Option<DaemonReport>, Vec<SpanId>) {
        let state = self.state();
        (state.daemon.clone(), state.imported.clone())
    }

    /// Takes down the digest of what is run.
    pub(super) fn describe_plan(&self, digest: String) {
        if let Some(local) = &self.state().local {
            // Whoever asks for it finds the run without.
            let _ = local.push(Item::Plan(digest));
        }
    }

    /// No more spans are taken: the exporters' threads end when they have sent what waits.
    pub(super) fn close(&self) {
        let mut state = self.state();
        for queue in std::mem::take(&mut state.queues) {
            queue.close();
        }
        state.local = None;
    }

    /// How many spans found the way to the local store full.
    pub(super) fn unkept(&self) -> u64 {
        self.state().unkept
    }

    /// The id of a span that is open.
    pub(super) fn id_of(&self, tracing: &Id) -> Option<SpanId> {
        let state = self.state();
        state.open.get(&tracing.into_u64()).map(|span| span.id)
    }

    /// Ids of the spans that ended, that are open, and that found every queue full.
    pub(super) fn ids(&self) -> (Vec<SpanId>, Vec<SpanId>, Vec<SpanId>) {
        let state = self.state();
        let mut dropped = state.dropped.iter();
        let first = dropped.next().cloned().unwrap_or_default();
        let everywhere = dropped.fold(first, |all, some| &all & some);
        (
            state.ended.clone(),
            state.open.values().map(|span| span.id).collect(),
            everywhere.into_iter().collect(),
        )
    }
}

impl Drop for Recorded {
    /// A run that was never shut down: those who wait for more must not wait for ever.
    fn drop(&mut self) {
        if let Some(local) = self.state().local.take() {
            local.close();
        }
        self.close();
    }
}

/// Puts a span into a queue, waiting for room; false if there was none in time.
fn sent(queue: &Queue<Arc<Span>>, mut span: Arc<Span>, until: Instant) -> bool {
    loop {
        match queue.push(span) {
            Ok(()) => return true,
            Err(back) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
                span = back;
            }
            Err(_) => return false,
        }
    }
}

impl State {
    /// Hands a span to the local store.
    fn keep(&mut self, span: &Arc<Span>, leaves: &Leaves) {
        let full = self.local.as_ref().is_some_and(|local| {
            let (span, leaves) = (span.clone(), leaves.clone());
            local.push(Item::Span { span, leaves }).is_err()
        });
        self.unkept += u64::from(full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_never_zero() {
        let recorded = Recorded::new(Vec::new(), None, 0);
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| recorded.next_id().0).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(!ids.contains(&0));
    }
}
