//! The local trace: every span of a run goes into the store while the run goes on, whatever is
//! exported elsewhere. A process that is killed leaves what had ended by then.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use tracing::debug;

use super::queue::Queue;
use super::recorded::Recorded;
use crate::trace::jaeger::QueryUrl;
use crate::trace::model::{Span, SpanId, TraceId};
use crate::trace::ns;
use crate::trace::store::{Asked, Claim, NewRun, Outgoing, RunId, SpoolRoute, Store, StoreError};

/// Spans waiting for the store. Full: the span is not in the local trace, and counted.
const QUEUE_SPANS: usize = 131_072;

/// Spans in one transaction at most.
const BATCH_SPANS: usize = 2_048;

/// How long a span waits for others: what a kill may cost.
const BATCH_WAIT: Duration = Duration::from_millis(100);

/// How often it is looked which spans are open, and how long they are by then.
const LOOK: Duration = Duration::from_millis(500);

/// After so long an engine has sent its own spans, if it does that: the SDK's batches wait 5 s.
pub(crate) const ENGINES_OWN: Duration = Duration::from_secs(10);

/// A run that is to be recorded.
#[derive(Clone, Debug)]
pub struct LocalRun {
    /// Where the store is.
    pub state_dir: PathBuf,
    /// The run; its trace is set when recording starts.
    pub run: NewRun,
    /// Where Jaeger can be asked what it has; `None`: that is not known.
    pub query_url: Option<QueryUrl>,
}

/// What became of the local trace.
#[derive(Debug, Default)]
pub struct Kept {
    /// The store and the run in it, if it could be opened.
    pub run: Option<(Store, RunId)>,
    /// Holds the run's spans that were not delivered; to be released when the run's record is written.
    pub claim: Option<Claim>,
    /// The first failure.
    pub error: Option<StoreError>,
    /// Spans that are not in it.
    pub lost: u64,
}

/// What the writing thread is told. Of a span first that there is one, then what became of it.
#[derive(Debug)]
pub(super) enum Item {
    Span {
        span: Arc<Span>,
        leaves: Leaves,
    },
    /// The digest of what is run.
    Plan(String),
    /// A destination, by its place in the settings, has taken spans.
    Delivered {
        way: usize,
        spans: Vec<SpanId>,
    },
    /// Or has not; perhaps it has all the same.
    Refused {
        way: usize,
        spans: Vec<SpanId>,
        uncertain: bool,
    },
}

/// Does a span leave the machine?
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    Never,
    Now,
    /// If its engine, of this address, does not send it itself.
    Asked(Arc<str>),
}

/// The writing thread, as seen from outside.
pub(super) struct Local {
    queue: Queue<Item>,
    kept: Receiver<Kept>,
    recorded: Watched,
}

/// Where it is seen which spans are open; it also holds the queue to the writer, which must not hold it.
type Watched = Arc<OnceLock<Weak<Recorded>>>;

impl Local {
    /// Starts the thread; the store is opened there, while the run goes on.
    pub(super) fn start(local: LocalRun, routes: Vec<SpoolRoute>) -> (Queue<Item>, Self) {
        let queue = Queue::new(QUEUE_SPANS, BATCH_SPANS);
        let items = queue.clone();
        let (done, kept) = sync_channel(1);
        let recorded = Arc::new(OnceLock::new());
        let watched = recorded.clone();
        std::thread::spawn(move || {
            // Nobody waits any more: the deadline has passed.
            let _ = done.send(Writer::open(&local, routes, watched).write(&items));
        });
        let local = Self {
            queue: queue.clone(),
            kept,
            recorded,
        };
        (queue, local)
    }

    /// Says where it is seen which spans are open.
    pub(super) fn watch(&self, recorded: &Arc<Recorded>) {
        // Said once.
        let _ = self.recorded.set(Arc::downgrade(recorded));
    }

    /// Waits until all is written; `None` if that takes longer.
    pub(super) fn end(self, deadline: Duration) -> Option<Kept> {
        // The exporters may hold their ends of the queue for long.
        self.queue.close();
        self.kept.recv_timeout(deadline).ok()
    }
}

/// Writes what comes, as long as the store lets it.
struct Writer {
    kept: Kept,
    outgoing: Outgoing,
    trace: TraceId,
    recorded: Watched,
    /// The ids of the open spans as they were taken down, and when.
    open: Vec<SpanId>,
    looked: Instant,
}

impl Writer {
    fn open(local: &LocalRun, routes: Vec<SpoolRoute>, recorded: Watched) -> Self {
        let opened = Store::open(&local.state_dir).and_then(|store| {
            let run = store.begin(&local.run)?;
            if !routes.is_empty() {
                store.note_routes(run, &routes)?;
            }
            Ok((store, run))
        });
        let claim = Claim::run();
        let mut kept = Kept {
            claim: Some(claim.clone()),
            ..Kept::default()
        };
        match opened {
            Ok(run) => kept.run = Some(run),
            Err(error) => kept.error = Some(error),
        }
        Self {
            kept,
            outgoing: Outgoing { routes, claim },
            trace: local.run.trace,
            recorded,
            open: Vec::new(),
            looked: Instant::now(),
        }
    }

    fn write(mut self, queue: &Queue<Item>) -> Kept {
        while let Some(items) = queue.take(BATCH_WAIT) {
            self.batch(items.into_iter());
            if self.looked.elapsed() >= LOOK {
                self.look();
            }
        }
        self.note_open(Vec::new());
        self.kept
    }

    /// First the spans, then what became of some of them: they may be in the same batch.
    fn batch(&mut self, items: impl Iterator<Item = Item>) {
        let mut spans: Vec<(Leaves, Vec<Span>)> = Vec::new();
        let mut outcomes = Vec::new();
        for item in items {
            match item {
                Item::Span { span, leaves } => {
                    let span = Arc::unwrap_or_clone(span);
                    match spans.iter_mut().find(|(of, _)| *of == leaves) {
                        Some((_, spans)) => spans.push(span),
                        None => spans.push((leaves, vec![span])),
                    }
                }
                outcome => outcomes.push(outcome),
            }
        }
        let Some((store, run)) = self.kept.run.clone() else {
            self.kept.lost += spans
                .iter()
                .map(|(_, spans)| spans.len() as u64)
                .sum::<u64>();
            return;
        };
        for (leaves, spans) in spans {
            let written = self.append(&store, run, &leaves, &spans);
            self.check(written, spans.len());
        }
        for outcome in outcomes {
            let written = self.outcome(&store, run, outcome);
            self.check(written, 0);
        }
    }

    /// Takes down what has been open for some time: all that a kill would leave of it.
    fn look(&mut self) {
        self.looked = Instant::now();
        let recorded = self.recorded.get().and_then(Weak::upgrade);
        if let Some(recorded) = recorded {
            let since = ns::now().saturating_sub(ns::of_length(LOOK));
            self.note_open(recorded.open_since(since));
        }
    }

    fn note_open(&mut self, mut spans: Vec<Span>) {
        spans.sort_by_key(|span| span.id);
        let ids: Vec<_> = spans.iter().map(|span| span.id).collect();
        if let (true, Some((store, run))) = (ids != self.open, &self.kept.run) {
            let written = store.note_open(*run, &spans);
            self.open = ids;
            self.check(written, 0);
        }
    }

    fn append(
        &self,
        store: &Store,
        run: RunId,
        leaves: &Leaves,
        spans: &[Span],
    ) -> Result<(), StoreError> {
        let now = ns::now();
        let asked = match leaves {
            Leaves::Never => return store.append(run, spans).map(drop),
            Leaves::Now => None,
            Leaves::Asked(engine) => Some(Asked {
                engine: engine.to_string(),
                due_ns: now.saturating_add(ns::of_length(ENGINES_OWN)),
            }),
        };
        store
            .append_outgoing(run, spans, &self.outgoing, asked.as_ref(), now)
            .map(drop)
    }

    fn outcome(&self, store: &Store, run: RunId, outcome: Item) -> Result<(), StoreError> {
        let route = |way: usize| self.outgoing.routes.get(way);
        let keys = |spans: Vec<SpanId>| -> Vec<_> {
            spans.into_iter().map(|span| (self.trace, span)).collect()
        };
        let claim = &self.outgoing.claim;
        match outcome {
            Item::Delivered { way, spans } => route(way).map_or(Ok(()), |route| {
                store.delivered(route, claim, &keys(spans), true)
            }),
            Item::Refused {
                way,
                spans,
                uncertain,
            } => route(way).map_or(Ok(()), |route| {
                store.refused(route, claim, &keys(spans), uncertain)
            }),
            Item::Plan(digest) => store.describe(run, None, Some(&digest)),
            Item::Span { .. } => Ok(()),
        }
    }

    fn check(&mut self, written: Result<(), StoreError>, spans: usize) {
        if let Err(error) = written {
            debug!(%error, spans, "spans are not in the local trace");
            self.kept.lost += spans as u64;
            self.kept.error.get_or_insert(error);
        }
    }
}
