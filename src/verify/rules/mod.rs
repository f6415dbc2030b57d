//! The rules. Each has an id that is never reused, and a mutation test in `verify::tests`.
//!
//! A rule answers with findings, or says why it could not look. Findings of one cause are one finding
//! with a count.

mod cache;
mod cancelled;
mod cause;
mod cover;
mod dark;
mod docs;
mod exit_code;
mod export;
mod found;
mod history;
mod known;
mod one_root;
mod orphans;
mod others;
mod parties;
mod path;
mod propagation;
mod secrets;
mod shape;
mod steps;
mod swallowed;
mod times;
mod unique;

use std::fmt;

pub use docs::{explain, list, markdown};

use super::evidence::Evidence;
use super::finding::{Outcome, Severity};

/// One rule.
pub struct Rule {
    /// Its id, e.g. `T003`.
    pub id: &'static str,
    /// Its name, e.g. `no-orphans`.
    pub name: &'static str,
    /// How bad its findings are, unless they say otherwise.
    pub severity: Severity,
    /// What it proves.
    pub proves: &'static str,
    /// When it finds something.
    pub fails: &'static str,
    /// What to do then.
    pub mend: &'static str,
    check: fn(&Evidence<'_>) -> Outcome,
}

/// All rules, in the order of their ids' families.
pub static RULES: &[Rule] = &[
    found::RULE,
    one_root::RULE,
    orphans::RULE,
    unique::RULE,
    shape::ACYCLIC,
    shape::ONE_TRACE,
    export::COUNT,
    export::CLEAN,
    times::FINISHED,
    times::INSIDE,
    cover::RULE,
    times::SKEW,
    times::POSITIVE,
    propagation::RPC,
    propagation::CALLBACK,
    propagation::DAEMON,
    steps::SEEN_TWICE,
    steps::COMPLETE,
    parties::SERVICES,
    parties::RESOURCE,
    swallowed::RULE,
    exit_code::RULE,
    cause::RULE,
    cancelled::RULE,
    cache::MARKED,
    cache::TOTALS,
    known::NAMES,
    secrets::RULE,
    known::BOUNDS,
    path::RULE,
    dark::GAPS,
    history::RULE,
];

/// The rule of this id, in either case, or of this name.
pub fn find(id: &str) -> Option<&'static Rule> {
    RULES
        .iter()
        .find(|rule| rule.id.eq_ignore_ascii_case(id) || rule.name == id)
}

impl Rule {
    /// Holds the rule against a trace.
    pub fn check(&self, evidence: &Evidence<'_>) -> Outcome {
        (self.check)(evidence)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.name)
    }
}
