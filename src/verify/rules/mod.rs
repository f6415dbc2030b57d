//! The rules. Each has an id that is never reused, and a mutation test in `verify::tests`.
//!
//! A rule answers with findings, or says why it could not look. Findings of one cause are one finding
//! with a count.

mod cache;
mod cause;
mod cover;
mod exit_code;
mod export;
mod found;
mod one_root;
mod orphans;
mod propagation;
mod swallowed;
mod unique;

use std::fmt;

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
    check: fn(&Evidence<'_>) -> Outcome,
}

/// All rules, in the order of their ids' families.
pub static RULES: &[Rule] = &[
    found::RULE,
    one_root::RULE,
    orphans::RULE,
    unique::RULE,
    export::COUNT,
    export::CLEAN,
    cover::RULE,
    propagation::RPC,
    propagation::CALLBACK,
    propagation::DAEMON,
    swallowed::RULE,
    exit_code::RULE,
    cause::RULE,
    cache::MARKED,
    cache::TOTALS,
];

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
