//! E001: a failure can be seen from the root.

use std::collections::{BTreeMap, HashMap};

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
    let mut known = HashMap::new();
    for failed in evidence.ours().filter(|span| span.is_error()) {
        if let Some(by) = swallower(evidence, failed, &mut known) {
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
/// on without. Where ways meet they end alike: `known` has the end of those that were walked.
fn swallower<'a>(
    evidence: &Evidence<'a>,
    failed: &Span,
    known: &mut HashMap<SpanId, Option<&'a Span>>,
) -> Option<&'a Span> {
    let entry = evidence.scope.entry;
    if excused(failed) || entry == Some(failed.id) {
        return None;
    }
    let mut walked = Vec::new();
    let mut end = None;
    for above in evidence.index.ancestors(failed) {
        if let Some(known) = known.get(&above.id) {
            end = *known;
            break;
        }
        walked.push(above.id);
        if excused(above) {
            break;
        }
        if !above.is_error() {
            end = evidence.is_ours(above).then_some(above);
            break;
        }
        if entry == Some(above.id) {
            break;
        }
    }
    known.extend(walked.into_iter().map(|id| (id, end)));
    end
}

/// Is it no failure of what is above it?
fn excused(span: &Span) -> bool {
    is_cancelled(span) || span.flag(names::RETRIED) == Some(true)
}
