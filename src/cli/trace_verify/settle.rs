//! The daemon's spans that wait until Jaeger says whether they came by themselves: to verify the trace is to
//! ask that, so those that did not come are sent meanwhile, once.
//!
//! Lives here: when. Elsewhere: who sends a daemon's spans (`telemetry::daemon`), how what waits is sent
//! (`telemetry::push`). Our own spans that were refused stay where they are: `dagger trace push` sends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tracing::debug;

use super::VerifyContext;
use crate::telemetry::{Push, Pushed, Settings};
use crate::trace::jaeger::QueryUrl;
use crate::trace::model::TraceId;
use crate::trace::ns;
use crate::trace::store::{Store, StoreError, Wanted};

/// How often it is looked whether they are due, or nobody waits for them any more.
const LOOK: Duration = Duration::from_millis(100);

/// Sends them in the background.
pub(super) struct Settling {
    stop: Arc<AtomicBool>,
    work: JoinHandle<Result<u64, StoreError>>,
}

impl Settling {
    /// Begins, for the trace that is read at `jaeger`; `None`: this machine has no way to send anything.
    pub(super) fn begin(
        trace: TraceId,
        jaeger: &QueryUrl,
        longest: Duration,
        context: &VerifyContext<'_>,
    ) -> Option<Self> {
        let state_dir = context.state_dir.clone()?;
        let settings = Settings::read(&|key| (context.var)(key)).ok()?;
        if settings.destinations.is_empty() {
            return None;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, jaeger) = (stop.clone(), jaeger.clone());
        let until = Instant::now().checked_add(longest)?;
        let work = tokio::task::spawn_blocking(move || {
            let Some(store) = Store::open_existing(&state_dir)? else {
                return Ok(0);
            };
            let all = Waits {
                store: &store,
                trace,
                settings: &settings,
                jaeger: &jaeger,
                until,
                stop: &stopped,
            };
            all.send()
        });
        Some(Self { stop, work })
    }

    /// Ends; how many were sent.
    pub(super) async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        match self.work.await {
            Ok(Ok(sent)) => sent,
            // The trace is judged as it is; what waits goes on waiting.
            Ok(Err(error)) => {
                debug!(%error, "spans of the daemon were not sent");
                0
            }
            Err(_) => 0,
        }
    }
}

/// What waits of one trace.
struct Waits<'a> {
    store: &'a Store,
    trace: TraceId,
    settings: &'a Settings,
    jaeger: &'a QueryUrl,
    until: Instant,
    stop: &'a AtomicBool,
}

impl Waits<'_> {
    /// Blocks until nothing waits, or it is to stop.
    fn send(&self) -> Result<u64, StoreError> {
        let mut pushed = Pushed::default();
        while !self.is_over() && pushed.errors.is_empty() {
            let now = ns::now();
            let waiting = self.store.waiting(now)?;
            let mut ours = waiting
                .iter()
                .filter(|one| one.trace == self.trace && one.of_engines > 0)
                .peekable();
            if ours.peek().is_none() {
                break;
            }
            for run in ours.filter(|one| one.due_ns <= now).map(|one| one.run) {
                let push = Push {
                    store: self.store,
                    destinations: &self.settings.destinations,
                    resource: &self.settings.resource,
                    query_url: Some(self.jaeger),
                    of: Wanted {
                        run: Some(run),
                        engines_only: true,
                    },
                    until: self.until,
                    stop: &|| self.is_over(),
                };
                pushed.add(push.run()?);
            }
            std::thread::sleep(LOOK);
        }
        Ok(pushed.spans())
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || Instant::now() >= self.until
    }
}
