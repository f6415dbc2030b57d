//! T009: spans ended. T010: children are inside their parents. T012: clocks agree. T013: times are sane.

use std::time::Duration;

use super::Rule;
use crate::trace::model::{Kind, Span};
use crate::verify::evidence::{Evidence, is_cancelled};
use crate::verify::finding::{Finding, Outcome, Severity, count, shown, shown_all};
use crate::verify::names;

pub(super) const FINISHED: Rule = Rule {
    id: "T009",
    name: "finished",
    severity: Severity::Error,
    proves: "spans ended",
    fails: "a span of ours is marked unfinished, or lasts ten times as long as the whole run; a call without \
            any length is a warning",
    mend: "the process was killed before its spans ended",
    check: check_finished,
};

pub(super) const INSIDE: Rule = Rule {
    id: "T010",
    name: "child-inside-parent",
    severity: Severity::Warn,
    proves: "times make sense",
    fails: "a span of ours begins or ends outside its parent by more than 2 µs in one process, by \
            more than `--clock-tolerance` between hosts; cancelled, shared and refused spans are let off",
    mend: "a parent was closed before its work was done, or a child hangs under the wrong one",
    check: check_inside,
};

pub(super) const SKEW: Rule = Rule {
    id: "T012",
    name: "no-skew",
    severity: Severity::Warn,
    proves: "clocks agree",
    fails: "the daemon's side of our calls is off by more than `--clock-tolerance`, as estimated \
            from every call it answered (the median of the offsets)",
    mend: "set the clock of the daemon's host, or raise --clock-tolerance",
    check: check_skew,
};

pub(super) const POSITIVE: Rule = Rule {
    id: "T013",
    name: "positive-times",
    severity: Severity::Error,
    proves: "sane clock",
    fails: "a span begins before 2020 or more than an hour from now, or ends before it begins",
    mend: "an exporter mixes up milliseconds, microseconds and nanoseconds, or a clock is wrong",
    check: check_positive,
};

/// The mark that a span had not ended when it was exported.
const UNFINISHED: &str = "unfinished";

fn check_finished(evidence: &Evidence<'_>) -> Outcome {
    let marked: Vec<&Span> = evidence
        .ours()
        .filter(|span| {
            span.flag(UNFINISHED) == Some(true) || span.flag("dagger.unfinished") == Some(true)
        })
        .collect();
    let run_ns = evidence.entry().map(length_ns);
    let long: Vec<&Span> = evidence
        .ours()
        .filter(|span| span.attribute(names::VERTEX).is_none())
        // One that reaches out of the root at one side only is T011's matter.
        .filter(|span| run_ns.is_some_and(|run| length_ns(span) / 10 > run))
        .collect();
    let flat: Vec<&Span> = evidence
        .ours()
        .filter(|span| span.kind == Kind::Client && span.start_ns == span.end_ns)
        .collect();
    let mut findings = Vec::new();
    for (spans, what) in [
        (&marked, "not ended when exported"),
        (&long, "more than ten times as long as the run"),
    ] {
        if !spans.is_empty() {
            let number = count(spans.len(), "span is", "spans are");
            findings.push(
                Finding::new(format!("{number} {what}"))
                    .about(spans.iter().copied())
                    .note("spans", shown_all(spans)),
            );
        }
    }
    if !flat.is_empty() {
        let number = count(flat.len(), "call has", "calls have");
        findings.push(
            Finding::new(format!("{number} no length"))
                .warn()
                .about(flat.iter().copied())
                .note("calls", shown_all(&flat)),
        );
    }
    Outcome::of(findings)
}

fn length_ns(span: &Span) -> u64 {
    span.end_ns.saturating_sub(span.start_ns)
}

fn check_inside(evidence: &Evidence<'_>) -> Outcome {
    let entry = evidence.scope.entry;
    let root = evidence.entry();
    let mut outside: Vec<(u64, &Span, &Span)> = Vec::new();
    // What is above the entry is other people's.
    for span in evidence.ours().filter(|span| Some(span.id) != entry) {
        // What hangs under the root is T011's matter.
        let Some(parent) = evidence
            .index
            .parent(span)
            .filter(|parent| Some(parent.id) != entry)
        else {
            continue;
        };
        let let_off = is_cancelled(span)
            || is_cancelled(parent)
            || span.is_error()
            || span.flag(names::SHARED) == Some(true);
        // One that is outside of the root, too, is T011's matter.
        let beyond =
            root.is_some_and(|root| span.start_ns < root.start_ns || span.end_ns > root.end_ns);
        if let_off || beyond {
            continue;
        }
        let one_clock = evidence.is_ours(parent) && span.attribute(names::VERTEX).is_none();
        let allowed = if one_clock {
            evidence.tolerance.rounding
        } else {
            evidence.tolerance.clocks
        };
        let early = parent.start_ns.saturating_sub(span.start_ns);
        let late = span.end_ns.saturating_sub(parent.end_ns);
        if u128::from(early.max(late)) > allowed.as_nanos() {
            outside.push((early.max(late), span, parent));
        }
    }
    let Some((by_ns, worst, parent)) = outside.iter().copied().max_by_key(|(by, ..)| *by) else {
        return Outcome::of([]);
    };
    let number = count(outside.len(), "span is", "spans are");
    Outcome::of([Finding::new(format!("{number} not inside the parent"))
        .about(outside.iter().map(|(_, span, _)| *span))
        .expected("begins and ends inside its parent")
        .actual(format!(
            "{} is outside {} by {:?}",
            shown(worst),
            shown(parent),
            Duration::from_nanos(by_ns)
        ))])
}

fn check_skew(evidence: &Evidence<'_>) -> Outcome {
    let mut offsets: Vec<i128> = evidence
        .answered_calls()
        .filter_map(|call| {
            let server = evidence.daemon_side(call)?;
            // No offset makes a longer child fit.
            (length_ns(server) <= length_ns(call)).then(|| {
                let start = i128::from(server.start_ns) - i128::from(call.start_ns);
                let end = i128::from(server.end_ns) - i128::from(call.end_ns);
                // Any offset between the two fits; the one nearest to none is taken.
                if start < 0 {
                    start
                } else if end > 0 {
                    end
                } else {
                    0
                }
            })
        })
        .collect();
    offsets.sort_unstable();
    let Some(offset) = offsets.get(offsets.len() / 2).copied() else {
        return Outcome::skipped("no call of which both sides are known");
    };
    if offset.unsigned_abs() <= evidence.tolerance.clocks.as_nanos() {
        return Outcome::of([]);
    }
    let by = Duration::from_nanos(u64::try_from(offset.unsigned_abs()).unwrap_or(u64::MAX));
    let way = if offset > 0 { "ahead of" } else { "behind" };
    Outcome::of([
        Finding::new(format!("the daemon's clock is about {by:?} {way} ours"))
            .expected(format!("at most {:?}", evidence.tolerance.clocks))
            .actual(format!("{by:?}, from {} calls", offsets.len())),
    ])
}

/// 2020-01-01, in nanoseconds since the epoch.
const FIRST_NS: u64 = 1_577_836_800_000_000_000;

/// How far in the future a span may begin, in nanoseconds: an hour.
const FUTURE_NS: u64 = 3_600_000_000_000;

fn check_positive(evidence: &Evidence<'_>) -> Outcome {
    let last = evidence
        .tolerance
        .now_ns
        .map(|now| now.saturating_add(FUTURE_NS));
    let absurd: Vec<&Span> = evidence
        .members()
        .filter(|span| {
            span.start_ns < FIRST_NS
                || last.is_some_and(|last| span.start_ns > last)
                || span.end_ns < span.start_ns
        })
        .collect();
    if absurd.is_empty() {
        return Outcome::of([]);
    }
    let number = count(absurd.len(), "span has", "spans have");
    Outcome::of([Finding::new(format!("{number} absurd times"))
        .about(absurd.iter().copied())
        .expected("a start from 2020 to an hour from now, and an end after it")
        .note("spans", shown_all(&absurd))])
}
