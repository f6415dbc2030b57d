//! LLB: the graph that a build is made of, made here and marshalled as Go's client marshals it.
//!
//! Lives here: operations, their digests, the definition that is sent. All of it is pure: the same
//! calls give the same bytes. Elsewhere: what is to be built (`plan`), sending it (`solve`).
//! Start at [`State`]; [`Definition::of`](definition) ends it.

mod anew;
mod build;
mod combine;
mod definition;
mod exec;
mod file;
mod path;
mod source;
mod vertex;

#[cfg(test)]
mod tests;

pub use anew::asked_anew;
pub use build::build;
pub use combine::{diff, merge};
pub use definition::{definition, state_of};
pub use exec::{Exec, Executed, Mount, Network, Secret, Sharing, Ssh};
pub use file::{Copy, File, Mode, Owner, User};
pub use path::clean;
pub use source::{Http, Local, Source};
pub use vertex::{Platform, State, made_anew};
