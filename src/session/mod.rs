//! The services that the daemon calls back while it builds.
//!
//! Lives here: file sync (it reads our context), file send (it writes results to us), health, and the
//! HTTP/2 server that answers on the tunnel. Elsewhere: opening the tunnel (`buildkit`), deciding what
//! is served (`solve`). Start at [`Services::serve`].

mod callback;
mod error;
mod grpc;
mod metadata;
mod mode;
mod send;
mod services;
mod sync;

pub use error::SessionError;
pub use services::{LocalDir, Output, Services, Slots};
