//! What `verify` has to say of the spans.

use serde::Serialize;

use crate::trace::jaeger::Answer;
use crate::trace::model::{Span, SpanId};
use crate::verify::{Finding, Outcome, Severity, Target, Tolerance, judge};

/// What the rules found, and which could not look.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// What is wrong, in the order of the rules.
    pub found: Vec<FindingRow>,
    /// Rules that could not look.
    pub skipped: Vec<SkippedRow>,
    /// How many rules found nothing wrong.
    pub passed: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FindingRow {
    /// The rule's id, e.g. `T003`.
    pub rule: &'static str,
    /// The rule's name, e.g. `no-orphans`.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The spans that it is about, 16 hex digits each; at most 1,000 of them.
    pub spans: Vec<String>,
    /// What should be.
    pub expected: Option<String>,
    /// What is.
    pub actual: Option<String>,
    /// Further facts, each with its name.
    pub notes: Vec<(&'static str, String)>,
    /// What to do next.
    pub help: Option<String>,
}

/// A rule that could not look.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SkippedRow {
    /// The rule's id.
    pub rule: &'static str,
    /// The rule's name.
    pub name: &'static str,
    /// Why.
    pub reason: String,
}

/// How many spans of one finding the page marks.
pub(super) const SPANS: usize = 1_000;

/// Holds the rules against the spans as they are, without waiting for more.
pub fn findings(target: &Target, spans: &[Span]) -> Findings {
    let answer = Answer {
        spans: spans.to_vec(),
        foreign: 0,
        unreadable: Vec::new(),
        mistyped: Vec::new(),
    };
    let mut findings = Findings::default();
    for (rule, outcome) in judge(target, &answer, None, Tolerance::default()).outcomes {
        match outcome {
            Outcome::Skipped(reason) => findings.skipped.push(SkippedRow {
                rule: rule.id,
                name: rule.name,
                reason,
            }),
            Outcome::Checked(found) if found.is_empty() => findings.passed += 1,
            Outcome::Checked(found) => {
                let rows = found.into_iter().map(|finding| {
                    let severity = finding.severity.unwrap_or(rule.severity);
                    row(rule.id, rule.name, severity, finding)
                });
                findings.found.extend(rows);
            }
        }
    }
    findings
}

fn row(rule: &'static str, name: &'static str, severity: Severity, finding: Finding) -> FindingRow {
    let spans = finding.spans.iter().take(SPANS);
    FindingRow {
        rule,
        name,
        severity,
        message: finding.message,
        spans: spans.map(SpanId::to_string).collect(),
        expected: finding.expected,
        actual: finding.actual,
        notes: finding.notes,
        help: finding.help,
    }
}
