//! T005: it is a tree. T006: it is one trace.

use std::collections::BTreeSet;

use foldhash::{HashSet, HashSetExt as _};

use super::Rule;
use crate::trace::model::{Span, SpanId};
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, count, shown_all};

pub(super) const ACYCLIC: Rule = Rule {
    id: "T005",
    name: "acyclic",
    severity: Severity::Error,
    proves: "it is a tree",
    fails: "a span is its own ancestor",
    mend: "the ids were mixed up by whoever wrote the spans: compare with `raw=true`",
    check: check_acyclic,
};

pub(super) const ONE_TRACE: Rule = Rule {
    id: "T006",
    name: "one-trace",
    severity: Severity::Error,
    proves: "no foreign spans",
    fails: "the answer holds spans of a trace that was not asked for",
    mend: "look for a proxy or a cache that merges answers",
    check: check_one_trace,
};

fn check_acyclic(evidence: &Evidence<'_>) -> Outcome {
    // Spans that are known to lead to a root or to a hole.
    let mut good: HashSet<SpanId> = HashSet::new();
    let mut round: BTreeSet<SpanId> = BTreeSet::new();
    for span in evidence.members() {
        let mut way: Vec<SpanId> = Vec::new();
        let mut on_way: HashSet<SpanId> = HashSet::new();
        let mut at = Some(span);
        while let Some(here) = at {
            if good.contains(&here.id) || round.contains(&here.id) {
                break;
            }
            if !on_way.insert(here.id) {
                let circle = way.iter().skip_while(|id| **id != here.id);
                round.extend(circle.copied());
                break;
            }
            way.push(here.id);
            at = evidence.index.parent(here);
        }
        good.extend(way.iter().filter(|id| !round.contains(id)));
    }
    if round.is_empty() {
        return Outcome::of([]);
    }
    let spans: Vec<&Span> = round
        .iter()
        .filter_map(|id| evidence.index.get(*id))
        .collect();
    let number = count(spans.len(), "span is", "spans are");
    Outcome::of([Finding::new(format!("{number} above themselves"))
        .about(spans.iter().copied())
        .expected("each way up ends at a root")
        .actual("it goes round")
        .note("spans", shown_all(&spans))])
}

fn check_one_trace(evidence: &Evidence<'_>) -> Outcome {
    if evidence.foreign == 0 {
        return Outcome::of([]);
    }
    let number = count(evidence.foreign, "span", "spans");
    Outcome::of([
        Finding::new(format!("{number} of another trace in the answer"))
            .expected(format!("spans of trace {}", evidence.target.trace))
            .actual(format!("{number} of others")),
    ])
}
