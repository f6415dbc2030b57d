//! What to build.
//!
//! Lives here: finding and checking what the user named; today a Dockerfile and its context.
//! Elsewhere: running it (`solve`). Start at [`Dockerfile::find`].

mod dockerfile;
mod error;

pub use dockerfile::Dockerfile;
pub use error::PlanError;
