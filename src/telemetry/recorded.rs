//! What was recorded so far: the ids that the report is made of, and the queue to the exporter.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::span::Id;

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
    /// Absent: nothing is to be exported, or no more.
    queue: Option<SyncSender<Span>>,
    /// To the local store, if there is one.
    local: Option<SyncSender<Span>>,
    /// Spans that found the way to the local store full.
    unkept: u64,
    /// Open spans, by their id in `tracing`.
    open: HashMap<u64, SpanId>,
    ended: Vec<SpanId>,
    dropped: Vec<SpanId>,
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
        queue: Option<SyncSender<Span>>,
        local: Option<SyncSender<Span>>,
        seed: u64,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                queue,
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

    pub(super) fn begun(&self, tracing: &Id, id: SpanId) {
        self.state().open.insert(tracing.into_u64(), id);
    }

    pub(super) fn ended(&self, tracing: &Id, span: Span) {
        let mut state = self.state();
        state.open.remove(&tracing.into_u64());
        let id = span.id;
        state.ended.push(id);
        state.keep(&span);
        let refused = state
            .queue
            .as_ref()
            .is_some_and(|queue| queue.try_send(span).is_err());
        if refused {
            state.dropped.push(id);
        }
    }

    /// Takes spans of the daemon; those with ids that are known are left out.
    pub(super) fn import(&self, mut spans: Vec<Span>, mut report: DaemonReport) {
        let (queue, spans) = {
            let mut state = self.state();
            let mut known: HashSet<SpanId> = state.ended.iter().copied().collect();
            known.extend(state.open.values());
            spans.retain(|span| known.insert(span.id));
            for span in &spans {
                state.keep(span);
            }
            report.spans = spans.iter().map(|span| span.id.to_string()).collect();
            if report.imported {
                state.imported.extend(spans.iter().map(|span| span.id));
            }
            let queue = state.queue.clone().filter(|_| report.imported);
            state.daemon = Some(report);
            (queue, spans)
        };
        let Some(queue) = queue else { return };
        let until = Instant::now() + ROOM;
        for mut span in spans {
            let id = span.id;
            let refused = loop {
                match queue.try_send(span) {
                    Ok(()) => break false,
                    Err(TrySendError::Full(back)) if Instant::now() < until => {
                        std::thread::sleep(Duration::from_millis(5));
                        span = back;
                    }
                    Err(_) => break true,
                }
            };
            if refused {
                self.state().dropped.push(id);
            }
        }
    }

    /// What became of the daemon's spans, and the ids of those that are to be exported.
    pub(super) fn daemon(&self) -> (Option<DaemonReport>, Vec<SpanId>) {
        let state = self.state();
        (state.daemon.clone(), state.imported.clone())
    }

    /// No more spans are exported: the exporter's thread ends when it has sent what waits.
    pub(super) fn close(&self) {
        let mut state = self.state();
        (state.queue, state.local) = (None, None);
    }

    /// How many spans found the way to the local store full.
    pub(super) fn unkept(&self) -> u64 {
        self.state().unkept
    }

    /// The id of a span that is open.
    pub(super) fn id_of(&self, tracing: &Id) -> Option<SpanId> {
        self.state().open.get(&tracing.into_u64()).copied()
    }

    /// Ids of the spans that ended, that are open, and that found the queue full.
    pub(super) fn ids(&self) -> (Vec<SpanId>, Vec<SpanId>, Vec<SpanId>) {
        let state = self.state();
        (
            state.ended.clone(),
            state.open.values().copied().collect(),
            state.dropped.clone(),
        )
    }
}

impl State {
    /// Hands a span to the local store.
    fn keep(&mut self, span: &Span) {
        let full = self
            .local
            .as_ref()
            .is_some_and(|local| local.try_send(span.clone()).is_err());
        self.unkept += u64::from(full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_never_zero() {
        let recorded = Recorded::new(None, None, 0);
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| recorded.next_id().0).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(!ids.contains(&0));
    }
}
