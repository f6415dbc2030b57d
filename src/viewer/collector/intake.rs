//! The queue between receivers and the store: many batches in one transaction, each answered when it is on
//! disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::trace::model::Span;
use crate::trace::store::{Limits, Store, StoreError};

/// Spans waiting for the store. Full: a sender waits for [`PATIENCE`], then is refused.
const QUEUE_SPANS: u32 = 100_000;

/// Batches waiting for the store; each has a span at least.
const QUEUE_BATCHES: usize = 4_096;

/// Batches in one transaction at most.
const TOGETHER: usize = 256;

/// How long a sender waits for room in the queue.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often what is too old or too much is removed while spans come.
const PRUNE: Duration = Duration::from_secs(60);

/// What may stay in the store, asked for each time.
pub type Retention = Box<dyn Fn() -> Limits + Send>;

/// Why a batch was not taken.
#[derive(Debug, Error)]
pub(super) enum Untaken {
    /// The store is slower than what comes.
    #[error("too many spans wait for the store; send it again later")]
    Full,
    /// The store cannot be written.
    #[error("the trace store cannot be written; see the log of `dagger trace serve`")]
    Store,
}

struct Item {
    spans: Vec<Span>,
    /// Who waits for it; `None`: nobody can be answered.
    done: Option<oneshot::Sender<bool>>,
    _room: OwnedSemaphorePermit,
}

/// Takes batches. Clones are cheap and share one queue.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::Sender<Item>,
    room: Arc<Semaphore>,
}

impl Intake {
    /// Writes what comes into this store, on a thread that ends when all intakes are gone.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn start(store: &Store, retention: Retention) -> Result<Self, StoreError> {
        let store = store.reopened()?;
        store.make_durable()?;
        let (queue, items) = mpsc::channel(QUEUE_BATCHES);
        std::thread::spawn(move || write(&store, items, &retention));
        Ok(Self {
            queue,
            room: Arc::new(Semaphore::new(QUEUE_SPANS as usize)),
        })
    }

    /// Takes a batch; when it returns the spans are on disk.
    pub(super) async fn take(&self, spans: Vec<Span>) -> Result<(), Untaken> {
        if spans.is_empty() {
            return Ok(());
        }
        let room = tokio::time::timeout(PATIENCE, self.room_for(&spans)).await;
        let Ok(Some(room)) = room else {
            return Err(Untaken::Full);
        };
        let (done, written) = oneshot::channel();
        let item = Item {
            spans,
            done: Some(done),
            _room: room,
        };
        self.queue.try_send(item).map_err(|_| Untaken::Full)?;
        match written.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Untaken::Store),
        }
    }

    /// Takes a batch of which nobody is told what became of it, as soon as there is room.
    pub(super) async fn put(&self, spans: Vec<Span>) {
        if spans.is_empty() {
            return;
        }
        let Some(room) = self.room_for(&spans).await else {
            return;
        };
        let item = Item {
            spans,
            done: None,
            _room: room,
        };
        // The writer is there as long as an intake is.
        let _ = self.queue.send(item).await;
    }

    /// Waits for room. A batch that is larger than the queue waits for all of it.
    async fn room_for(&self, spans: &[Span]) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from(spans.len()).unwrap_or(u32::MAX);
        let room = self.room.clone();
        room.acquire_many_owned(wanted.min(QUEUE_SPANS)).await.ok()
    }
}

fn write(store: &Store, mut items: mpsc::Receiver<Item>, retention: &Retention) {
    let mut pruned = Instant::now();
    let mut failing = false;
    while let Some(first) = items.blocking_recv() {
        let mut taken = vec![first];
        while taken.len() < TOGETHER
            && let Ok(item) = items.try_recv()
        {
            taken.push(item);
        }
        let spans: Vec<_> = taken
            .iter_mut()
            .flat_map(|item| std::mem::take(&mut item.spans))
            .collect();
        let written = store.receive(&spans);
        for item in taken {
            if let Some(done) = item.done {
                // The sender may have gone away: then it sends again.
                let _ = done.send(written.is_ok());
            }
        }
        match written {
            Ok(new) => {
                tracing::debug!(spans = spans.len(), new, "received");
                failing = false;
            }
            Err(error) if !failing => {
                tracing::warn!(%error, help = error.help(), "received spans are refused");
                failing = true;
            }
            Err(_) => {}
        }
        if pruned.elapsed() >= PRUNE {
            pruned = Instant::now();
            if let Err(error) = store.prune(&retention()) {
                tracing::debug!(%error, "nothing was removed");
            }
        }
    }
}
