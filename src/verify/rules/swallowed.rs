//! E001: a failure can be seen from the root.

use std::collections::BTreeMap;

use super::Rule;
use crate::trace::model::{Span, SpanId};
use crate::verify::evidence::{Evidence, is_cancelled};
use crate::verify::finding::{Finding, Outcome, Severity, count, shown, shown_all};
use crate::verify::names;

pub(super) const RULE: Rule = Rule {
    id: "E001",
    name: "error-reaches-root",
    severity: Severity::Error,
    proves: "failure is visible",
    fails: "a failed span of ours hangs under one that did not fail, and neither was cancelled or retried",
    mend: "an error was dropped on its way up: please report it",
    check,
};

fn check(evidence: &Evidence<'_>) -> Outcome {
    let mut swallowed: BTreeMap<SpanId, (&Span, Vec<&Span>)> = BTreeMap::new();
    for failed in evidence.ours().filter(|span| span.is_error()) {
        if let Some(by) = swallower(evidence, failed) {
            swallowed
                .entry(by.id)
                .or_insert((by, Vec::new()))
                .1
                .push(failed);
        }
    }
    Outcome::of(swallowed.into_values().map(|(by, failed)| {
        let number = count(failed.len(), "failed span", "failed spans");
        Finding::new(format!("{number} under {}, which did not fail", shown(by)))
            .about(failed.iter().copied())
            .about([by])
            .expected(format!("{} is an error, too", shown(by)))
            .actual("it is none")
            .note("failed", shown_all(&failed))
            .help("an error was dropped on its way up; if it was meant to be, mark the span")
    }))
}

/// The span of ours at which the failure's way up ends too early.
///
/// A daemon's span that is no error ends the way, and well: the daemon asked, we said no, and it went
/// on without.
fn swallower<'a>(evidence: &Evidence<'a>, failed: &Span) -> Option<&'a Span> {
    let entry = evidence.scope.entry;
    if excused(failed) || entry == Some(failed.id) {
        return None;
    }
    for above in evidence.index.ancestors(failed) {
        if excused(above) {
            return None;
        }
        if !above.is_error() {
            return evidence.is_ours(above).then_some(above);
        }
        if entry == Some(above.id) {
            return None;
        }
    }
    None
}

/// Is it no failure of what is above it?
fn excused(span: &Span) -> bool {
    is_cancelled(span) || span.flag(names::RETRIED) == Some(true)
}
