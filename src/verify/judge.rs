//! Holds the rules against a trace.

use super::evidence::{Evidence, Tolerance};
use super::finding::{Outcome, Severity};
use super::index::Index;
use super::rules::{RULES, Rule};
use super::scope::Scope;
use super::target::Target;
use crate::trace::error::TraceError;
use crate::trace::jaeger::Answer;
use crate::trace::model::Span;

/// Rules that have something to say of a trace that is not there.
const WITHOUT_SPANS: [&str; 2] = ["T001", "T008"];

/// What the rules say of a trace.
#[derive(Debug)]
pub struct Judged {
    /// Each rule's outcome, in the order of [`RULES`].
    pub outcomes: Vec<(&'static Rule, Outcome)>,
    /// The run's first span.
    pub root: Option<Span>,
    /// How many spans its part of the trace has.
    pub spans: usize,
    /// Their services, in order of the alphabet.
    pub services: Vec<String>,
}

/// Holds the rules against a trace; `error` is why the last read failed, if it did.
pub fn judge(
    target: &Target,
    answer: &Answer,
    error: Option<&TraceError>,
    tolerance: Tolerance,
) -> Judged {
    let index = Index::new(&answer.spans);
    let scope = Scope::new(target, &index);
    let evidence = Evidence {
        target,
        index: &index,
        scope,
        tolerance,
        unreadable: &answer.unreadable,
        foreign: answer.foreign,
        error,
    };
    let nothing = index.spans().is_empty();
    let outcomes = RULES
        .iter()
        .map(|rule| {
            let outcome = if nothing && !WITHOUT_SPANS.contains(&rule.id) {
                Outcome::skipped("the trace is not there")
            } else {
                rule.check(&evidence)
            };
            (rule, outcome)
        })
        .collect();
    let mut services: Vec<String> = Vec::new();
    for service in index.services() {
        if evidence.members().any(|span| span.service() == service) {
            services.push(service.to_owned());
        }
    }
    Judged {
        outcomes,
        root: evidence.entry().cloned(),
        spans: evidence.members().count(),
        services,
    }
}

impl Judged {
    /// Sets how bad the findings of some rules are; `None`: the rule is not asked.
    pub fn set_levels(&mut self, levels: &[(&'static Rule, Option<Severity>)]) {
        for (rule, level) in levels {
            match level {
                None => self.outcomes.retain(|(other, _)| other.id != rule.id),
                Some(severity) => {
                    let outcomes = self.outcomes.iter_mut();
                    for (_, outcome) in outcomes.filter(|(other, _)| other.id == rule.id) {
                        if let Outcome::Checked(findings) = outcome {
                            for finding in findings {
                                finding.severity = Some(*severity);
                            }
                        }
                    }
                }
            }
        }
    }
}
