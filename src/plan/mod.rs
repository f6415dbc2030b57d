//! What to build.
//!
//! Lives here: finding and checking what the user named: a Dockerfile and its context, or a plan file.
//! Elsewhere: running it (`solve`). Start at [`Dockerfile::find`] or [`file::PlanFile::load`].

mod dockerfile;
mod error;
pub mod file;

pub use dockerfile::Dockerfile;
pub use error::PlanError;
