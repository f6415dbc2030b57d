//! Runs a build: the request, the session beside it, the status stream, cancellation, the vertex spans.
//!
//! Lives here: one solve from start to result. Elsewhere: the calls (`buildkit`), what the daemon asks
//! for meanwhile (`session`), what people see (`progress`). Start at [`Solve::run`].

mod actions;
mod build_attrs;
mod built_in;
mod by_gateway;
mod call;
mod dockerfile;
mod error;
mod events;
mod image_config;
pub mod layout;
mod record;
mod recorders;
mod request;
mod run;
mod schedule;
mod session;
mod shared;
mod together;

pub use call::Answer;
pub use dockerfile::DockerfileOptions;
pub use error::SolveError;
pub use events::from_status;
pub use request::{CacheEntry, Export, Solve, What};
pub use run::Solved;
pub use schedule::{Ran, Schedule};
pub use session::SessionHandle;
