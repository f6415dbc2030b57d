//! Why there is no connection.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::address::ChosenBy;
use crate::buildkit::BuildkitError;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum EngineError {
    /// `BUILDKIT_HOST` cannot be read.
    #[error("BUILDKIT_HOST `{address}` {problem}")]
    BadAddress {
        /// What was given, without credentials.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A scheme that is known, but not spoken.
    #[error("BUILDKIT_HOST names a `{scheme}://` engine, which this version cannot reach yet")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// Nothing was said and nothing was found.
    #[error("no engine: BUILDKIT_HOST is not set and there is no socket at `{}`", socket.display())]
    NoEngine {
        /// Where a socket was looked for.
        socket: PathBuf,
    },
    /// The socket or port could not be opened.
    #[error("cannot connect to `{address}` (from {by})")]
    Connect {
        /// The engine's address.
        address: String,
        /// How it was chosen.
        by: ChosenBy,
        /// What the system said.
        source: io::Error,
        /// What to do next.
        help: String,
    },
    /// No answer in time.
    #[error("no answer from `{address}` (from {by}) within {} s", limit.as_secs())]
    Deadline {
        /// The engine's address.
        address: String,
        /// How it was chosen.
        by: ChosenBy,
        /// How long was waited.
        limit: Duration,
    },
    /// Something answers there, but not as a buildkitd does.
    #[error("`{address}` (from {by}) does not answer as a buildkitd")]
    Handshake {
        /// The engine's address.
        address: String,
        /// How it was chosen.
        by: ChosenBy,
        /// What went wrong.
        #[source]
        source: Box<BuildkitError>,
    },
}

impl EngineError {
    /// What to do next.
    pub fn help(&self) -> String {
        match self {
            Self::BadAddress { .. } => {
                "write it as `unix:///run/buildkit/buildkitd.sock` or `tcp://HOST:PORT`".into()
            }
            Self::Scheme { .. } => "use a `unix://` or `tcp://` address of that engine".into(),
            Self::NoEngine { .. } => {
                "start buildkitd, or set BUILDKIT_HOST to `unix://SOCKET` or `tcp://HOST:PORT`"
                    .into()
            }
            Self::Connect { help, .. } => help.clone(),
            Self::Deadline { .. } => {
                "see whether buildkitd is running there, and whether it is overloaded".into()
            }
            Self::Handshake { .. } => {
                "see what listens there; buildkitd speaks gRPC without TLS here".into()
            }
        }
    }

    /// Is it what the user wrote, rather than the state of the world?
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::BadAddress { .. } | Self::Scheme { .. })
    }
}
