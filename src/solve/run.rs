//! One solve: solve and status at once, followed to their ends.
//!
//! The order at the end matters: the result first, then the status stream is read to its end, because
//! the last output comes there (`client/solve.go` does the same); the session is closed after that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug, field::Empty, info_span};

use super::built_in;
use super::error::SolveError;
use super::record::Totals;
use super::recorders::Recorders;
use super::request::Solve;
use super::session::{SessionHandle, random_id};
use super::{events, layout};
use crate::buildkit::{BuildFailure, BuildkitError, Client};
use crate::progress::event::{BuildEvent, Outcome};
use crate::proto::control::SolveResponse;

/// How long the status stream may be silent after the result before it is given up.
const STATUS_SILENCE: Duration = Duration::from_secs(5);

/// The same for a build that failed or was stopped before anything was heard of it: the daemon has no job
/// that it could tell of, and does not say so.
const UNHEARD_SILENCE: Duration = Duration::from_millis(500);

/// A build that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Solved {
    /// Steps that were looked at.
    pub steps: u64,
    /// Steps whose result was there already.
    pub cached: u64,
    /// What the exporters and caches say, e.g. `containerimage.digest`.
    pub response: BTreeMap<String, String>,
    /// The build's name in the daemon's history.
    pub build: String,
}

impl Solve {
    /// Runs the build in a `solve` span and sends what happens to `events`.
    ///
    /// `cancel` stops it: the daemon kills what runs, the last output is still read.
    ///
    /// # Errors
    /// When the build failed, was cancelled, or the engine was lost.
    pub async fn run(
        &self,
        session: &SessionHandle,
        events: mpsc::Sender<Vec<BuildEvent>>,
        cancel: &CancellationToken,
    ) -> Result<Solved, SolveError> {
        let nothing = async |_: String| {};
        self.run_beside(session, events, cancel, nothing).await.0
    }

    /// Runs the build as [`run`](Self::run) does, and `beside` with the build's name at the same time:
    /// for [`What::Gateway`](super::What::Gateway) that is what makes the result and returns it.
    ///
    /// `beside` is dropped when the build ends before it does; then its value is `None`.
    pub async fn run_beside<T>(
        &self,
        session: &SessionHandle,
        events: mpsc::Sender<Vec<BuildEvent>>,
        cancel: &CancellationToken,
        beside: impl AsyncFnOnce(String) -> T,
    ) -> (Result<Solved, SolveError>, Option<T>) {
        let build = random_id();
        let span = self.span(&build);
        let ids = (&span, build.as_str(), &Arc::default());
        self.run_in(ids, session, events, cancel, beside).await
    }

    /// The span of build `build`. Close it with [`close`].
    pub(super) fn span(&self, build: &str) -> Span {
        let kinds: Vec<_> = self.exports.iter().map(|export| &*export.kind).collect();
        info_span!(
            "solve",
            buildkit.r#ref = build,
            buildkit.frontend = self.frontend(),
            buildkit.exporters = kinds.join(","),
            buildkit.steps.total = Empty,
            buildkit.steps.cached = Empty,
            buildkit.steps.failed = Empty,
            dagger.actions = Empty,
            dagger.cancelled = Empty,
            otel.status = Empty,
            otel.status_message = Empty,
        )
    }

    /// As [`run_beside`](Self::run_beside), with a name and a span for the build, and with a say in which
    /// spans its steps hang under.
    pub(super) async fn run_in<T>(
        &self,
        (span, build, recorders): (&Span, &str, &Arc<Recorders>),
        session: &SessionHandle,
        events: mpsc::Sender<Vec<BuildEvent>>,
        cancel: &CancellationToken,
        beside: impl AsyncFnOnce(String) -> T,
    ) -> (Result<Solved, SolveError>, Option<T>) {
        let running = self.run_with(session, (build, recorders), events, cancel, beside);
        let (result, totals, value) = Box::pin(running).instrument(span.clone()).await;
        close(span, &totals, result.as_ref().err());
        let solved = result.map(|response| Solved {
            steps: totals.total,
            cached: totals.cached,
            response: response.exporter_response,
            build: build.to_owned(),
        });
        (solved, value)
    }

    async fn run_with<T>(
        &self,
        session: &SessionHandle,
        (build, recorders): (&str, &Arc<Recorders>),
        events: mpsc::Sender<Vec<BuildEvent>>,
        cancel: &CancellationToken,
        beside: impl AsyncFnOnce(String) -> T,
    ) -> (Result<SolveResponse, SolveError>, Totals, Option<T>) {
        for local in &self.locals {
            if let Err(error) = session.services().add_local(local.clone()) {
                return (Err(SolveError::Session(error)), Totals::default(), None);
            }
        }
        let mut prepared = self.clone();
        layout::prepare(&mut prepared, session.services());
        let client = session.client();
        built_in::adapt(&mut prepared, client.address());
        let lease = session.lease(prepared.outputs());
        let request = prepared.request(build, &lease.id);
        let (ended, watched) = watch::channel(Ending::Running);
        let status = tokio::spawn(
            follow(
                client.clone(),
                build.to_owned(),
                recorders.clone(),
                events,
                watched,
            )
            .in_current_span(),
        );

        let began = Instant::now();
        let mut value = None;
        let result = {
            let solve = client.solve(request);
            let beside = beside(build.to_owned());
            tokio::pin!(solve, beside);
            loop {
                tokio::select! {
                    biased;
                    // Dropping the call is what cancels the build in the daemon.
                    () = cancel.cancelled() => break Err(SolveError::Cancelled),
                    result = &mut solve => break result.map_err(failure),
                    made = &mut beside, if value.is_none() => value = Some(made),
                }
            }
        };
        ended.send_replace(Ending::of(result.as_ref().err()));
        let after = began.elapsed();
        let (totals, ()) = tokio::join!(status, lease.end());
        let totals = totals.unwrap_or_default();
        let result = result.map_err(|error| match error {
            SolveError::Engine(source @ BuildkitError::Lost { .. }) => SolveError::Lost {
                address: client.address().to_owned(),
                after,
                step: totals.unfinished.clone(),
                source,
            },
            SolveError::Failed(mut failure) => {
                built_in::explain(&mut failure, client.address(), self);
                SolveError::Failed(failure)
            }
            other => other,
        });
        let result = result.and_then(|response| {
            layout::finish(&prepared, &response.exporter_response).map(|()| response)
        });
        (result, totals, value)
    }
}

/// Ends the span of a build with what became of it.
pub(super) fn close(span: &Span, totals: &Totals, error: Option<&SolveError>) {
    span.record("buildkit.steps.total", totals.total);
    span.record("buildkit.steps.cached", totals.cached);
    span.record("buildkit.steps.failed", totals.failed);
    match error {
        None => {}
        Some(SolveError::Cancelled) => {
            span.record("dagger.cancelled", true);
        }
        Some(error) => {
            span.record("otel.status", "error");
            span.record("otel.status_message", error.to_string());
        }
    }
}

impl SolveError {
    /// The ending as the renderers take it.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Failed(failure) => Outcome::Failed {
                message: failure.message.clone(),
                sources: failure.sources.iter().map(events::excerpt).collect(),
            },
            Self::Engine(_) | Self::Lost { .. } | Self::Session(_) | Self::Layout { .. } => {
                Outcome::Failed {
                    message: self.to_string(),
                    sources: Vec::new(),
                }
            }
            Self::Cancelled => Outcome::Cancelled,
        }
    }
}

fn failure(error: BuildkitError) -> SolveError {
    match BuildFailure::from_error(&error) {
        Some(failure) => SolveError::Failed(Box::new(failure)),
        None => SolveError::Engine(error),
    }
}

/// Reads the status stream to its end: vertex spans, and events for the renderers.
async fn follow(
    client: Client,
    build: String,
    recorders: Arc<Recorders>,
    events: mpsc::Sender<Vec<BuildEvent>>,
    mut ended: watch::Receiver<Ending>,
) -> Totals {
    let mut heard = false;
    match client.status(&build).await {
        Ok(mut stream) => loop {
            let message = tokio::select! {
                message = stream.next() => message,
                () = silence(&mut ended, heard) => break,
            };
            heard = true;
            let batch = match message {
                Ok(Some(message)) => events::from_status(message),
                Ok(None) => break,
                Err(error) => {
                    debug!(%error, "the status stream broke off");
                    break;
                }
            };
            recorders.record(&batch);
            // Nobody draws any more: the spans are still wanted.
            let _ = events.send(batch).await;
        },
        Err(error) => debug!(%error, "the build could not be followed"),
    }
    recorders.finish(SystemTime::now())
}

/// How far the solve has come, for the status stream beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Running,
    Ended,
    /// It may never have become a job.
    Failed,
}

impl Ending {
    fn of(error: Option<&SolveError>) -> Self {
        match error {
            Some(SolveError::Failed(_) | SolveError::Cancelled) => Self::Failed,
            _ => Self::Ended,
        }
    }
}

/// Returns when the build has ended and nothing came for some time. Each message begins it anew.
async fn silence(ended: &mut watch::Receiver<Ending>, heard: bool) {
    // An error is that the sender is gone, which is an end as well.
    let ending = ended.wait_for(|ending| *ending != Ending::Running).await;
    let failed = ending.is_ok_and(|ending| *ending == Ending::Failed);
    let long = if failed && !heard {
        UNHEARD_SILENCE
    } else {
        STATUS_SILENCE
    };
    tokio::time::sleep(long).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_a_build_that_was_stopped_before_it_was_a_job_nothing_is_awaited_for_long() {
        let waits = async |error: Option<SolveError>, heard| {
            let (ended, mut watched) = watch::channel(Ending::Running);
            ended.send_replace(Ending::of(error.as_ref()));
            // The clock stands still but for what is slept.
            let began = tokio::time::Instant::now();
            silence(&mut watched, heard).await;
            began.elapsed() >= STATUS_SILENCE
        };
        assert!(!waits(Some(SolveError::Cancelled), false).await);
        // Its last output is on its way.
        assert!(waits(Some(SolveError::Cancelled), true).await);
        assert!(waits(None, false).await);
    }
}
