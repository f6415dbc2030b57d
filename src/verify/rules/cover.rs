//! T011: the root is the run.

use std::time::Duration;

use super::Rule;
use crate::trace::model::Span;
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, count, shown};
use crate::verify::names;

pub(super) const RULE: Rule = Rule {
    id: "T011",
    name: "root-covers",
    severity: Severity::Error,
    proves: "the root is the run",
    fails: "a span of ours is outside the root by more than 2 µs; a step, which has the daemon's times, by more than `--clock-tolerance`",
    mend: "the root was closed early, or the daemon's clock is wrong",
    check,
};

fn check(evidence: &Evidence<'_>) -> Outcome {
    let Some(root) = evidence.entry() else {
        return Outcome::skipped("the run's root is not there");
    };
    let outside: Vec<(u64, &Span)> = evidence
        .ours()
        // A step that another build had begun keeps the time at which it really began.
        .filter(|span| span.flag(names::SHARED) != Some(true))
        .map(|span| (outside_ns(span, root), span))
        .filter(|(by_ns, span)| {
            // A step has the daemon's times, by the daemon's clock.
            let allowed = match span.attribute(names::VERTEX) {
                Some(_) => evidence.tolerance.clocks,
                None => evidence.tolerance.rounding,
            };
            u128::from(*by_ns) > allowed.as_nanos()
        })
        .collect();
    let Some((worst_ns, worst)) = outside.iter().copied().max_by_key(|(by_ns, _)| *by_ns) else {
        return Outcome::of([]);
    };
    let help = if worst.attribute(names::VERTEX).is_some() {
        "the daemon's clock differs from ours by more than --clock-tolerance"
    } else {
        "the root was closed before its work was done: please report it"
    };
    let number = count(outside.len(), "span of ours is", "spans of ours are");
    Outcome::of([
        Finding::new(format!("{number} not inside the root {}", shown(root)))
            .about(outside.iter().map(|(_, span)| *span))
            .expected("every span of ours begins and ends inside the root")
            .actual(format!(
                "{} is outside by {:?}",
                shown(worst),
                Duration::from_nanos(worst_ns)
            ))
            .help(help),
    ])
}

/// How far the span reaches out of the root, on the worse side.
fn outside_ns(span: &Span, root: &Span) -> u64 {
    let early = root.start_ns.saturating_sub(span.start_ns);
    let late = span.end_ns.saturating_sub(root.end_ns);
    early.max(late)
}
