//! What the routes work with: the store, read by a few threads at one time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::http::StatusCode;
use axum::response::Response;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::answer::{Refused, Shape};
use super::events::Events;
use super::guard::Hosts;
use crate::trace::ns;
use crate::trace::store::{Store, StoreError};
use crate::viewer::metrics::Metrics;
use crate::viewer::view::RunList;

/// Answers that are put together at one time; the others wait. Each has a connection to the store.
const AT_ONCE: usize = 4;

/// What the routes work with. Clones are cheap and share all of it.
#[derive(Clone)]
pub struct Served {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    /// Connections that nobody uses just now.
    idle: Mutex<Vec<Store>>,
    permits: Arc<Semaphore>,
    hosts: Hosts,
    now: fn() -> SystemTime,
    runs: Mutex<RunList>,
    events: Events,
    /// `None` until they begin to count.
    metrics: Mutex<Option<Metrics>>,
}

impl Served {
    /// Serves this store to those who ask under one of these names, until `ended`; `now` is the clock.
    /// Needs a running tokio runtime.
    pub fn new(
        store: &Store,
        hosts: Hosts,
        now: fn() -> SystemTime,
        ended: CancellationToken,
    ) -> Self {
        let served = Self {
            inner: Arc::new(Inner {
                events: Events::watch(store.clone(), ns::of(now()) / 1_000_000, ended),
                store: store.clone(),
                idle: Mutex::default(),
                permits: Arc::new(Semaphore::new(AT_ONCE)),
                hosts,
                now,
                runs: Mutex::default(),
                metrics: Mutex::default(),
            }),
        };
        let counting = served.clone();
        // What comes from now on is counted, whenever it is asked for.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = counting.inner.take().map(|store| counting.metrics(&store)) {
                tracing::debug!(%error, "metrics begin with the first question");
            }
        });
        served
    }

    /// The metrics so far, as Prometheus reads them.
    pub(super) fn metrics(&self, store: &Store) -> Result<String, StoreError> {
        let metrics = &self.inner.metrics;
        let mut metrics = metrics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = &mut *metrics {
            return metrics.read(store);
        }
        metrics.insert(Metrics::begin(store)?).read(store)
    }

    pub(super) fn hosts(&self) -> &Hosts {
        &self.inner.hosts
    }

    pub(super) fn events(&self) -> &Events {
        &self.inner.events
    }

    /// Now, in nanoseconds since the epoch.
    pub(super) fn now_ns(&self) -> u64 {
        ns::of((self.inner.now)())
    }

    /// The list of runs, which remembers what it has counted.
    pub(super) fn runs(&self) -> &Mutex<RunList> {
        &self.inner.runs
    }

    /// Lets `work` make the answer, off the threads that serve; what it refuses is told in this shape.
    pub(super) async fn answer(
        &self,
        shape: Shape,
        work: impl FnOnce(&Store) -> Result<Response, Refused> + Send + 'static,
    ) -> Response {
        let permit = self.inner.permits.clone().acquire_owned().await;
        let inner = self.inner.clone();
        let made = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let store = inner.take()?;
            let made = work(&store);
            inner.give_back(store);
            made
        });
        match made.await {
            Ok(Ok(response)) => response,
            Ok(Err(refused)) => refused.respond(shape),
            Err(error) => {
                tracing::warn!(%error, "a request was not answered");
                let text = "the answer could not be made; see the log of `dagger trace serve`";
                Refused::new(StatusCode::INTERNAL_SERVER_ERROR, text).respond(shape)
            }
        }
    }
}

impl Inner {
    fn take(&self) -> Result<Store, StoreError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.map_or_else(|| self.store.reopened(), Ok)
    }

    fn give_back(&self, store: Store) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(store);
    }
}
