//! Is a run slower than former ones?
//!
//! Lives here: the comparison. Elsewhere: how it is asked for (`expect`), which runs are like this one
//! (`cli::trace_verify`).
//!
//! Slower is what is so by all of these: by a part of the median, by a time, and by more than three times
//! the usual spread (the median of the distances from the median, times 1.4826, which is the standard
//! deviation of what is spread normally).

use std::collections::BTreeMap;

use super::expect::{Baseline, Compare, LEAST_RUNS, Stat, shown_time, statistic};
use super::finding::{Finding, Outcome, Severity, shown_all};
use super::index::Index;
use super::judge::Held;
use super::names;
use super::select::Selector;
use crate::trace::model::Span;

/// How many spreads away is slower.
const SPREADS: f64 = 3.0;

/// The spread of what is spread normally, by the median of its distances.
const NORMAL: f64 = 1.4826;

/// What is not said is compared with these: a sixth longer and a quarter of a second.
const RATIO: f64 = 0.15;
const FLOOR_NS: f64 = 2.5e8;

impl Baseline {
    /// Compares a run with former runs that are like it.
    pub fn compare(&self, now: &[Span], former: &[Vec<Span>]) -> Vec<Held> {
        let now = Index::new(now);
        if former.len() < LEAST_RUNS {
            let reason = format!(
                "{} former runs are like this one; a baseline is of at least {LEAST_RUNS}",
                former.len()
            );
            return vec![held(None, Outcome::skipped(reason))];
        }
        let former: Vec<Index<'_>> = former.iter().map(|spans| Index::new(spans)).collect();
        if self.compare.is_empty() {
            return vec![held(None, everything(&now, &former))];
        }
        let compared = self.compare.iter().map(|one| {
            let found = one.select.matches(&now);
            let before: Vec<f64> = former
                .iter()
                .filter_map(|run| length(&one.select.matches(run), one.stat))
                .collect();
            let outcome = match length(&found, one.stat) {
                None => Outcome::of([nothing(&one.select, &now)]),
                Some(_) if before.len() < LEAST_RUNS => Outcome::skipped(format!(
                    "`{}` is in {} former runs; a baseline is of at least {LEAST_RUNS}",
                    one.select,
                    before.len()
                )),
                Some(value) => {
                    let slower = slower(value, &before, one.ratio, one.floor_ns);
                    let what = format!("`{}` ({})", one.select, one.stat.name());
                    Outcome::of(slower.map(|usual| usual.finding(&what, value, &found)))
                }
            };
            held(Some(one), outcome)
        });
        compared.collect()
    }
}

fn held(compare: Option<&Compare>, outcome: Outcome) -> Held {
    Held {
        id: "baseline",
        kind: "baseline",
        name: compare.map_or_else(|| "former runs".to_owned(), |one| one.name.clone()),
        place: compare.and_then(|one| one.place.clone()),
        severity: compare.map_or(Severity::Error, |one| one.severity),
        proves: "it is not slower than former runs".to_owned(),
        outcome,
    }
}

fn nothing(select: &Selector, index: &Index<'_>) -> Finding {
    let finding = Finding::new(format!("no span is `{select}`")).actual("0 spans");
    match select.nearest(index) {
        Some(near) => finding.note("nearest", near),
        None => finding,
    }
}

/// What people look at: the run, its actions, its steps; by name, those of one name together.
fn everything(now: &Index<'_>, former: &[Index<'_>]) -> Outcome {
    let findings = by_name(now).into_iter().filter_map(|(name, found)| {
        let value = length(&found, Stat::Wall)?;
        let before: Vec<f64> = former
            .iter()
            .filter_map(|run| length(by_name(run).get(name)?, Stat::Wall))
            .collect();
        if before.len() < LEAST_RUNS {
            return None;
        }
        let usual = slower(value, &before, RATIO, FLOOR_NS)?;
        Some(usual.finding(&format!("`{name}`"), value, &found))
    });
    Outcome::of(findings)
}

fn by_name<'a>(index: &Index<'a>) -> BTreeMap<&'a str, Vec<&'a Span>> {
    let mut names: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in index.spans().iter().copied() {
        let looked_at = span.attribute(names::VERTEX).is_some()
            || span.name.starts_with(names::ACTION)
            || (index.parent(span).is_none() && span.name.starts_with(names::COMMAND));
        if looked_at {
            names.entry(&span.name).or_default().push(span);
        }
    }
    names
}

fn length(found: &[&Span], stat: Stat) -> Option<f64> {
    statistic(found, stat, |span| {
        span.end_ns.saturating_sub(span.start_ns)
    })
}

/// How long it usually took, in nanoseconds.
struct Usual {
    median: f64,
    spread: f64,
    runs: usize,
}

impl Usual {
    fn finding(&self, what: &str, value: f64, found: &[&Span]) -> Finding {
        let slower = value / self.median.max(1.0) * 100.0 - 100.0;
        Finding::new(format!(
            "{what} took {}, {slower:.0} % longer than usual",
            shown_time(value)
        ))
        .about(found.iter().copied())
        .expected(format!(
            "about {} (median of {} runs, spread {})",
            shown_time(self.median),
            self.runs,
            shown_time(self.spread)
        ))
        .actual(shown_time(value))
        .note("spans", shown_all(found))
        .help("`dagger trace diff` of this run and a former one says what changed")
    }
}

/// The usual if the value is slower than that.
fn slower(value: f64, before: &[f64], ratio: f64, floor_ns: f64) -> Option<Usual> {
    let middle = median(before.to_vec())?;
    let spread = NORMAL * median(before.iter().map(|one| (one - middle).abs()).collect())?;
    let is_slower = value > middle * (1.0 + ratio)
        && value - middle > floor_ns
        && value > middle + SPREADS * spread;
    is_slower.then_some(Usual {
        median: middle,
        spread,
        runs: before.len(),
    })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let upper = values.get(half).copied()?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    values
        .get(half.checked_sub(1)?)
        .map(|lower| f64::midpoint(*lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: f64 = 1e9;

    #[test]
    fn slower_is_what_is_so_by_all_three() {
        let calm: Vec<f64> = (0..10)
            .map(|n| (10.0 + f64::from(n) * 0.01) * SECOND)
            .collect();
        let is_slower = |value: f64, before: &[f64]| {
            slower(value * SECOND, before, 0.2, 1.5 * SECOND).is_some()
        };
        assert!(is_slower(13.0, &calm));
        // 15 % is not 20 %.
        assert!(!is_slower(11.5, &calm));
        // 30 % of very little.
        let short: Vec<f64> = calm.iter().map(|one| one / 100.0).collect();
        assert!(!is_slower(0.13, &short));
        // Former runs were all over the place.
        let wild: Vec<f64> = (0..10).map(|n| (5.0 + f64::from(n)) * SECOND).collect();
        assert!(!is_slower(13.0, &wild));
        assert!(slower(1.0, &[], 0.0, 0.0).is_none());
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }
}
