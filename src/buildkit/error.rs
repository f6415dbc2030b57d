//! What can go wrong in a call.

use thiserror::Error;

/// A call to the daemon that gave no answer, or an answer that is no success.
#[derive(Debug, Error)]
pub enum BuildkitError {
    /// The connection broke, or there was none.
    #[error("lost the engine at `{address}` during {method}")]
    Lost {
        /// The engine's address.
        address: String,
        /// The call, `package.Service/Method`.
        method: &'static str,
        /// What the transport said.
        #[source]
        source: Box<tonic::Status>,
    },
    /// The daemon answered with an error.
    #[error("{method} was refused by the engine at `{address}`: {}", status.message())]
    Refused {
        /// The engine's address.
        address: String,
        /// The call, `package.Service/Method`.
        method: &'static str,
        /// The daemon's answer, with its details.
        status: Box<tonic::Status>,
    },
}

impl BuildkitError {
    pub(super) fn new(address: &str, method: &'static str, status: tonic::Status) -> Self {
        let (address, status) = (address.to_owned(), Box::new(status));
        // A status that came over the wire has no source; one that tonic made of a broken
        // connection carries the transport's error.
        if std::error::Error::source(status.as_ref()).is_some() {
            Self::Lost {
                address,
                method,
                source: status,
            }
        } else {
            Self::Refused {
                address,
                method,
                status,
            }
        }
    }

    /// The daemon's answer, if it gave one.
    pub fn status(&self) -> Option<&tonic::Status> {
        match self {
            Self::Lost { .. } => None,
            Self::Refused { status, .. } => Some(status),
        }
    }
}
