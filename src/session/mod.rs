//! The services that the daemon calls back while it builds.
//!
//! Lives here: file sync (it reads our context), file send (it writes results to us), credentials of
//! registries, secrets, the ssh agent, content stores, health, and the HTTP/2 server that answers on the
//! tunnel. Elsewhere: opening the tunnel (`buildkit`), deciding what
//! is served (`solve`). Start at [`Services::serve`].

mod auth;
mod callback;
mod content;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod metadata;
mod mode;
mod secrets;
mod send;
mod services;
mod ssh;
mod sync;

pub use auth::DockerConfig;
pub use content::Store;
pub use error::SessionError;
pub use secrets::{Origin, Secret};
pub use send::{Pipe, Sink};
pub use services::{LocalDir, Output, Services, Slots};
pub use ssh::Ssh;
