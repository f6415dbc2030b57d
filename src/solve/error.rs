//! How a build ends when it does not end well.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::buildkit::{BuildFailure, BuildkitError};
use crate::session::SessionError;

/// How a build ends when it does not end well.
#[derive(Debug, Error)]
pub enum SolveError {
    /// A step, the frontend or an exporter failed.
    #[error("failed to solve: {}", .0.message)]
    Failed(Box<BuildFailure>),
    /// What the build needs cannot be served.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The build went well, but its name could not be written into a layout.
    #[error("cannot write the index of `{}`", path.display())]
    Layout {
        /// The layout.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon refused to begin.
    #[error(transparent)]
    Engine(BuildkitError),
    /// The daemon went away, or the way to it.
    #[error("lost the engine at `{address}` after {:.1} s{}", after.as_secs_f64(), during(step.as_deref()))]
    Lost {
        /// The engine's address.
        address: String,
        /// How long the build had run.
        after: Duration,
        /// The step that had begun last and not ended.
        step: Option<String>,
        /// What the transport said.
        source: BuildkitError,
    },
    /// The user stopped it.
    #[error("interrupted")]
    Cancelled,
}

fn during(step: Option<&str>) -> String {
    step.map_or_else(String::new, |step| format!(", during `{step}`"))
}
