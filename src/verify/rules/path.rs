//! D001: the critical path explains the whole run.

use std::collections::HashMap;

use super::Rule;
use crate::trace::critical_path::Segment;
use crate::trace::model::{Span, SpanId};
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, shown};

pub(super) const RULE: Rule = Rule {
    id: "D001",
    name: "critical-path",
    severity: Severity::Error,
    proves: "time is explained",
    fails: "the parts of the critical path do not follow each other from the root's start to its end, \
            or one lies outside of its span",
    mend: "the path is laid out wrongly: please report it, with the trace",
    check,
};

fn check(evidence: &Evidence<'_>) -> Outcome {
    let Some(root) = evidence.entry() else {
        return Outcome::skipped("the run's root is not there");
    };
    if root.end_ns < root.start_ns {
        return Outcome::skipped("the root ends before it begins: see T013");
    }
    let path = evidence.index.path();
    let allowed = u64::try_from(evidence.tolerance.rounding.as_nanos()).unwrap_or(u64::MAX);
    let mut findings = Vec::new();
    if let Some((at_ns, before)) = hole(root, path, allowed) {
        findings.push(
            Finding::new(format!(
                "the critical path does not cover {} {:.3} s after its start",
                shown(root),
                seconds(at_ns.saturating_sub(root.start_ns))
            ))
            .about([root])
            .about_ids(before)
            .expected(format!(
                "{:.6} s, the root's duration",
                seconds(root.end_ns - root.start_ns)
            ))
            .actual(format!(
                "{:.6} s in {} parts",
                seconds(sum(path)),
                path.len()
            )),
        );
    }
    let mut copies: HashMap<SpanId, Vec<&Span>> = HashMap::new();
    for (_, copy) in evidence.index.copies() {
        copies.entry(copy.id).or_default().push(copy);
    }
    let inside = |part: &&Segment| {
        let first = evidence.index.get(part.span).into_iter();
        let further = copies.get(&part.span).into_iter().flatten().copied();
        first.chain(further).any(|span| is_around(span, part))
    };
    if let Some(outside) = path.iter().find(|part| !inside(part)) {
        findings.push(
            Finding::new("a part of the critical path lies outside of its span")
                .about_ids([outside.span])
                .expected("each part is inside the span that it names"),
        );
    }
    Outcome::of(findings)
}

/// Where two parts do not meet, or the ends are not the root's: the moment, and the span before it.
fn hole(root: &Span, path: &[Segment], allowed: u64) -> Option<(u64, Option<SpanId>)> {
    let (mut at, mut before) = (root.start_ns, None);
    for part in path {
        if part.start_ns.abs_diff(at) > allowed || part.end_ns < part.start_ns {
            return Some((at, before));
        }
        (at, before) = (part.end_ns, Some(part.span));
    }
    (at.abs_diff(root.end_ns) > allowed).then_some((at, before))
}

/// Of copies that differ one around the part is enough: see T004.
fn is_around(span: &Span, part: &Segment) -> bool {
    span.start_ns <= part.start_ns && part.end_ns <= span.end_ns
}

fn sum(path: &[Segment]) -> u64 {
    path.iter().fold(0, |sum, part| {
        sum.saturating_add(part.end_ns.saturating_sub(part.start_ns))
    })
}

#[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
