//! T002: the run is one tree.

use std::collections::HashSet;

use super::Rule;
use crate::trace::model::{Span, SpanId};
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, count, shown_all};

pub(super) const RULE: Rule = Rule {
    id: "T002",
    name: "one-root",
    severity: Severity::Error,
    proves: "one tree",
    fails: "not exactly one span has no parent; with `TRACEPARENT`, not exactly one of the run's hangs under it",
    mend: "the root is sent last: the process may have been killed before it was",
    check,
};

fn check(evidence: &Evidence<'_>) -> Outcome {
    let tops = match evidence.target.remote_parent {
        Some(remote) => entries(evidence, remote),
        None => {
            let spans = evidence.index.spans().iter().copied();
            spans.filter(|span| span.parent.is_none()).collect()
        }
    };
    let known = evidence.target.run.as_ref().map(|run| run.root);
    let right = match tops.as_slice() {
        [one] => known.is_none_or(|root| root == one.id),
        _ => false,
    };
    if right {
        return Outcome::of([]);
    }
    let what = match evidence.target.remote_parent {
        Some(remote) => format!("under the remote parent {remote}"),
        None => "without a parent".to_owned(),
    };
    let expected = match known {
        Some(root) => format!("exactly 1 span {what}: {root}"),
        None => format!("exactly 1 span {what}"),
    };
    let missing = known.is_some_and(|root| evidence.index.get(root).is_none());
    let (message, help) = if missing {
        (
            "the run's root span is not in the trace".to_owned(),
            "the run ended before its last batch was sent, or the batch was lost on the way",
        )
    } else if tops.is_empty() {
        (
            format!("no span is {what}"),
            "the root is missing, or belongs to another system: give its id in TRACEPARENT",
        )
    } else if known.is_none() && evidence.target.remote_parent.is_some() {
        (
            format!("{} {what}", count(tops.len(), "span is", "spans are")),
            "several runs under one TRACEPARENT can be told apart only where their run records are",
        )
    } else {
        (
            format!("{} {what}", count(tops.len(), "span is", "spans are")),
            "a span was begun outside of the command's own: its context was lost",
        )
    };
    let mut finding = Finding::new(message)
        .about(tops.iter().copied())
        .expected(expected)
        .actual(tops.len().to_string())
        .help(help);
    if !tops.is_empty() {
        finding = finding.note("found", shown_all(&tops));
    }
    Outcome::of([finding])
}

/// Our spans directly under the remote parent. Where the run named its spans, those of other runs
/// under the same parent are told apart from them.
fn entries<'a>(evidence: &Evidence<'a>, remote: SpanId) -> Vec<&'a Span> {
    let run = evidence.target.run.as_ref();
    let named: Option<HashSet<SpanId>> =
        run.map(|run| run.spans.iter().copied().chain([run.root]).collect());
    let children = evidence.index.children(remote).iter().copied();
    children
        .filter(|span| match &named {
            Some(named) => named.contains(&span.id),
            None => evidence.is_ours(span),
        })
        .collect()
}
