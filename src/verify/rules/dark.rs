//! D002: no dark time.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use super::Rule;
use crate::trace::critical_path::Segment;
use crate::trace::model::{Kind, Span, SpanId};
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, shown};
use crate::verify::names;

pub(super) const GAPS: Rule = Rule {
    id: "D002",
    name: "no-gaps",
    severity: Severity::Warn,
    proves: "no dark time",
    fails: "for longer than 1 s and 5 % of the run, the critical path is in a span that has children, and \
            none of them was at work; steps and calls themselves are let off, and a solve that waits for \
            what we ask for beside it",
    mend: "a span is missing there, or the run waited for something that has none",
    check: check_gaps,
};

/// The least gap that is told, in nanoseconds.
const LEAST_NS: u64 = 1_000_000_000;

fn check_gaps(evidence: &Evidence<'_>) -> Outcome {
    let Some(root) = evidence.entry() else {
        return Outcome::skipped("the run's root is not there");
    };
    if evidence.index.children(root.id).is_empty() {
        return Outcome::skipped("the root has no child");
    }
    let allowed = LEAST_NS.max(root.end_ns.saturating_sub(root.start_ns) / 20);
    let mut dark: BTreeMap<SpanId, Dark<'_>> = BTreeMap::new();
    let mut at_work = AtWork {
        evidence,
        known: HashMap::new(),
    };
    let bridge = bridge_calls(evidence);
    for part in evidence.index.path() {
        let Some(span) = evidence.index.get(part.span) else {
            continue;
        };
        if at_work.itself(span) {
            continue;
        }
        let waits_for_us = span.service() == names::DAEMON && span.name == names::SOLVE_CALL;
        let beside = if waits_for_us { &bridge[..] } else { &[] };
        for part in without(*part, beside) {
            let dark = dark.entry(span.id).or_insert(Dark {
                span,
                sum_ns: 0,
                longest: part,
            });
            dark.sum_ns = dark.sum_ns.saturating_add(length_ns(&part));
            if length_ns(&part) > length_ns(&dark.longest) {
                dark.longest = part;
            }
        }
    }
    let mut dark: Vec<Dark<'_>> = dark.into_values().collect();
    dark.retain(|dark| dark.sum_ns > allowed);
    dark.sort_by_key(|dark| std::cmp::Reverse(dark.sum_ns));
    Outcome::of(dark.iter().map(|dark| dark.told(evidence, root, allowed)))
}

/// The path's time in a span with nothing of its children at work.
struct Dark<'a> {
    span: &'a Span,
    sum_ns: u64,
    longest: Segment,
}

impl Dark<'_> {
    fn told(&self, evidence: &Evidence<'_>, root: &Span, allowed: u64) -> Finding {
        let finding = Finding::new(format!(
            "{:.1} s without a child span in {}",
            seconds(self.sum_ns),
            shown(self.span)
        ))
        .about([self.span])
        .expected(format!("at most {:.1} s", seconds(allowed)))
        .actual(format!("{:.1} s", seconds(self.sum_ns)))
        .note(
            "longest gap",
            format!(
                "{:.1} s, {:.1} s after the start",
                seconds(length_ns(&self.longest)),
                seconds(self.longest.start_ns.saturating_sub(root.start_ns))
            ),
        );
        let children = evidence.index.children(self.span.id).iter();
        let before = children
            .filter(|child| child.end_ns <= self.longest.start_ns)
            .max_by_key(|child| child.end_ns);
        match before {
            Some(before) => finding.note("after", shown(before)),
            None => finding,
        }
    }
}

/// When calls of ours had the daemon do parts of a solve, by start. Of a solve that we direct, the daemon's
/// span has nothing to do but wait for us: its work is under these, elsewhere in the tree.
fn bridge_calls(evidence: &Evidence<'_>) -> Vec<(u64, u64)> {
    let calls = evidence
        .ours()
        .filter(|span| span.kind == Kind::Client && span.name.starts_with(names::BRIDGE_CALL));
    let mut times: Vec<_> = calls.map(|call| (call.start_ns, call.end_ns)).collect();
    times.sort_unstable();
    times
}

/// What is left of a part without these times, which are in order of start.
fn without(part: Segment, times: &[(u64, u64)]) -> Vec<Segment> {
    let mut left = Vec::new();
    let mut at = part.start_ns;
    for &(start_ns, end_ns) in times {
        let until = start_ns.min(part.end_ns);
        if until > at {
            left.push(Segment {
                start_ns: at,
                end_ns: until,
                ..part
            });
        }
        at = at.max(until).max(end_ns);
    }
    if at < part.end_ns {
        left.push(Segment {
            start_ns: at,
            ..part
        });
    }
    left
}

/// Tells the spans that do the work from those that have others do it.
struct AtWork<'e, 'a> {
    evidence: &'e Evidence<'a>,
    /// Is it a step, or below one?
    known: HashMap<SpanId, bool>,
}

impl AtWork<'_, '_> {
    /// Does the span explain its time itself? One without children does; so does a step with all that is
    /// below it; and what a call takes beyond its other side is the network's, or the clocks' (T012).
    fn itself(&mut self, span: &Span) -> bool {
        self.evidence.index.children(span.id).is_empty()
            || span.kind == Kind::Client
            || self.is_of_a_step(span)
    }

    fn is_of_a_step(&mut self, span: &Span) -> bool {
        let mut way = HashSet::new();
        let mut at = Some(span);
        let mut found = false;
        while let Some(span) = at.filter(|span| way.insert(span.id)) {
            if let Some(known) = self.known.get(&span.id) {
                found = *known;
                break;
            }
            if span.attribute(names::VERTEX).is_some() {
                found = true;
                break;
            }
            at = self.evidence.index.parent(span);
        }
        self.known.extend(way.into_iter().map(|id| (id, found)));
        found
    }
}

fn length_ns(part: &Segment) -> u64 {
    part.end_ns.saturating_sub(part.start_ns)
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_left_where_no_time_covers_it() {
        let left = |times: &[(u64, u64)]| -> Vec<(u64, u64)> {
            let part = Segment {
                span: SpanId(1),
                start_ns: 10,
                end_ns: 20,
            };
            let left = without(part, times);
            left.iter()
                .map(|part| (part.start_ns, part.end_ns))
                .collect()
        };
        assert_eq!(left(&[]), [(10, 20)]);
        assert_eq!(left(&[(0, 30)]), []);
        assert_eq!(
            left(&[(0, 11), (12, 18), (13, 14), (19, 40)]),
            [(11, 12), (18, 19)]
        );
        assert_eq!(left(&[(1, 2), (30, 40)]), [(10, 20)]);
        assert_eq!(left(&[(15, 15), (u64::MAX, 0)]), [(10, 15), (15, 20)]);
    }
}
