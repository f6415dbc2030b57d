//! P006: who took part. P007: spans say where they are from.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use crate::trace::model::Span;
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, count, shown_all};

pub(super) const SERVICES: Rule = Rule {
    id: "P006",
    name: "services",
    severity: Severity::Error,
    proves: "who took part",
    fails: "no span is of the run's own service, or a service has no name or the name that an SDK \
            gives to one that was not named",
    mend: "set OTEL_SERVICE_NAME for the stray exporter, or --service for a run under another name",
    check: check_services,
};

pub(super) const RESOURCE: Rule = Rule {
    id: "P007",
    name: "resource",
    severity: Severity::Warn,
    proves: "spans say where from",
    fails: "spans of a dagger run lack `service.version`, `host.name` or `telemetry.sdk.name`",
    mend: "the resource was lost on the way: look at the processors of the collector",
    check: check_resource,
};

/// What SDKs call a service without a name.
const NAMELESS: [&str; 2] = ["unknown_service", "OTLPResourceNoServiceName"];

const WANTED: [&str; 3] = ["service.version", "host.name", "telemetry.sdk.name"];

fn check_services(evidence: &Evidence<'_>) -> Outcome {
    let mut nameless: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in evidence.members() {
        let service = span.service();
        if service.is_empty() || NAMELESS.iter().any(|name| service.starts_with(name)) {
            nameless.entry(service).or_default().push(span);
        }
    }
    let mut findings: Vec<Finding> = nameless
        .into_iter()
        .map(|(service, spans)| {
            let number = count(spans.len(), "span is", "spans are");
            Finding::new(format!("{number} of a service without a name"))
                .about(spans.iter().copied())
                .expected("a service with a name")
                .actual(format!("`{service}`"))
                .note("spans", shown_all(&spans))
        })
        .collect();
    if evidence.ours().next().is_none() {
        findings.push(
            Finding::new(format!(
                "no span is of service `{}`",
                evidence.target.service
            ))
            .expected(format!("`{}`", evidence.target.service))
            .actual(evidence.index.services().join(", ")),
        );
    }
    Outcome::of(findings)
}

fn check_resource(evidence: &Evidence<'_>) -> Outcome {
    let made_by_us = evidence
        .entry()
        .is_some_and(crate::verify::evidence::is_command);
    if !made_by_us {
        return Outcome::skipped("the run's root is no span of dagger's");
    }
    let mut lacking: BTreeMap<BTreeSet<&str>, Vec<&Span>> = BTreeMap::new();
    for span in evidence.ours() {
        let has = |key: &&str| {
            span.resource
                .attributes
                .iter()
                .any(|(name, _)| name == *key)
        };
        let missing: BTreeSet<&str> = WANTED.into_iter().filter(|key| !has(key)).collect();
        if !missing.is_empty() {
            lacking.entry(missing).or_default().push(span);
        }
    }
    Outcome::of(lacking.into_iter().map(|(missing, spans)| {
        let missing: Vec<&str> = missing.into_iter().collect();
        let number = count(spans.len(), "span does", "spans do");
        Finding::new(format!("{number} not say {}", missing.join(", ")))
            .about(spans.iter().copied())
            .expected(WANTED.join(", "))
            .note("spans", shown_all(&spans))
    }))
}
