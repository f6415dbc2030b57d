//! Holds the rules against a trace.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::evidence::{Evidence, Tolerance};
use super::expect::{Check, Expectations, Kind, Place};
use super::finding::{Outcome, Severity};
use super::index::{Index, LayOut};
use super::rules::{RULES, Rule};
use super::scope::Scope;
use super::target::Target;
use crate::trace::critical_path::critical_path;
use crate::trace::error::TraceError;
use crate::trace::jaeger::Answer;
use crate::trace::model::Span;

/// Rules that have something to say of a trace that is not there.
const WITHOUT_SPANS: [&str; 2] = ["T001", "T008"];

/// What came of something that is not a built-in rule.
#[derive(Clone, Debug)]
pub struct Held {
    /// What reports call such a thing: `expect`, `budget`, `baseline`, `waiver`.
    pub id: &'static str,
    /// The kind of it, as `invariant` is that of rules.
    pub kind: &'static str,
    /// What it is called.
    pub name: String,
    /// Where it is written.
    pub place: Option<Place>,
    /// How bad its findings are.
    pub severity: Severity,
    /// What it proves.
    pub proves: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What the rules say of a trace.
#[derive(Debug)]
pub struct Judged {
    /// Each rule's outcome, in the order of [`RULES`].
    pub outcomes: Vec<(&'static Rule, Outcome)>,
    /// What came of the project's expectations, in the order of its file.
    pub held: Vec<Held>,
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
    let expectations = Expectations::default();
    judge_with(target, answer, error, tolerance, &expectations, Vec::new())
}

/// Holds the rules and a project's expectations against a trace; `more` is what else was looked at.
pub fn judge_with(
    target: &Target,
    answer: &Answer,
    error: Option<&TraceError>,
    tolerance: Tolerance,
    expectations: &Expectations,
    more: Vec<Held>,
) -> Judged {
    judge_along(
        critical_path,
        target,
        answer,
        error,
        tolerance,
        expectations,
        more,
    )
}

/// The same with the critical path that `lay_out` finds.
pub(super) fn judge_along(
    lay_out: LayOut,
    target: &Target,
    answer: &Answer,
    error: Option<&TraceError>,
    tolerance: Tolerance,
    expectations: &Expectations,
    more: Vec<Held>,
) -> Judged {
    let target = &*target.of_client(&answer.spans);
    let mut index = Index::new(&answer.spans);
    let scope = Scope::new(target, &index);
    index.set_path(scope.entry, lay_out);
    let evidence = Evidence {
        target,
        index: &index,
        scope,
        tolerance,
        unreadable: &answer.unreadable,
        mistyped: &answer.mistyped,
        foreign: answer.foreign,
        error,
    };
    let outcomes = ask_all(&evidence);
    let services: BTreeSet<&str> = evidence.members().map(Span::service).collect();
    let rounding_ns = u64::try_from(tolerance.rounding.as_nanos()).unwrap_or(u64::MAX);
    let Expectations {
        checks, waivers, ..
    } = expectations;
    // Another index of a large trace takes a while, and not every project expects something of its own.
    let members =
        (!checks.is_empty() || !waivers.is_empty()).then(|| index.part(evidence.members()));
    let hold = |members| {
        checks
            .iter()
            .map(move |check| check.held(members, rounding_ns))
    };
    let held = members.iter().flat_map(hold).chain(more).collect();
    let mut judged = Judged {
        outcomes,
        held,
        root: evidence.entry().cloned(),
        spans: evidence.members().count(),
        services: services.into_iter().map(str::to_owned).collect(),
    };
    judged.set_levels(&expectations.levels);
    if let Some(members) = &members {
        judged.waive(waivers, members, tolerance.now_ns);
    }
    judged
}

/// Asks the rules, several at a time: of a large trace each takes a while, and none needs another.
fn ask_all(evidence: &Evidence<'_>) -> Vec<(&'static Rule, Outcome)> {
    let nothing = evidence.index.spans().is_empty();
    let ask = |rule: &'static Rule| {
        if nothing && !WITHOUT_SPANS.contains(&rule.id) {
            return Outcome::skipped("the trace is not there");
        }
        let profile = evidence.target.profile;
        if let Some(reason) = profile.skips(rule.id) {
            return Outcome::skipped(reason);
        }
        match (rule.check(evidence), profile.habit(rule.id)) {
            (Outcome::Checked(findings), Some(known)) => {
                Outcome::of(findings.into_iter().map(|found| found.warn().help(known)))
            }
            (outcome, _) => outcome,
        }
    };
    let next = AtomicUsize::new(0);
    let asker = || {
        let turns = std::iter::from_fn(|| RULES.get(next.fetch_add(1, Ordering::Relaxed)));
        turns.map(|rule| (rule.id, ask(rule))).collect::<Vec<_>>()
    };
    let mut outcomes: HashMap<&str, Outcome> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..askers()).map(|_| scope.spawn(asker)).collect();
        let mut outcomes: HashMap<_, _> = asker().into_iter().collect();
        for other in others {
            match other.join() {
                Ok(more) => outcomes.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        outcomes
    });
    let in_order = RULES.iter();
    in_order
        .filter_map(|rule| Some((rule, outcomes.remove(rule.id)?)))
        .collect()
}

/// How many rules are asked at a time.
fn askers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_ASKERS))
}

/// More have nothing to do: a few rules take most of the time.
const MOST_ASKERS: usize = 4;

impl Check {
    fn held(&self, members: &Index<'_>, rounding_ns: u64) -> Held {
        let (id, kind) = match self.kind {
            Kind::Expectation => ("expect", "expectation"),
            Kind::Budget => ("budget", "budget"),
        };
        let outcome = if members.spans().is_empty() {
            Outcome::skipped("the trace is not there")
        } else {
            self.hold(members, rounding_ns)
        };
        Held {
            id,
            kind,
            name: self.name.clone(),
            place: Some(self.place.clone()),
            severity: self.severity,
            proves: "it holds".to_owned(),
            outcome,
        }
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
