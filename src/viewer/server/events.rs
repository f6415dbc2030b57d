//! What happens, told while it happens: server-sent events of runs that appear, grow, end and go.
//!
//! One task looks at the store for all who listen. Each of them has a bounded number of events waiting;
//! who reads too slowly is told to read everything again.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Served;
use super::answer::{Refused, Shape};
use crate::trace::ns;
use crate::trace::store::{RunFilter, RunId, Store, StoreError};
use crate::viewer::view::{RunState, state_of};

/// Those who may listen at one time.
const LISTENERS: usize = 64;

/// Events waiting for one who reads slowly; beyond it they are left out, and `reset` says so.
const WAITING: usize = 256;

/// Runs that are looked at, the newest ones.
const RUNS: usize = 500;

/// How often it is looked whether something has changed.
const LOOK: Duration = Duration::from_millis(500);

/// A comment comes so often when nothing else does, so that nobody takes the line for dead.
const ALIVE: Duration = Duration::from_secs(15);

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Told {
    trace: String,
    run: i64,
    change: &'static str,
    state: RunState,
    spans: u64,
}

/// Tells all who listen.
pub(super) struct Events {
    sender: broadcast::Sender<Arc<Told>>,
    listeners: Arc<Semaphore>,
    started_ms: u64,
    ended: CancellationToken,
}

impl Events {
    /// Watches a store until `ended`. Needs a running tokio runtime.
    pub(super) fn watch(store: Store, started_ms: u64, ended: CancellationToken) -> Self {
        let (sender, _) = broadcast::channel(WAITING);
        tokio::spawn(watch(store, sender.clone(), ended.clone()));
        Self {
            sender,
            listeners: Arc::new(Semaphore::new(LISTENERS)),
            started_ms,
            ended,
        }
    }
}

/// What was seen of a run; at last which of its spans are open, while it is at work.
type Seen = (String, RunState, u64, String);

/// What was seen of all of them, and the store's version then.
#[derive(Debug, Default)]
struct Look {
    version: i64,
    runs: HashMap<RunId, Seen>,
}

impl Look {
    /// Looks again; what has changed since, oldest run first.
    fn again(&mut self, store: &Store) -> Result<Vec<Told>, StoreError> {
        let version = store.version()?;
        // That a process was killed is in no table.
        let at_work = self.runs.values().any(|seen| seen.1 == RunState::Running);
        if version == self.version && !at_work {
            return Ok(Vec::new());
        }
        self.version = version;
        let newest = RunFilter {
            limit: Some(RUNS),
            ..RunFilter::default()
        };
        // Of a killed process what was open is now known to have ended.
        store.end_left_open(ns::now())?;
        let mut runs = HashMap::with_capacity(self.runs.len());
        let mut told = Vec::new();
        let listed = store.runs(&newest)?;
        let full = listed.len() == RUNS;
        let oldest = listed.last().map(|run| run.id);
        for run in listed.iter().rev() {
            let state = state_of(run);
            let open = match state {
                RunState::Running => store.open_mark(run.begun.trace)?,
                _ => String::new(),
            };
            let seen = (run.begun.trace.to_string(), state, run.spans, open);
            let change = match self.runs.remove(&run.id) {
                None => Some("appeared"),
                Some(known) if known == seen => None,
                Some((_, state, ..)) if state == RunState::Running && state != seen.1 => {
                    Some("ended")
                }
                Some(_) => Some("grew"),
            };
            told.extend(change.map(|change| tell(run.id, &seen, change)));
            runs.insert(run.id, seen);
        }
        for (id, seen) in std::mem::replace(&mut self.runs, runs) {
            // A run older than all that are looked at may be there still.
            if !(full && oldest.is_some_and(|oldest| id < oldest)) {
                told.push(tell(id, &seen, "removed"));
            }
        }
        Ok(told)
    }
}

fn tell(run: RunId, (trace, state, spans, _): &Seen, change: &'static str) -> Told {
    Told {
        trace: trace.clone(),
        run: run.0,
        change,
        state: *state,
        spans: *spans,
    }
}

async fn watch(store: Store, sender: broadcast::Sender<Arc<Told>>, ended: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = Look::default();
    let mut failing = false;
    let mut first = true;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = ended.cancelled() => return,
        }
        let store = store.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let told = look.again(&store);
            (look, told)
        });
        let Ok((back, told)) = looked.await else {
            return;
        };
        look = back;
        match told {
            Ok(told) => {
                failing = false;
                // What was there before the server is no news.
                for told in told.into_iter().filter(|_| !first) {
                    // Nobody may be listening.
                    let _ = sender.send(Arc::new(told));
                }
                first = false;
            }
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, help = error.help(), "new runs are not seen");
            }
            Err(_) => {}
        }
    }
}

/// One who listens.
struct Listener {
    receiver: broadcast::Receiver<Arc<Told>>,
    ended: CancellationToken,
    hello: Option<Event>,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    async fn next(&mut self) -> Option<Event> {
        if let Some(hello) = self.hello.take() {
            return Some(hello);
        }
        let received = tokio::select! {
            received = self.receiver.recv() => received,
            () = self.ended.cancelled() => return None,
        };
        match received {
            Ok(told) => {
                let data = serde_json::to_string(&*told).unwrap_or_default();
                Some(Event::default().event("run").data(data))
            }
            Err(broadcast::error::RecvError::Lagged(_)) => {
                Some(Event::default().event("reset").data("{}"))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

pub(super) async fn listen(State(served): State<Served>) -> Response {
    let events = served.events();
    let Ok(permit) = events.listeners.clone().try_acquire_owned() else {
        let text = format!("{LISTENERS} listen already; close a page, or ask again later");
        return Refused::new(StatusCode::SERVICE_UNAVAILABLE, text).respond(Shape::Page);
    };
    let hello = json!({"version": env!("CARGO_PKG_VERSION"), "started_ms": events.started_ms});
    let listener = Listener {
        receiver: events.sender.subscribe(),
        ended: events.ended.clone(),
        hello: Some(
            Event::default()
                .event("hello")
                .retry(Duration::from_secs(2))
                .data(hello.to_string()),
        ),
        _permit: permit,
    };
    Sse::new(told(listener))
        .keep_alive(KeepAlive::new().interval(ALIVE).text("alive"))
        .into_response()
}

fn told(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(listener, |mut listener| async {
        let event = listener.next().await?;
        Some((Ok(event), listener))
    })
}
