//! While a run goes on, what had waited from earlier runs is delivered beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use tracing::debug;

use super::local::LocalRun;
use super::push::{Push, Pushed};
use super::settings::Destination;
use crate::trace::model::Resource;
use crate::trace::ns;
use crate::trace::report::SpoolReport;
use crate::trace::store::{Store, StoreError, Wanted};

/// Longer than any run: it is ended by the run's end.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The thread that delivers, as seen from outside.
pub(super) struct Backlog {
    stop: Arc<AtomicBool>,
    ended: Receiver<Option<Pushed>>,
}

impl Backlog {
    /// Starts it.
    pub(super) fn start(
        destinations: Vec<Destination>,
        resource: Arc<Resource>,
        local: &LocalRun,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (done, ended) = sync_channel(1);
        let (stopped, local) = (stop.clone(), local.clone());
        std::thread::spawn(move || {
            let pushed = deliver(&destinations, &resource, &local, &stopped);
            if let Err(error) = &pushed {
                debug!(%error, "what had waited was not delivered");
            }
            // Nobody waits any more: the deadline has passed.
            let _ = done.send(pushed.ok().flatten());
        });
        Self { stop, ended }
    }

    /// No batch is begun from now on.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the batch that is on its way. `None`: there was nothing to be told.
    pub(super) fn end(self, until: Instant) -> Option<SpoolReport> {
        let left = until.saturating_duration_since(Instant::now());
        let report = match self.ended.recv_timeout(left) {
            Ok(pushed) => {
                let pushed = pushed?;
                SpoolReport {
                    delivered: pushed.spans() + pushed.known,
                    dropped: 0,
                    error: pushed.errors.into_iter().next().map(|(_, why)| why),
                }
            }
            Err(_) => SpoolReport {
                error: Some("no answer in time".to_owned()),
                ..SpoolReport::default()
            },
        };
        Some(report).filter(|report| *report != SpoolReport::default())
    }
}

fn deliver(
    destinations: &[Destination],
    resource: &Resource,
    local: &LocalRun,
    stop: &AtomicBool,
) -> Result<Option<Pushed>, StoreError> {
    let Some(store) = Store::open_existing(&local.state_dir)? else {
        return Ok(None);
    };
    store.end_left_open(ns::now())?;
    // As good as always nothing waits; the run's own spans are not on it yet, or held by the run.
    if !store.has_spooled()? {
        return Ok(None);
    }
    let push = Push {
        store: &store,
        destinations,
        resource,
        query_url: local.query_url.as_ref(),
        of: Wanted::default(),
        until: Instant::now() + LONGEST,
        stop: &|| stop.load(Ordering::Relaxed),
    };
    push.run().map(Some)
}
