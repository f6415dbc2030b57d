//! What can go wrong while the daemon is answered.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use tonic::Code;

/// What can go wrong while the daemon is answered. Its text reaches the user through the daemon, as
/// the reason why a step failed.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The tunnel broke.
    #[error("the session's connection broke: {0}")]
    Connection(#[from] hyper::Error),
    /// A path that could not be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Path {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A pattern of .dockerignore, or of the frontend, that means nothing.
    #[error("the pattern `{pattern}` cannot be read: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two builds of one session share different directories under one name.
    #[error("the name `{name}` is taken by another directory of this session")]
    Taken {
        /// The name.
        name: String,
    },
    /// The daemon asked for something that is not served.
    #[error("{0}")]
    Refused(String),
    /// The daemon asked whether something is there, and it is not.
    #[error("{0}")]
    Absent(String),
    /// A store that is there to be read was to be written.
    #[error("{0}")]
    Denied(String),
    /// A blob that was to be written is there.
    #[error("content {0}: already exists")]
    Exists(String),
    /// A blob is not what it should be.
    #[error("{0}")]
    Mismatch(String),
    /// A part was asked for, or given, that does not fit.
    #[error("{0}")]
    Range(String),
    /// Something is larger than it may be.
    #[error("{0}")]
    Limit(String),
    /// A program that was to help did not, or a registry.
    #[error("{0}")]
    Helper(String),
    /// The daemon broke the protocol.
    #[error("unexpected message from the daemon: {0}")]
    Protocol(String),
    /// The daemon ended a transfer with an error.
    #[error("the daemon ended the transfer: {0}")]
    Peer(String),
    /// The daemon went away in the middle.
    #[error("the transfer was cancelled")]
    Cancelled,
}

impl SessionError {
    /// The gRPC code that the daemon is answered with.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Refused(_) | Self::Absent(_) => Code::NotFound,
            Self::Pattern { .. } | Self::Taken { .. } => Code::InvalidArgument,
            Self::Protocol(_) => Code::InvalidArgument,
            Self::Denied(_) => Code::PermissionDenied,
            Self::Exists(_) => Code::AlreadyExists,
            Self::Mismatch(_) => Code::FailedPrecondition,
            Self::Range(_) => Code::OutOfRange,
            Self::Limit(_) => Code::ResourceExhausted,
            Self::Helper(_) => Code::Unknown,
            Self::Cancelled => Code::Cancelled,
            Self::Connection(_) => Code::Unavailable,
            Self::Path { source, .. } if source.kind() == io::ErrorKind::NotFound => Code::NotFound,
            Self::Path { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Code::PermissionDenied
            }
            Self::Path { .. } | Self::Peer(_) => Code::Unknown,
        }
    }
}
