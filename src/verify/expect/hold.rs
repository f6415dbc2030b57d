//! Holds an expectation against a trace.

use super::check::{Check, Length, Part, Wanted};
use super::range::{Range, shown_time};
use super::schema::Stat;
use crate::trace::model::Span;
use crate::verify::finding::{Finding, Outcome, count, shown_all};
use crate::verify::index::Index;
use crate::verify::select::{Selector, own_ns, says, values_of_call};

/// Fewer lengths make no percentile.
const FOR_PERCENTILE: usize = 5;

/// What an expectation says of the run's spans; `rounding_ns` is how far times of one process may be off.
pub(super) fn hold(check: &Check, index: &Index<'_>, rounding_ns: u64) -> Outcome {
    let mut findings = Vec::new();
    // What matches nothing is told once.
    let mut nothing = false;
    for part in &check.parts {
        match part {
            Part::Count(select, wanted) => {
                let found = select.matches(index);
                nothing = found.is_empty();
                findings.extend(counted(select, wanted.as_ref(), &found, index));
            }
            Part::Length(..) | Part::Each(..) if nothing => {}
            Part::Length(select, which, stat, wanted) => {
                let found = select.matches(index);
                findings.extend(lengths(&found, *which, *stat, wanted, index));
            }
            Part::Each(select, wanted) => {
                findings.extend(each(&select.matches(index), wanted, index));
            }
            Part::Ratio(of, over, wanted) => findings.extend(ratio(of, over, wanted, index)),
            Part::Order(selectors) => findings.extend(order(selectors, index, rounding_ns)),
            Part::Overlap(selectors, least) => findings.extend(overlap(selectors, *least, index)),
        }
    }
    Outcome::of(findings)
}

/// Nothing was found where something has to be.
fn empty(select: &Selector, index: &Index<'_>) -> Finding {
    let finding = Finding::new(format!("no span is `{select}`")).actual("0 spans");
    match select.nearest(index) {
        Some(near) => finding.note("nearest", near),
        None => finding,
    }
}

fn counted(
    select: &Selector,
    wanted: Option<&Range>,
    found: &[&Span],
    index: &Index<'_>,
) -> Option<Finding> {
    let number = found.len();
    match wanted {
        None if number == 0 => Some(empty(select, index).expected("at least 1 span")),
        None => None,
        Some(wanted) if wanted.holds(float(number)) => None,
        Some(wanted) if number == 0 => {
            Some(empty(select, index).expected(format!("{wanted} spans")))
        }
        Some(wanted) => {
            let spans = count(number, "span is", "spans are");
            Some(
                Finding::new(format!("{spans} `{select}`"))
                    .about(found.iter().copied())
                    .expected(format!("{wanted}"))
                    .actual(number.to_string())
                    .note("spans", shown_all(found)),
            )
        }
    }
}

fn lengths(
    found: &[&Span],
    which: Length,
    stat: Stat,
    wanted: &Range,
    index: &Index<'_>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let of = |span: &&Span| match which {
        Length::Whole => span.end_ns.saturating_sub(span.start_ns),
        Length::Own => own_ns(span, index),
    };
    let Some(value) = statistic(found, stat, of) else {
        return findings;
    };
    let name = stat.name();
    let what = match which {
        Length::Whole => "duration",
        Length::Own => "self time",
    };
    if stat.is_percentile() && found.len() < FOR_PERCENTILE {
        let spans = count(found.len(), "span", "spans");
        findings.push(
            Finding::new(format!("{name} of {spans} says little"))
                .warn()
                .help("use `max`, or select more spans"),
        );
    }
    if !wanted.holds(value) {
        let mut longest = found.to_vec();
        longest.sort_by_key(|span| std::cmp::Reverse(of(span)));
        findings.push(
            Finding::new(format!("the {what} ({name}) is {}", shown_time(value)))
                .about(longest.iter().copied().take(1))
                .expected(wanted.to_string())
                .actual(shown_time(value))
                .note("longest", shown_all(&longest)),
        );
    }
    findings
}

/// The statistic in nanoseconds; nothing of no spans.
pub(in crate::verify) fn statistic(
    found: &[&Span],
    stat: Stat,
    of: impl Fn(&&Span) -> u64,
) -> Option<f64> {
    let mut lengths: Vec<u64> = found.iter().map(&of).collect();
    lengths.sort_unstable();
    let (shortest, longest) = (*lengths.first()?, *lengths.last()?);
    let sum = lengths
        .iter()
        .fold(0_u64, |sum, one| sum.saturating_add(*one));
    // Nearest rank: the smallest that so many are not above.
    let rank = |percent: usize| {
        let rank = lengths.len().saturating_mul(percent).div_ceil(100).max(1);
        lengths.get(rank - 1).copied().unwrap_or(longest)
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "a nanosecond in a month does not matter"
    )]
    let float = |ns: u64| ns as f64;
    Some(match stat {
        Stat::Min => float(shortest),
        Stat::Max => float(longest),
        Stat::Sum => float(sum),
        Stat::Mean => float(sum) / self::float(lengths.len()),
        Stat::P50 => float(rank(50)),
        Stat::P90 => float(rank(90)),
        Stat::P95 => float(rank(95)),
        Stat::P99 => float(rank(99)),
        Stat::Wall => {
            let union = union(found.iter().copied());
            float(union.iter().map(|(start, end)| end - start).sum())
        }
    })
}

fn each(found: &[&Span], wanted: &[(String, Wanted)], index: &Index<'_>) -> Vec<Finding> {
    let findings = wanted.iter().filter_map(|(key, wanted)| {
        let good = |span: &Span| match wanted {
            Wanted::Value(value) => says(&values_of_call(span, index, key), value),
            Wanted::Range(range) => values_of_call(span, index, key)
                .iter()
                .filter_map(|value| crate::verify::select::quantity(value))
                .any(|value| range.holds(value)),
        };
        let bad: Vec<&Span> = found.iter().copied().filter(|span| !good(span)).collect();
        let first = bad.first()?;
        let (number, all) = (bad.len(), found.len());
        let written = match wanted {
            Wanted::Value(value) => format!("`{key}` is `{value}`"),
            Wanted::Range(range) => format!("`{key}` {range}"),
        };
        let said = values_of_call(first, index, key);
        let actual = match said.as_slice() {
            [] => format!("no `{key}`"),
            said => said.join(", "),
        };
        Some(
            Finding::new(format!("{number} of {all} spans do not say that {written}"))
                .about(bad.iter().copied())
                .expected(written)
                .actual(actual)
                .note("spans", shown_all(&bad)),
        )
    });
    findings.collect()
}

fn ratio(of: &Selector, over: &Selector, wanted: &Range, index: &Index<'_>) -> Option<Finding> {
    let (some, all) = (of.matches(index), over.matches(index));
    if all.is_empty() {
        return Some(empty(over, index).expected(format!("spans, of which {wanted} are `{of}`")));
    }
    let part = float(some.len()) / float(all.len());
    if wanted.holds(part) {
        return None;
    }
    let others: Vec<&Span> = all
        .iter()
        .copied()
        .filter(|span| !some.iter().any(|one| one.id == span.id))
        .collect();
    let percent = format!("{:.1} %", part * 100.0);
    Some(
        Finding::new(format!(
            "{} of {} are `{of}`: {percent}",
            some.len(),
            all.len()
        ))
        .about(others.iter().copied())
        .expected(wanted.to_string())
        .actual(percent)
        .note("the others", shown_all(&others)),
    )
}

fn order(selectors: &[Selector], index: &Index<'_>, rounding_ns: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pair in selectors.windows(2) {
        let [one, next] = pair else { continue };
        let (before, after) = (one.matches(index), next.matches(index));
        let Some(last) = before.iter().copied().max_by_key(|span| span.end_ns) else {
            findings.push(empty(one, index).expected("spans that come before others"));
            continue;
        };
        let Some(first) = after.iter().copied().min_by_key(|span| span.start_ns) else {
            findings.push(empty(next, index).expected("spans that come after others"));
            continue;
        };
        let late = last
            .end_ns
            .saturating_sub(first.start_ns.saturating_add(rounding_ns));
        if late > 0 {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a nanosecond in a month does not matter"
            )]
            let late = shown_time(late as f64);
            findings.push(
                Finding::new(format!("`{next}` begins before `{one}` has ended"))
                    .about([last, first])
                    .expected(format!("`{one}`, then `{next}`"))
                    .actual(format!("the one begins {late} before the other's end"))
                    .note("spans", shown_all(&[last, first])),
            );
        }
    }
    findings
}

fn overlap(selectors: &[Selector], least_ns: f64, index: &Index<'_>) -> Vec<Finding> {
    let mut common: Option<Vec<(u64, u64)>> = None;
    let mut all = Vec::new();
    for select in selectors {
        let found = select.matches(index);
        if found.is_empty() {
            return vec![empty(select, index).expected("spans that overlap others")];
        }
        let union = union(found.iter().copied());
        common = Some(match common {
            None => union,
            Some(common) => intersection(&common, &union),
        });
        all.extend(found);
    }
    let long: u64 = common
        .iter()
        .flatten()
        .map(|(start, end)| end - start)
        .sum();
    #[expect(
        clippy::cast_precision_loss,
        reason = "a nanosecond in a month does not matter"
    )]
    let long = long as f64;
    if long > 0.0 && long >= least_ns {
        return Vec::new();
    }
    let written: Vec<String> = selectors
        .iter()
        .map(|select| format!("`{select}`"))
        .collect();
    let expected = if least_ns > 0.0 {
        format!("at least {}", shown_time(least_ns))
    } else {
        "some time in common".to_owned()
    };
    vec![
        Finding::new(format!(
            "{} overlap for {}",
            written.join(" and "),
            shown_time(long)
        ))
        .about(all.iter().copied())
        .expected(expected)
        .actual(shown_time(long))
        .note("spans", shown_all(&all)),
    ]
}

/// The times in which at least one of them was there, in order, without overlaps.
fn union<'a>(spans: impl Iterator<Item = &'a Span>) -> Vec<(u64, u64)> {
    let mut times: Vec<(u64, u64)> = spans
        .map(|span| (span.start_ns, span.end_ns.max(span.start_ns)))
        .collect();
    times.sort_unstable();
    let mut union: Vec<(u64, u64)> = Vec::new();
    for (start, end) in times {
        match union.last_mut() {
            Some((_, last)) if *last >= start => *last = (*last).max(end),
            _ => union.push((start, end)),
        }
    }
    union
}

fn intersection(one: &[(u64, u64)], other: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut common = Vec::new();
    let (mut left, mut right) = (one.iter().peekable(), other.iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let (start, end) = (a.0.max(b.0), a.1.min(b.1));
        if start < end {
            common.push((start, end));
        }
        if a.1 <= b.1 {
            left.next();
        } else {
            right.next();
        }
    }
    common
}

fn float(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

impl Stat {
    pub(in crate::verify) fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Sum => "sum",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Wall => "wall",
        }
    }

    fn is_percentile(self) -> bool {
        matches!(self, Self::P50 | Self::P90 | Self::P95 | Self::P99)
    }
}
