//! What a project expects of its traces: `trace.expect.yaml`.
//!
//! Lives here: the format, its faults, and holding what it says against a trace. Elsewhere: which spans are
//! meant (`select`), the built-in rules (`rules`), finding the file (`cli::trace_verify`).
//! Start at [`Expectations`].

mod baseline;
mod check;
mod hold;
mod init;
mod load;
mod place;
mod range;
mod schema;
#[cfg(test)]
mod tests;
mod waiver;

pub use baseline::{Baseline, Compare, LEAST_RUNS, RUNS};
pub use check::{Check, Kind};
pub use init::first;
pub use load::NAME;
pub use place::Place;
pub use schema::json_schema;
pub use waiver::Waiver;

pub(super) use hold::statistic;
pub(super) use range::shown_time;
pub(super) use schema::Stat;

use super::finding::{Outcome, Severity};
use super::index::Index;
use super::rules::Rule;

/// What a project expects of its traces.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    /// What it is about.
    pub name: Option<String>,
    /// How bad the findings of some rules are; `None`: the rule is not asked.
    pub levels: Vec<(&'static Rule, Option<Severity>)>,
    /// What has to hold, in the order of the file.
    pub checks: Vec<Check>,
    /// How it may differ from former runs.
    pub baseline: Option<Baseline>,
    /// What is let pass.
    pub waivers: Vec<Waiver>,
}

impl Check {
    /// Holds it against the run's spans; `rounding_ns` is how far times of one process may be off.
    pub(super) fn hold(&self, index: &Index<'_>, rounding_ns: u64) -> Outcome {
        hold::hold(self, index, rounding_ns)
    }
}
