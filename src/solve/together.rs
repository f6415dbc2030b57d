//! The build that several actions share: it waits while they are made through its gateway.
//!
//! Lives here: its beginning, the actions within it, its end. Elsewhere: which actions those are
//! (`shared`), whose a step is (`recorders`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::actions::{Action, ActionError, Made};
use super::error::SolveError;
use super::record::Totals;
use super::recorders::Recorders;
use super::request::{Solve, What};
use super::run::{self, Solved};
use super::session::{SessionHandle, random_id};
use super::shared::Shared;
use crate::buildkit::{Gateway, GivenUp, PartResult};
use crate::progress::event::BuildEvent;
use crate::proto::pb::Definition;

/// A build for several actions.
pub(super) struct Together<'a> {
    shared: Shared,
    solve: Solve,
    build: String,
    session: &'a SessionHandle,
    recorders: Arc<Recorders>,
    phase: watch::Sender<Phase>,
    ending: Mutex<Option<Ending>>,
    told: Notify,
    failed: Mutex<Option<GivenUp>>,
    ended: Mutex<Option<Result<Solved, SolveError>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Beginning,
    /// The engine waits for its result.
    Open,
    Over,
}

/// How it is to end.
enum Ending {
    Given(Box<PartResult>),
    GivenUp(GivenUp),
}

impl<'a> Together<'a> {
    /// A build for the actions of `shared`, with the exports of its result and all that its actions may do
    /// beyond the usual.
    pub(super) fn new(session: &'a SessionHandle, shared: Shared, mut solve: Solve) -> Self {
        solve.what = What::Gateway;
        Self {
            shared,
            solve,
            build: random_id(),
            session,
            recorders: Arc::default(),
            phase: watch::Sender::new(Phase::Beginning),
            ending: Mutex::default(),
            told: Notify::new(),
            failed: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    /// Is the action at `place` made here?
    pub(super) fn has(&self, place: usize) -> bool {
        self.shared.places.contains(&place)
    }

    /// Is the result of the action at `place` that of the build?
    pub(super) fn is_result(&self, place: usize) -> bool {
        self.shared.result == Some(place)
    }

    /// Runs the build to its end.
    pub(super) async fn run(
        &self,
        events: mpsc::Sender<Vec<BuildEvent>>,
        cancel: &CancellationToken,
    ) {
        let span = self.solve.span(&self.build);
        span.record("dagger.actions", self.shared.places.len());
        let beside = async |_| {
            let gateway = self.gateway();
            gateway.ready().await?;
            self.phase.send_replace(Phase::Open);
            self.told.notified().await;
            let ending = lock(&self.ending).take();
            match ending {
                Some(Ending::Given(result)) => gateway.give(*result).await,
                Some(Ending::GivenUp(why)) => gateway.give_up(why).await,
                None => Ok(()),
            }
        };
        let ids = (&span, self.build.as_str(), &self.recorders);
        let running = self.solve.run_in(ids, self.session, events, cancel, beside);
        let (result, _) = Box::pin(running).await;
        *lock(&self.ended) = Some(result);
        self.phase.send_replace(Phase::Over);
    }

    /// Makes an action within the build, in a `solve` span of its own.
    ///
    /// # Errors
    /// When a step or the frontend fails, it is told to stop, or the build has ended.
    pub(super) async fn make(
        &self,
        place: usize,
        action: &Action<'_>,
        stop: &CancellationToken,
    ) -> Result<(PartResult, Option<Made>, Totals), SolveError> {
        for local in action.locals() {
            let added = self.session.services().add_local(local);
            added.map_err(SolveError::Session)?;
        }
        let span = Solve::new(What::Gateway).span(&self.build);
        self.recorders
            .open(place, span.clone(), action.is_of_a_frontend());
        if let Some(name) = action.named_step() {
            self.recorders.claim_named(place, name);
        }
        let solving = |definition: &Definition| {
            let digests = definition.metadata.keys().map(String::as_str);
            self.recorders.claim(place, digests);
        };
        let gateway = self.gateway();
        let making = async {
            self.reaches(Phase::Open).await;
            action.make(&gateway, &[], solving).await
        };
        let making = Box::pin(making.instrument(span.clone()));
        let made = tokio::select! {
            biased;
            () = stop.cancelled() => Err(SolveError::Cancelled),
            made = making => made.map_err(|error| self.note(error)),
            () = self.reaches(Phase::Over) => Err(SolveError::Cancelled),
        };
        let last = made.as_ref().ok().and_then(|(_, made)| made.as_ref());
        let last = last.and_then(|made| made.state.digest());
        let totals = self.recorders.close(place, last).await;
        run::close(&span, &totals, made.as_ref().err());
        made.map(|(result, made)| (result, made, totals))
    }

    /// Gives the build its result, and waits for its end: exports have been done then.
    ///
    /// # Errors
    /// When it failed, was cancelled, or the engine was lost.
    pub(super) async fn give(&self, result: PartResult) -> Result<Solved, SolveError> {
        self.end_as(Ending::Given(Box::new(result)));
        self.reaches(Phase::Over).await;
        lock(&self.ended)
            .take()
            .unwrap_or(Err(SolveError::Cancelled))
    }

    /// Ends the build if it has no result by now: with the failure of the first that failed, or well.
    pub(super) fn end(&self) {
        let failed = lock(&self.failed).take();
        self.end_as(match failed {
            Some(why) => Ending::GivenUp(why),
            None => Ending::Given(Box::default()),
        });
    }

    /// How it ended, unless [`give`](Self::give) said so.
    pub(super) fn ended(self) -> Option<Result<Solved, SolveError>> {
        self.ended
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn end_as(&self, ending: Ending) {
        lock(&self.ending).get_or_insert(ending);
        self.told.notify_one();
    }

    fn note(&self, error: ActionError) -> SolveError {
        lock(&self.failed).get_or_insert_with(|| error.given_up());
        error.into()
    }

    fn gateway(&self) -> Gateway<'_> {
        Gateway::new(self.session.client(), self.build.clone())
    }

    /// Waits until the build is so far.
    async fn reaches(&self, least: Phase) {
        let far = |phase: &Phase| match least {
            Phase::Beginning => true,
            Phase::Open => *phase != Phase::Beginning,
            Phase::Over => *phase == Phase::Over,
        };
        // The sender is here: it cannot be gone.
        let _ = self.phase.subscribe().wait_for(far).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
