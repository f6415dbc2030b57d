//! E004: what was cancelled is no failure.

use super::Rule;
use crate::trace::model::Span;
use crate::verify::evidence::{Evidence, is_cancelled, is_command};
use crate::verify::finding::{Finding, Outcome, Severity, count, shown_all};

pub(super) const RULE: Rule = Rule {
    id: "E004",
    name: "cancelled-not-error",
    severity: Severity::Warn,
    proves: "noise is separate",
    fails: "a span of ours, other than the command's, is marked cancelled and is an error, too",
    mend: "what was stopped because of another failure is not to be counted: please report it",
    check,
};

fn check(evidence: &Evidence<'_>) -> Outcome {
    let both: Vec<&Span> = evidence
        .ours()
        // An interrupted command did not do what it was to do.
        .filter(|span| is_cancelled(span) && span.is_error() && !is_command(span))
        .collect();
    if both.is_empty() {
        return Outcome::of([]);
    }
    let number = count(both.len(), "span is", "spans are");
    Outcome::of([Finding::new(format!("{number} both cancelled and failed"))
        .about(both.iter().copied())
        .expected("one of the two")
        .note("spans", shown_all(&both))])
}
