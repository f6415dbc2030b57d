//! Proves that a trace is whole and tells the truth.
//!
//! Lives here: waiting until a trace is complete, the rules, the reports. Elsewhere: reading traces
//! and run records (`trace`), the flags (`cli::trace_verify`).
//!
//! A [`Target`] says what is to be verified, [`poll::wait`] fetches it, [`judge`] holds the rules
//! against it, and [`report::Report`] is what people and machines are told. A rule is one entry of
//! [`rules::RULES`]; to add one, start there.

mod baseline;
pub mod completeness;
mod evidence;
pub mod expect;
mod finding;
mod index;
mod judge;
pub mod known_spans;
mod names;
pub mod poll;
mod profile;
pub mod report;
pub mod rules;
mod scope;
pub mod select;
mod target;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod waiting;
mod waive;

pub use evidence::{Evidence, Tolerance};
pub use finding::{Finding, Outcome, Severity};
pub use index::Index;
pub use judge::{Held, Judged, judge, judge_with};
pub use profile::Profile;
pub use scope::Scope;
pub use target::{KnownSecret, Run, Target};
