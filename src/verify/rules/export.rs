//! T007: nothing was lost on the way. T008: the exporter handed everything over.

use std::collections::HashSet;

use super::Rule;
use crate::trace::model::SpanId;
use crate::trace::report::{Route, RouteReport};
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, count, shown_all};

pub(super) const COUNT: Rule = Rule {
    id: "T007",
    name: "export-count",
    severity: Severity::Error,
    proves: "nothing was lost on the way",
    fails: "a span of the export report is not there; ours beyond the report are a warning",
    mend: "see the collector's queue and log; an agent (UDP) loses spans without a word",
    check: check_count,
};

pub(super) const CLEAN: Rule = Rule {
    id: "T008",
    name: "export-clean",
    severity: Severity::Error,
    proves: "the exporter handed everything over",
    fails: "spans were dropped, unfinished or refused",
    mend: "see whether the collector runs and is reachable from where the build ran",
    check: check_clean,
};

pub(super) const NO_REPORT: &str = "no run record of this trace on this machine";
const NO_ROUTE: &str = "the run exported nowhere";

fn check_count(evidence: &Evidence<'_>) -> Outcome {
    let Some(run) = &evidence.target.run else {
        return Outcome::skipped(NO_REPORT);
    };
    if evidence.target.exported_nowhere() {
        return Outcome::skipped(NO_ROUTE);
    }
    let known: HashSet<SpanId> = run.spans.iter().copied().collect();
    let missing: Vec<SpanId> = run
        .spans
        .iter()
        .copied()
        .filter(|id| evidence.index.get(*id).is_none())
        .collect();
    let extra: Vec<_> = evidence
        .ours()
        .filter(|span| !known.contains(&span.id))
        .collect();
    let mut findings = Vec::new();
    if !missing.is_empty() {
        let lost = missing
            .iter()
            .filter(|id| run.hopeless.contains(id))
            .count();
        let number = count(
            missing.len(),
            "span of the export report is",
            "spans of the export report are",
        );
        let mut finding = Finding::new(format!("{number} not in the trace"))
            .about_ids(missing.iter().copied())
            .expected(format!("{} spans of the report", known.len()))
            .actual(format!(
                "{} of them",
                known.len() - missing.len().min(known.len())
            ));
        finding = if lost == 0 {
            finding.help(
                "they were handed over and not stored: see the collector's queue and log; \
                 an agent (UDP) loses spans without a word",
            )
        } else {
            finding
                .note("reported as lost", lost.to_string())
                .help("the exporter could not hand them over: see T008")
        };
        findings.push(finding);
    }
    if !extra.is_empty() {
        let number = count(extra.len(), "span of ours is", "spans of ours are");
        findings.push(
            Finding::new(format!("{number} not in the export report"))
                .warn()
                .about(extra.iter().copied())
                .note("spans", shown_all(&extra))
                .help("another process exports under the same service name into this trace"),
        );
    }
    Outcome::of(findings)
}

fn check_clean(evidence: &Evidence<'_>) -> Outcome {
    let Some(run) = &evidence.target.run else {
        return Outcome::skipped(NO_REPORT);
    };
    let mut findings = Vec::new();
    let mut told = |ids: &[String], what: &str, help: &str| {
        if !ids.is_empty() {
            let number = count(ids.len(), "span", "spans");
            findings.push(
                Finding::new(format!("{number} {what}"))
                    .about_ids(ids.iter().filter_map(|id| id.parse().ok()))
                    .expected("0")
                    .actual(ids.len().to_string())
                    .help(help),
            );
        }
    };
    told(
        &run.export.dropped,
        "found the exporter's queue full and were not exported",
        "the collector is slower than the build: see its load",
    );
    told(
        &run.export.unfinished,
        "had not ended when the run did",
        "the run was killed, or a span was kept open: please report it",
    );
    findings.extend(run.export.routes.iter().filter_map(route));
    Outcome::of(findings)
}

fn route(route: &RouteReport) -> Option<Finding> {
    if route.lost.is_empty() && route.error.is_none() {
        return None;
    }
    let kind = match route.route {
        Route::Collector => "collector",
        Route::Otlp => "OTLP receiver",
        Route::Agent => "agent",
    };
    let lost = count(route.lost.len(), "span was", "spans were");
    let mut finding = Finding::new(format!(
        "{lost} not handed over to the {kind} {}",
        route.address
    ))
    .about_ids(route.lost.iter().filter_map(|id| id.parse().ok()))
    .expected("0")
    .actual(format!(
        "{} lost, {} delivered",
        route.lost.len(),
        route.delivered
    ))
    .help(if route.spooled > 0 {
        "they wait in the local store: `dagger trace push` sends them when it answers"
    } else {
        "see whether it runs there and is reachable from where the build ran"
    });
    if let Some(error) = &route.error {
        finding = finding.note("last failure", error.clone());
    }
    Some(finding)
}
