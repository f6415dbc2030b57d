//! P004: each step that ran was seen by the daemon, too. P005: each step the daemon ran is recorded.

use std::collections::BTreeMap;

use super::Rule;
use crate::trace::model::{Span, SpanId};
use crate::verify::evidence::{Evidence, is_cancelled};
use crate::verify::finding::{Finding, Outcome, Severity, count, shown_all};
use crate::verify::names;

pub(super) const SEEN_TWICE: Rule = Rule {
    id: "P004",
    name: "vertex-has-daemon-span",
    severity: Severity::Warn,
    proves: "each step was seen twice",
    fails: "no span of the daemon names a step that ran and did not fail",
    mend: "the daemon's record was cut: see its history and its exporter's queue",
    check: check_seen_twice,
};

pub(super) const COMPLETE: Rule = Rule {
    id: "P005",
    name: "vertex-complete",
    severity: Severity::Error,
    proves: "each step is recorded",
    fails: "the daemon's spans name a step of which there is no span of ours",
    mend: "the status stream broke off before the solve ended",
    check: check_complete,
};

/// How the names of steps begin that the daemon runs outside of its graph, without a span of the step.
const OUTSIDE_THE_GRAPH: [&str; 4] = ["exporting ", "importing ", "resolve ", "[auth]"];

fn check_seen_twice(evidence: &Evidence<'_>) -> Outcome {
    if evidence.vertices().next().is_none() {
        return Outcome::skipped(format!(
            "no span of a step of service `{}`",
            evidence.target.service
        ));
    }
    if by_daemon(evidence).next().is_none() {
        return Outcome::skipped("no span of the daemon names a step");
    }
    let alone: Vec<&Span> = evidence
        .vertices()
        .filter(|span| {
            let outside = OUTSIDE_THE_GRAPH
                .iter()
                .any(|start| span.name.starts_with(start));
            // One that failed may have done so before it was run, when the daemon looked for what it
            // copies: of that the daemon has no span.
            let ran = span.flag(names::CACHED) == Some(false) && !span.is_error();
            ran && !is_cancelled(span) && !outside
        })
        .filter(|span| {
            let digest = span.text(names::VERTEX).unwrap_or_default();
            let seen = evidence.index.of_vertex(digest);
            !seen.iter().any(|other| other.service() == names::DAEMON)
        })
        .collect();
    if alone.is_empty() {
        return Outcome::of([]);
    }
    // The daemon's spans of a step are in the trace of the build that began it; of which steps that
    // is so can't be told for those that came later than their neighbours.
    if evidence
        .vertices()
        .any(|span| span.flag(names::SHARED) == Some(true))
    {
        return Outcome::skipped("another build ran some of the steps");
    }
    if is_record_there(evidence) {
        return Outcome::skipped(
            "the daemon's own record, which is whole here, lacks some steps: another build ran them",
        );
    }
    let number = count(alone.len(), "step has", "steps have");
    Outcome::of([Finding::new(format!("{number} no span of the daemon"))
        .about(alone.iter().copied())
        .expected("a span of the daemon that names the step")
        .actual("none")
        .note("steps", shown_all(&alone))])
}

/// Was the daemon's record of the build read, and is all of it in the trace? Builds at the same time share
/// steps, and each of these is in the record of but one of them.
fn is_record_there(evidence: &Evidence<'_>) -> bool {
    let run = evidence.target.run.as_ref();
    let Some(daemon) = run.and_then(|run| run.export.daemon.as_ref()) else {
        return false;
    };
    let mut ids = daemon.spans.iter().map(|id| id.parse().ok());
    let there = |id: Option<SpanId>| id.is_some_and(|id| evidence.index.get(id).is_some());
    !daemon.spans.is_empty() && ids.all(there)
}

fn check_complete(evidence: &Evidence<'_>) -> Outcome {
    if evidence.vertices().next().is_none() {
        return Outcome::skipped(format!(
            "no span of a step of service `{}`",
            evidence.target.service
        ));
    }
    if by_daemon(evidence).next().is_none() {
        return Outcome::skipped("no span of the daemon names a step");
    }
    if evidence
        .ours()
        .any(|span| span.name == names::SOLVE && is_cancelled(span))
    {
        return Outcome::skipped("the solve was cancelled");
    }
    let mut unrecorded: BTreeMap<&str, &Span> = BTreeMap::new();
    for span in by_daemon(evidence) {
        let digest = span.text(names::VERTEX).unwrap_or_default();
        let recorded = evidence
            .index
            .of_vertex(digest)
            .iter()
            .any(|other| evidence.is_ours(other));
        if !recorded {
            unrecorded.entry(digest).or_insert(span);
        }
    }
    if unrecorded.is_empty() {
        return Outcome::of([]);
    }
    let spans: Vec<&Span> = unrecorded.into_values().collect();
    let number = count(spans.len(), "step", "steps");
    Outcome::of([
        Finding::new(format!("{number} of the daemon without a span of ours"))
            .about(spans.iter().copied())
            .expected("a span of each step that the daemon ran")
            .actual("none")
            .note("steps", shown_all(&spans)),
    ])
}

/// Spans of the daemon that stand for a step.
fn by_daemon<'a>(evidence: &Evidence<'a>) -> impl Iterator<Item = &'a Span> {
    evidence.members().filter(|span| {
        span.service() == names::DAEMON
            && span.text(names::VERTEX).is_some()
            // A question to the cache is asked of steps that are then not needed.
            && !span.name.starts_with("cache request: ")
            && !span.name.starts_with("load cache: ")
    })
}
