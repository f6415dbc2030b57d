//! T001: the trace was stored.

use std::error::Error;

use super::Rule;
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, count, steers};

pub(super) const RULE: Rule = Rule {
    id: "T001",
    name: "trace-found",
    severity: Severity::Error,
    proves: "it was stored",
    fails: "no span is there; spans that cannot be read, and tags that are not of their type, are a warning",
    mend: "see whether the build exported to this Jaeger, and whether it has dropped the trace since",
    check,
};

fn check(evidence: &Evidence<'_>) -> Outcome {
    let mut findings = Vec::new();
    if evidence.index.spans().is_empty() {
        findings.push(absent(evidence));
    }
    if let Some(first) = evidence.unreadable.first() {
        let number = count(evidence.unreadable.len(), "span", "spans");
        findings.push(
            Finding::new(format!("{number} of the answer cannot be read"))
                .warn()
                .note("first", first.clone()),
        );
    }
    if let Some((_, first)) = evidence.mistyped.first() {
        let number = count(evidence.mistyped.len(), "tag holds", "tags hold");
        let key: String = first
            .chars()
            .filter(|c| !steers(*c))
            .take(KEY_CHARS)
            .collect();
        findings.push(
            Finding::new(format!("{number} something else than the type says"))
                .warn()
                .about_ids(evidence.mistyped.iter().map(|(span, _)| *span))
                .expected("a value of the tag's type")
                .note("first", format!("`{key}`"))
                .help(
                    "look for a proxy or a converter that changes types; the tag is read as text",
                ),
        );
    }
    Outcome::of(findings)
}

/// How much of a tag's key is shown, in characters.
const KEY_CHARS: usize = 64;

fn absent(evidence: &Evidence<'_>) -> Finding {
    if let Some(error) = evidence.error {
        let told = Finding::new(error.to_string()).help(error.help());
        return match root_cause(error) {
            Some(cause) => told.note("cause", cause),
            None => told,
        };
    }
    let help = if evidence.target.exported_nowhere() {
        "the run exported nothing: set OTEL_EXPORTER_JAEGER_ENDPOINT or JAEGER_TRACE before the \
         build"
    } else {
        "see whether the build exported to this Jaeger, and whether Jaeger has dropped the trace \
         since (memory store)"
    };
    Finding::new("the trace is not in Jaeger")
        .expected("1 span or more")
        .actual("0")
        .help(help)
}

/// The innermost source: what the system said.
fn root_cause(error: &dyn Error) -> Option<String> {
    let mut source = error.source()?;
    while let Some(inner) = source.source() {
        source = inner;
    }
    Some(source.to_string())
}
