//! C001: each step says whether it was cached. C002: the solve's totals are those of its steps.

use super::Rule;
use crate::trace::model::{Span, Value};
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, count, shown, shown_all};
use crate::verify::names;

pub(super) const MARKED: Rule = Rule {
    id: "C001",
    name: "cache-marked",
    severity: Severity::Error,
    proves: "cache can be measured",
    fails: "a step without `buildkit.cached`",
    mend: "the event that says it was lost",
    check: check_marked,
};

pub(super) const TOTALS: Rule = Rule {
    id: "C002",
    name: "cache-totals",
    severity: Severity::Error,
    proves: "totals agree",
    fails: "the totals on `solve` are not those of its steps",
    mend: "the span of a step was lost, or a step was counted twice",
    check: check_totals,
};

fn check_marked(evidence: &Evidence<'_>) -> Outcome {
    if evidence.vertices().next().is_none() {
        return Outcome::skipped(format!(
            "no span of a step of service `{}`",
            evidence.target.service
        ));
    }
    let unmarked: Vec<&Span> = evidence
        .vertices()
        .filter(|span| span.flag(names::CACHED).is_none())
        .collect();
    let Some(first) = unmarked.first() else {
        return Outcome::of([]);
    };
    let actual = match first.attribute(names::CACHED) {
        None => "none",
        Some(Value::Str(_)) => "text",
        Some(Value::Int(_) | Value::Float(_)) => "a number",
        Some(Value::Bool(_)) => "a truth value",
    };
    let number = count(unmarked.len(), "step does", "steps do");
    Outcome::of([
        Finding::new(format!("{number} not say whether it was cached"))
            .about(unmarked.iter().copied())
            .expected(format!("`{}` is true or false", names::CACHED))
            .actual(actual)
            .note("steps", shown_all(&unmarked)),
    ])
}

/// What a solve says of its steps, or what they are: total, cached, failed.
type Totals = [Option<i64>; 3];

fn check_totals(evidence: &Evidence<'_>) -> Outcome {
    let mut solves = evidence
        .ours()
        .filter(|span| span.name == names::SOLVE)
        .peekable();
    if solves.peek().is_none() {
        return Outcome::skipped(format!("no span `{}`", names::SOLVE));
    }
    let findings = solves.filter_map(|solve| {
        let said = [names::STEPS_TOTAL, names::STEPS_CACHED, names::STEPS_FAILED]
            .map(|key| solve.int(key));
        let steps: Vec<&Span> = evidence
            .index
            .children(solve.id)
            .iter()
            .copied()
            .filter(|span| evidence.is_ours(span) && span.attribute(names::VERTEX).is_some())
            .collect();
        let counted = totals(&steps);
        // A solve that never began has neither steps nor totals.
        if said == counted || (said == [None; 3] && steps.is_empty()) {
            return None;
        }
        Some(
            Finding::new(format!(
                "the totals of {} are not those of its steps",
                shown(solve)
            ))
            .about([solve])
            .expected(format!("{} (its steps)", written(counted)))
            .actual(written(said))
            .help("the span of a step was lost, or a step was counted twice"),
        )
    });
    Outcome::of(findings)
}

fn totals(steps: &[&Span]) -> Totals {
    let cached = |span: &&&Span| span.flag(names::CACHED) == Some(true);
    [
        steps.len(),
        steps.iter().filter(cached).count(),
        steps.iter().filter(|span| span.is_error()).count(),
    ]
    .map(|number| i64::try_from(number).ok())
}

fn written([total, cached, failed]: Totals) -> String {
    let number = |number: Option<i64>| number.map_or("none".to_owned(), |n| n.to_string());
    format!(
        "total {}, cached {}, failed {}",
        number(total),
        number(cached),
        number(failed)
    )
}
