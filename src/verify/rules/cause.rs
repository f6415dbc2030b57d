//! E003: a failure can be understood.

use super::Rule;
use crate::trace::model::{Span, Status};
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, count, shown_all};
use crate::verify::names;

pub(super) const RULE: Rule = Rule {
    id: "E003",
    name: "error-has-cause",
    severity: Severity::Warn,
    proves: "failure is readable",
    fails: "a failed span without a description, an exception or, for a step, its last lines",
    mend: "an error without words was passed on: please report it",
    check,
};

fn check(evidence: &Evidence<'_>) -> Outcome {
    let mute: Vec<&Span> = evidence
        .ours()
        .filter(|span| span.is_error() && !says_why(span))
        .collect();
    if mute.is_empty() {
        return Outcome::of([]);
    }
    let number = count(mute.len(), "failed span says", "failed spans say");
    Outcome::of([Finding::new(format!("{number} nothing of the cause"))
        .about(mute.iter().copied())
        .expected("a description, an exception event or, for a step, its last lines")
        .actual("none")
        .note("spans", shown_all(&mute))])
}

fn says_why(span: &Span) -> bool {
    let described = matches!(&span.status, Status::Error(text) if !text.trim().is_empty());
    let step = span.attribute(names::VERTEX).is_some();
    described
        || span
            .events
            .iter()
            .any(|event| event.name == names::EXCEPTION || (step && event.name == names::OUTPUT))
}
