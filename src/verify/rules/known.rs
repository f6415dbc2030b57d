//! N001: our names are stable. N003: spans can be sent and queried.

use super::Rule;
use crate::trace::model::{Attributes, Span, Value};
use crate::verify::evidence::{Evidence, is_command};
use crate::verify::finding::{Finding, Outcome, Severity, count, shown_all};
use crate::verify::known_spans;

pub(super) const NAMES: Rule = Rule {
    id: "N001",
    name: "known-names",
    severity: Severity::Warn,
    proves: "names are stable",
    fails: "a span of dagger's is not in the list of `docs/spans.md`",
    mend: "a span was renamed, or another program uses our service name",
    check: check_names,
};

pub(super) const BOUNDS: Rule = Rule {
    id: "N003",
    name: "bounds",
    severity: Severity::Warn,
    proves: "it is queryable",
    fails: "a span of ours has more than 128 attributes, or is so large (65,000 bytes) that an agent \
            loses it",
    mend: "a step's output or a long argument is kept whole: please report it",
    check: check_bounds,
};

fn check_names(evidence: &Evidence<'_>) -> Outcome {
    if !evidence.entry().is_some_and(is_command) {
        return Outcome::skipped("the run's root is no span of dagger's");
    }
    let unknown: Vec<&Span> = evidence
        .ours()
        .filter(|span| !known_spans::is_known(span))
        .collect();
    if unknown.is_empty() {
        return Outcome::of([]);
    }
    let number = count(unknown.len(), "span has", "spans have");
    Outcome::of([
        Finding::new(format!("{number} a name that is not documented"))
            .about(unknown.iter().copied())
            .expected("a name of docs/spans.md")
            .note("spans", shown_all(&unknown)),
    ])
}

/// The largest packet of Jaeger's agent, in bytes.
const PACKET_BYTES: usize = 65_000;

/// Most attributes of a span (OpenTelemetry's default limit).
const ATTRIBUTES: usize = 128;

fn check_bounds(evidence: &Evidence<'_>) -> Outcome {
    let beyond: Vec<&Span> = evidence
        .ours()
        .filter(|span| span.attributes.len() > ATTRIBUTES || bytes(span) >= PACKET_BYTES)
        .collect();
    if beyond.is_empty() {
        return Outcome::of([]);
    }
    let number = count(beyond.len(), "span is", "spans are");
    Outcome::of([Finding::new(format!("{number} beyond the limits"))
        .about(beyond.iter().copied())
        .expected(format!(
            "at most {ATTRIBUTES} attributes and {PACKET_BYTES} bytes"
        ))
        .note("spans", shown_all(&beyond))])
}

/// About how many bytes the span takes in a packet.
fn bytes(span: &Span) -> usize {
    let events: usize = span
        .events
        .iter()
        .map(|event| event.name.len() + 16 + texts(&event.attributes))
        .sum();
    span.name.len() + 64 + texts(&span.attributes) + events
}

fn texts(attributes: &Attributes) -> usize {
    attributes
        .iter()
        .map(|(key, value)| {
            let value = match value {
                Value::Str(text) => text.len(),
                Value::Bool(_) | Value::Int(_) | Value::Float(_) => 8,
            };
            key.len() + value + 6
        })
        .sum()
}
