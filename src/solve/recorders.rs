//! The steps of one build, each taken down under the action that it is of.
//!
//! A build that several actions share has one status stream. Whose step it tells of is known by digest:
//! the graphs are ours. Only what a Dockerfile's frontend makes is not known before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tracing::Span;

use super::record::{Totals, VertexRecorder};
use crate::llb;
use crate::progress::event::BuildEvent;

/// How long the stream may take to tell the end of what was answered already.
const LAG: Duration = Duration::from_millis(500);

/// Takes down the steps of a build.
#[derive(Debug, Default)]
pub(super) struct Recorders {
    all: Mutex<All>,
    changed: Notify,
}

#[derive(Debug)]
struct All {
    /// What is no part's, e.g. exports.
    rest: VertexRecorder,
    open: HashMap<usize, Open>,
    /// Whose step a digest is; also of parts that have ended.
    owners: HashMap<Arc<str>, usize>,
    /// The same for steps whose digests are made up by the engine, by their names.
    named: HashMap<String, usize>,
    /// The part whose frontend makes the steps that nobody knows.
    unknown: Option<usize>,
    /// Nothing more will come.
    ended: bool,
}

#[derive(Debug)]
struct Open {
    span: Span,
    recorder: VertexRecorder,
}

impl Default for All {
    fn default() -> Self {
        Self {
            rest: VertexRecorder::new(SystemTime::now()),
            open: HashMap::new(),
            owners: HashMap::new(),
            named: HashMap::new(),
            unknown: None,
            ended: false,
        }
    }
}

impl Recorders {
    /// Begins a part of the build: its steps hang under `span`. `unknown`: they are made by a frontend.
    pub(super) fn open(&self, part: usize, span: Span, unknown: bool) {
        let recorder = VertexRecorder::new(SystemTime::now());
        let mut all = self.lock();
        all.open.insert(part, Open { span, recorder });
        if unknown {
            all.unknown = Some(part);
        }
    }

    /// Says that these steps are the part's, unless they are another's already.
    pub(super) fn claim<'a>(&self, part: usize, digests: impl Iterator<Item = &'a str>) {
        let mut all = self.lock();
        for digest in digests {
            for digest in [digest.to_owned(), llb::made_anew(digest)] {
                all.owners.entry(digest.into()).or_insert(part);
            }
        }
    }

    /// Says that the steps of this name are the part's.
    pub(super) fn claim_named(&self, part: usize, name: String) {
        self.lock().named.insert(name, part);
    }

    /// Takes down a batch of events; what is no part's hangs under the current span.
    pub(super) fn record(&self, events: &[BuildEvent]) {
        let mut all = self.lock();
        if all.owners.is_empty() && all.named.is_empty() && all.unknown.is_none() {
            all.rest.record(events);
            return;
        }
        for event in events {
            match all.owner(event) {
                None => all.rest.record(std::slice::from_ref(event)),
                // Of a part that has ended nothing more is taken down.
                Some(part) => {
                    if let Some(Open { span, recorder }) = all.open.get_mut(&part) {
                        span.in_scope(|| recorder.record(std::slice::from_ref(event)));
                    }
                }
            }
        }
        drop(all);
        self.changed.notify_waiters();
    }

    /// Ends a part, once the stream has told the end of its steps, and that of `last` among them.
    pub(super) async fn close(&self, part: usize, last: Option<&str>) -> Totals {
        let settled = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                // Listens from here on: what comes between the look and the wait is not missed.
                changed.as_mut().enable();
                if self.lock().is_settled(part, last) {
                    return;
                }
                changed.await;
            }
        };
        // Then they end as they are known.
        let _ = tokio::time::timeout(LAG, settled).await;
        let mut all = self.lock();
        if all.unknown == Some(part) {
            all.unknown = None;
        }
        let ended = all.open.remove(&part);
        drop(all);
        ended.map_or_else(Totals::default, |open| {
            open.recorder.finish(SystemTime::now())
        })
    }

    /// Ends the build: the totals of what was no part's.
    pub(super) fn finish(&self, now: SystemTime) -> Totals {
        let mut all = self.lock();
        all.ended = true;
        let rest = std::mem::replace(&mut all.rest, VertexRecorder::new(now));
        drop(all);
        self.changed.notify_waiters();
        rest.finish(now)
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn owner(&mut self, event: &BuildEvent) -> Option<usize> {
        let digest = event.vertex();
        if let Some(owner) = self.owners.get(digest) {
            return Some(*owner);
        }
        let named = match event {
            BuildEvent::Vertex(vertex) => self.named.get(&vertex.name).copied(),
            _ => None,
        };
        let owner = named.or(self.unknown)?;
        self.owners.insert(digest.clone(), owner);
        Some(owner)
    }

    fn is_settled(&self, part: usize, last: Option<&str>) -> bool {
        let Some(Open { recorder, .. }) = self.open.get(&part) else {
            return true;
        };
        if self.ended {
            return true;
        }
        let is_ours = |digest: &str| self.owners.get(digest) == Some(&part);
        let last = last.filter(|digest| is_ours(digest));
        let anew = last.map(llb::made_anew);
        recorder.is_settled(last) || (anew.is_some() && recorder.is_settled(anew.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::event::Vertex;

    fn vertex(digest: &str, name: &str, ended: bool) -> BuildEvent {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        BuildEvent::Vertex(Vertex {
            digest: digest.into(),
            name: name.into(),
            started: Some(at),
            completed: ended.then_some(at),
            ..Vertex::default()
        })
    }

    #[tokio::test]
    async fn each_step_is_counted_where_it_belongs() {
        let all = Recorders::default();
        all.open(1, Span::none(), false);
        all.claim(1, ["a", "b"].into_iter());
        all.claim_named(1, "metadata".into());
        all.open(2, Span::none(), true);
        // It was another's first.
        all.claim(2, ["b"].into_iter());
        all.record(&[
            vertex("a", "", true),
            vertex("b", "", true),
            vertex("x", "metadata", true),
            vertex("c", "load the Dockerfile", true),
        ]);
        assert_eq!(all.close(1, Some("b")).await.total, 3);
        assert_eq!(all.close(2, Some("b")).await.total, 1);
        // What comes late of a part that has ended is nobody's.
        all.record(&[vertex("a", "", true), vertex("d", "exporting", true)]);
        assert_eq!(all.finish(SystemTime::UNIX_EPOCH).total, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_waits_for_the_end_of_its_last_step_but_not_for_ever() {
        let all = Arc::new(Recorders::default());
        all.open(1, Span::none(), false);
        all.claim(1, ["a"].into_iter());
        let teller = all.clone();
        let told = tokio::spawn(async move {
            tokio::time::sleep(LAG / 2).await;
            teller.record(&[vertex(&llb::made_anew("a"), "", true)]);
        });
        assert_eq!(all.close(1, Some("a")).await.total, 1);
        assert!(told.is_finished());
        all.open(2, Span::none(), false);
        all.claim(2, ["b"].into_iter());
        all.record(&[vertex("b", "", false)]);
        let totals = all.close(2, Some("b")).await;
        assert_eq!(totals.unfinished.as_deref(), Some(""));
    }
}
