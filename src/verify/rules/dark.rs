//! D002: no dark time.

use super::Rule;
use crate::trace::model::Span;
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, shown};

pub(super) const GAPS: Rule = Rule {
    id: "D002",
    name: "no-gaps",
    severity: Severity::Warn,
    proves: "no dark time",
    fails: "for longer than 1 s and 5 % of the run no child of the root was at work",
    mend: "a span is missing there, or the run waited for something that has none",
    check: check_gaps,
};

/// The least gap that is told, in nanoseconds.
const LEAST_NS: u64 = 1_000_000_000;

fn check_gaps(evidence: &Evidence<'_>) -> Outcome {
    let Some(root) = evidence.entry() else {
        return Outcome::skipped("the run's root is not there");
    };
    let children = evidence.index.children(root.id);
    if children.is_empty() {
        return Outcome::skipped("the root has no child");
    }
    let run_ns = root.end_ns.saturating_sub(root.start_ns);
    let allowed = LEAST_NS.max(run_ns / 20);
    let (dark, after) = dark_ns(root, children);
    if dark <= allowed {
        return Outcome::of([]);
    }
    let mut finding = Finding::new(format!(
        "{:.1} s without a child span in {}",
        seconds(dark),
        shown(root)
    ))
    .about([root])
    .expected(format!("at most {:.1} s", seconds(allowed)))
    .actual(format!("{:.1} s", seconds(dark)));
    if let Some(after) = after {
        finding = finding.note("longest gap after", shown(after));
    }
    Outcome::of([finding])
}

/// The time in which no child is at work, in nanoseconds, and the child before the longest gap.
/// The children are in order of start.
fn dark_ns<'a>(parent: &Span, children: &[&'a Span]) -> (u64, Option<&'a Span>) {
    let (mut at, mut dark, mut longest) = (parent.start_ns, 0_u64, 0_u64);
    let (mut last, mut after): (Option<&Span>, Option<&Span>) = (None, None);
    let ends = children.iter().map(|child| (child.start_ns, Some(*child)));
    for (start, child) in ends.chain([(parent.end_ns, None)]) {
        let gap = start.min(parent.end_ns).saturating_sub(at);
        dark = dark.saturating_add(gap);
        if gap > longest {
            (longest, after) = (gap, last);
        }
        if let Some(child) = child.filter(|child| child.end_ns > at) {
            at = child.end_ns;
            last = Some(child);
        }
    }
    (dark, after)
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
