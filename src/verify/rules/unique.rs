//! T004: an id stands for one span.

use std::sync::Arc;

use super::{Rule, others};
use crate::trace::model::{Span, Value};
use crate::verify::Profile;
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, count, shown_all};

pub(super) const RULE: Rule = Rule {
    id: "T004",
    name: "unique-ids",
    severity: Severity::Error,
    proves: "ids identify",
    fails: "one id, several spans that differ; equal copies are a warning",
    mend: "a batch was sent twice, or two exporters send the same spans, as `buildctl` with a daemon that passes its spans on does",
    check,
};

fn check(evidence: &Evidence<'_>) -> Outcome {
    let copies = evidence.index.copies().iter();
    let (equal, differing): (Vec<_>, Vec<_>) = copies
        .filter(|(first, _)| evidence.scope.contains(first))
        .partition(|(first, copy)| is_equal(first, copy));
    let mut findings = Vec::new();
    let (equal, differing) = if evidence.target.profile == Profile::Buildkit {
        let copies = [differing, equal].concat();
        let (doubled, left) = others::doubled(evidence, copies);
        findings.extend(doubled);
        left.into_iter()
            .partition(|(first, copy)| is_equal(first, copy))
    } else {
        (equal, differing)
    };
    if let Some((first, copy)) = differing.first() {
        let spans = firsts(&differing);
        let number = count(spans.len(), "id stands", "ids stand");
        findings.push(
            Finding::new(format!("{number} for several spans that differ"))
                .about(spans.iter().copied())
                .expected("one span an id")
                .actual(format!("they differ in {}", difference(first, copy)))
                .note("spans", shown_all(&spans))
                .help("two processes use the same ids, or a span was changed and sent again"),
        );
    }
    if !equal.is_empty() {
        let spans = firsts(&equal);
        let number = count(spans.len(), "span is", "spans are");
        findings.push(
            Finding::new(format!(
                "{number} stored more than once, with equal content"
            ))
            .warn()
            .about(spans.iter().copied())
            .note("spans", shown_all(&spans))
            .help("a batch was sent again after a timeout, or two exporters send the same spans"),
        );
    }
    Outcome::of(findings)
}

/// The first copies, each once.
fn firsts<'a>(pairs: &[(&'a Span, &'a Span)]) -> Vec<&'a Span> {
    let mut spans: Vec<&Span> = pairs.iter().map(|(first, _)| *first).collect();
    spans.sort_by_key(|span| span.id);
    spans.dedup_by_key(|span| span.id);
    spans
}

/// Do they say the same? In which order attributes stand says nothing: a Go program's resource is written in
/// another with each batch.
fn is_equal(a: &Span, b: &Span) -> bool {
    fn sorted(span: &Span) -> Span {
        let by_key = |a: &(String, Value), b: &(String, Value)| a.0.cmp(&b.0);
        let mut span = span.clone();
        span.attributes.sort_by(by_key);
        let mut resource = span.resource.as_ref().clone();
        resource.attributes.sort_by(by_key);
        span.resource = Arc::new(resource);
        span
    }
    a == b || sorted(a) == sorted(b)
}

/// The first field in which they differ.
fn difference(a: &Span, b: &Span) -> &'static str {
    [
        ("name", a.name == b.name),
        ("service", a.service() == b.service()),
        ("parent", a.parent == b.parent),
        ("start", a.start_ns == b.start_ns),
        ("duration", a.end_ns == b.end_ns),
        ("kind", a.kind == b.kind),
        ("status", a.status == b.status),
        ("attributes", a.attributes == b.attributes),
        ("events", a.events == b.events),
    ]
    .into_iter()
    .find_map(|(field, equal)| (!equal).then_some(field))
    .unwrap_or("the resource")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::testing::span;

    #[test]
    fn copies_are_equal_whatever_the_order_of_attributes() {
        let attribute = |key: &str| (key.to_owned(), Value::Int(1));
        let resource = |keys: [&str; 2]| {
            let mut span = span(1).done();
            let mut resource = span.resource.as_ref().clone();
            resource.attributes = keys.map(attribute).to_vec();
            span.resource = Arc::new(resource);
            span.attributes = keys.map(attribute).to_vec();
            span
        };
        assert!(is_equal(&resource(["a", "b"]), &resource(["b", "a"])));
        assert!(!is_equal(&resource(["a", "b"]), &resource(["a", "c"])));
    }
}
