//! A build whose result is made through the gateway, beside the solve that waits for it.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::actions::ActionError;
use super::error::SolveError;
use super::layout;
use super::request::{CacheEntry, Solve};
use super::run::Solved;
use super::session::SessionHandle;
use crate::buildkit::{BuildFailure, Gateway, GivenUp, PartResult};
use crate::progress::event::BuildEvent;

/// Runs `solve`, whose [`What`](super::What) is the gateway, with the result that `make` makes; gives
/// what else that made. `make` is told of the caches to read, and `known` of what was made as soon as the
/// engine has taken it: what is left then is exports, caches and the engine's record of the build.
///
/// # Errors
/// When the result could not be made, or the build failed, was cancelled, or the engine was lost.
pub(super) async fn build<T: Clone>(
    solve: &Solve,
    session: &SessionHandle,
    events: &mpsc::Sender<Vec<BuildEvent>>,
    cancel: &CancellationToken,
    make: impl AsyncFnOnce(&Gateway<'_>, Vec<CacheEntry>) -> Result<(PartResult, T), ActionError>,
    known: impl FnOnce(&T),
) -> Result<(Solved, T), SolveError> {
    // What is solved through the gateway is told of the caches there, and not by the build around it.
    let mut solve = solve.clone();
    layout::prepare(&mut solve, session.services());
    let caches = std::mem::take(&mut solve.cache_from);
    // The build may end before the answer to its result comes; then this has what was made.
    let given = Mutex::new(None);
    let beside = async |build: String| {
        let gateway = Gateway::new(session.client(), build);
        let made = async {
            gateway.ready().await?;
            make(&gateway, caches).await
        }
        .await;
        match made {
            Ok((result, made)) => {
                *given.lock().unwrap_or_else(PoisonError::into_inner) = Some(made.clone());
                let told = gateway.give(result).await;
                if told.is_ok() {
                    known(&made);
                }
                told.map(|()| made).map_err(ActionError::Engine)
            }
            Err(error) => {
                // The build ends with this error, or with that of not having been told.
                let _ = gateway.give_up(error.given_up()).await;
                Err(error)
            }
        }
    };
    let (result, made) = solve
        .run_beside(session, events.clone(), cancel, beside)
        .await;
    let given = given.into_inner().unwrap_or_else(PoisonError::into_inner);
    match (result, made.or(given.map(Ok))) {
        (Ok(solved), Some(Ok(made))) => Ok((solved, made)),
        (Err(SolveError::Cancelled), _) => Err(SolveError::Cancelled),
        // What the part said is nearer to the cause than what the build made of it.
        (_, Some(Err(error @ ActionError::Engine(_)))) => Err(error.into()),
        (Err(error), _) => Err(error),
        (Ok(_), Some(Err(error))) => Err(error.into()),
        (Ok(_), None) => Err(failed(
            "the engine ended the build before its result was made",
        )),
    }
}

impl ActionError {
    /// What the engine is told of it.
    pub(super) fn given_up(&self) -> GivenUp {
        match self {
            Self::Engine(error) => GivenUp::after(error),
            Self::Several(_) => GivenUp::because(self.to_string()),
        }
    }
}

impl From<ActionError> for SolveError {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::Several(_) => failed(&error.to_string()),
            ActionError::Engine(error) => match BuildFailure::from_error(&error) {
                Some(failure) => Self::Failed(Box::new(failure)),
                None => Self::Engine(error),
            },
        }
    }
}

fn failed(message: &str) -> SolveError {
    SolveError::Failed(Box::new(BuildFailure {
        message: message.to_owned(),
        ..BuildFailure::default()
    }))
}
