//! T003: there is no hole.

use std::collections::BTreeMap;

use super::{Rule, others};
use crate::trace::model::{Kind, Span, SpanId};
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, shown};
use crate::verify::{Profile, names};

pub(super) const RULE: Rule = Rule {
    id: "T003",
    name: "no-orphans",
    severity: Severity::Error,
    proves: "no hole",
    fails: "a span's parent is not there, and is not the daemon's side of a call that was given up before it ended",
    mend: "see T007: either the parent was never exported, or it was lost on the way",
    check,
};

/// Missing parents that get a finding of their own; the rest share one.
const TOLD: usize = 5;

fn check(evidence: &Evidence<'_>) -> Outcome {
    if evidence.target.profile == Profile::Buildkit {
        return Outcome::of(others::orphans(evidence));
    }
    let mut under: BTreeMap<SpanId, Vec<&Span>> = BTreeMap::new();
    for orphan in evidence.orphans() {
        under
            .entry(orphan.parent.unwrap_or(orphan.id))
            .or_default()
            .push(orphan);
    }
    let mut groups: Vec<_> = under.into_iter().collect();
    // The parent that most depends on comes first.
    groups.sort_by_key(|(_, orphans)| std::cmp::Reverse(orphans.len()));
    let (told, rest) = groups.split_at(groups.len().min(TOLD));
    let mut findings: Vec<Finding> = told
        .iter()
        .map(|(parent, orphans)| finding(evidence, *parent, orphans))
        .collect();
    if !rest.is_empty() {
        let spans = || rest.iter().flat_map(|(_, orphans)| orphans.iter().copied());
        findings.push(
            Finding::new(format!(
                "{} more spans hang under {} more parents that are not in the trace",
                spans().count(),
                rest.len()
            ))
            .about(spans()),
        );
    }
    Outcome::of(findings)
}

fn finding(evidence: &Evidence<'_>, parent: SpanId, orphans: &[&Span]) -> Finding {
    let message = match orphans.len() {
        1 => "1 span hangs under a parent that is not in the trace".to_owned(),
        many => format!("{many} spans hang under a parent that is not in the trace"),
    };
    // The daemon's spans hang under each other, and our callbacks under them.
    let daemons = orphans.iter().any(|span| {
        span.service() == names::DAEMON || (evidence.is_ours(span) && span.kind == Kind::Server)
    });
    let (known, help) = match &evidence.target.run {
        Some(run) if run.hopeless.contains(&parent) => (
            "in the export report, as lost",
            "the exporter could not hand it over: see T008",
        ),
        Some(run) if run.spans.contains(&parent) => (
            "in the export report: it was handed over",
            "the span was sent but not stored: see the collector's queue and log",
        ),
        run if daemons => (
            match run {
                Some(_) => "a span of the daemon: the export report does not name it",
                None => "a span of the daemon, or of ours",
            },
            "a span of the daemon is missing: see that buildkitd exports to the same Jaeger \
             (JAEGER_TRACE), or give it longer with --timeout",
        ),
        Some(_) => (
            "the export report does not name it",
            "the process that made the parent never exported it",
        ),
        None => (
            "no export report says more",
            "the process that made the parent ended before it was exported, or it was lost on the way",
        ),
    };
    let mut finding = Finding::new(message)
        .about(orphans.iter().copied())
        .note("missing parent", format!("{parent} ({known})"))
        .help(help);
    if let Some(first) = orphans.first() {
        let service = if first.service().is_empty() {
            "no service"
        } else {
            first.service()
        };
        finding = finding.note("first child", format!("{} of {service}", shown(first)));
    }
    if evidence.index.of_service(names::DAEMON).is_empty() {
        finding = finding.note("daemon", format!("no span of {} at all", names::DAEMON));
    }
    finding
}
