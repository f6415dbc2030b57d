//! How a build ends when it does not end well.

use thiserror::Error;

use crate::buildkit::{BuildFailure, BuildkitError};

/// How a build ends when it does not end well.
#[derive(Debug, Error)]
pub enum SolveError {
    /// A step, the frontend or an exporter failed.
    #[error("failed to solve: {}", .0.message)]
    Failed(Box<BuildFailure>),
    /// The daemon went away, or refused to begin.
    #[error(transparent)]
    Engine(#[from] BuildkitError),
    /// The user stopped it.
    #[error("interrupted")]
    Cancelled,
}
