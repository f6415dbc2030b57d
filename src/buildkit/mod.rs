//! The daemon's gRPC services as typed calls.
//!
//! Lives here: the calls, their client spans, the tunnel that carries a session, and what the daemon's
//! errors say. Elsewhere: reaching the daemon (`engine`), what it calls back (`session`), what a build
//! is made of (`solve`). Start at [`Client`].

mod call;
mod client;
mod content;
mod error;
mod failure;
mod gateway;
mod history;
mod session;
mod storage;
mod tunnel;

pub use call::Propagate;
pub use client::{Asked, Client, Daemon, SessionOpening, StatusStream};
pub use content::{Blob, BlobError};
pub use error::BuildkitError;
pub use failure::{BuildFailure, FailedSource};
pub use gateway::{Gateway, GivenUp, Part, PartResult};
pub use history::{BuildRecord, BuildState, HistoryFilter, Steps};
pub use session::{OpenSession, Opening, SessionIo};
pub use storage::{DiskUse, Pruning};
pub use tunnel::{Tunnel, TunnelCloser};
