//! One expectation, with its selectors and ranges read.

use super::place::Place;
use super::range::{Measure, Range};
use super::schema;
use crate::document::{At, Fault, Position, Scalar};
use crate::verify::finding::Severity;
use crate::verify::select::Selector;

/// What kind of expectation it is, as reports call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something that has to hold.
    Expectation,
    /// A time that it may take.
    Budget,
}

/// One expectation.
#[derive(Clone, Debug)]
pub struct Check {
    /// What kind it is.
    pub kind: Kind,
    /// What it is called.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// How bad it is if it does not hold.
    pub severity: Severity,
    pub(super) parts: Vec<Part>,
}

/// What has to hold of what.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// There are so many; at least one if nothing is said.
    Count(Selector, Option<Range>),
    /// A number made of their lengths.
    Length(Selector, Length, schema::Stat, Range),
    /// What each of them says of a key.
    Each(Selector, Vec<(String, Wanted)>),
    /// The part that some are of others.
    Ratio(Selector, Selector, Range),
    /// One after the other.
    Order(Vec<Selector>),
    /// At the same time, for so long in nanoseconds.
    Overlap(Vec<Selector>, f64),
}

/// Which time of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// From its start to its end.
    Whole,
    /// That in which none below it was at work.
    Own,
}

/// What a key has to say.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// This.
    Value(String),
    /// So much.
    Range(Range),
}

impl Check {
    /// Reads what was written.
    pub(super) fn read(
        written: &At<schema::Check>,
        kind: Kind,
        place: Place,
    ) -> Result<Self, Fault> {
        let check = &written.value;
        let mut parts = Vec::new();
        if let Some(select) = &check.select {
            parts = of_spans(check, &selector(select)?)?;
        } else if let Some(at) = needs_spans(check) {
            return Err(Fault::new(
                at,
                "`select` is missing: which spans is this about?",
            ));
        }
        if let Some(ratio) = &check.ratio {
            let part = range(&ratio.part, Measure::Share)?;
            parts.push(Part::Ratio(
                selector(&ratio.of)?,
                selector(&ratio.over)?,
                part,
            ));
        }
        if let Some(order) = &check.order {
            parts.push(Part::Order(several(order, "order")?));
        }
        let least = match &check.at_least {
            Some(least) if check.overlap.is_some() => nanoseconds(least)?,
            Some(least) => {
                return Err(Fault::new(
                    least.at,
                    "`at_least` says how long an `overlap` is",
                ));
            }
            None => 0.0,
        };
        if let Some(overlap) = &check.overlap {
            parts.push(Part::Overlap(several(overlap, "overlap")?, least));
        }
        if parts.is_empty() {
            let fault = Fault::new(written.at, "nothing is expected here");
            return Err(fault.help(
                "add `select` with `count`, `duration` or `each`; or `ratio`, `order`, `overlap`",
            ));
        }
        let name = match (&check.name, &check.select) {
            (Some(name), _) => name.value.clone(),
            (None, Some(select)) => select.value.clone(),
            (None, None) => format!("line {}", written.at.line),
        };
        Ok(Self {
            kind,
            name,
            place,
            severity: match check.severity {
                Some(schema::Severity::Warn) => Severity::Warn,
                Some(schema::Severity::Error) | None => Severity::Error,
            },
            parts,
        })
    }
}

fn of_spans(check: &schema::Check, spans: &Selector) -> Result<Vec<Part>, Fault> {
    let count = check.count.as_ref();
    let count = count
        .map(|count| range(count, Measure::Count))
        .transpose()?;
    let mut parts = vec![Part::Count(spans.clone(), count)];
    for (lengths, which) in [(&check.duration, Length::Whole), (&check.own, Length::Own)] {
        for (stat, wanted) in lengths {
            let wanted = range(wanted, Measure::Time)?;
            parts.push(Part::Length(spans.clone(), which, *stat, wanted));
        }
    }
    let each = check.each.iter().map(|(key, wanted)| {
        let text = &wanted.value.0;
        let wanted = if Range::is_written(text) {
            let times = matches!(key.as_str(), "duration" | "self");
            let measure = if times { Measure::Time } else { Measure::Value };
            Wanted::Range(range(wanted, measure)?)
        } else {
            Wanted::Value(text.clone())
        };
        Ok((key.clone(), wanted))
    });
    let each: Vec<_> = each.collect::<Result<_, Fault>>()?;
    if !each.is_empty() {
        parts.push(Part::Each(spans.clone(), each));
    }
    Ok(parts)
}

/// The place of something that is said of spans.
fn needs_spans(check: &schema::Check) -> Option<Position> {
    let maps = [&check.duration, &check.own];
    let lengths = maps.into_iter().flat_map(|map| map.values());
    let values = check.count.iter().chain(lengths).chain(check.each.values());
    values.map(|value| value.at).next()
}

/// Reads a selector; what is wrong in it is told with its column in it.
pub(super) fn selector(text: &At<String>) -> Result<Selector, Fault> {
    text.value
        .parse()
        .map_err(|error: crate::verify::select::SelectorError| {
            let message = format!("the selector is wrong at its {error}");
            Fault::new(text.at, message).help("`dagger trace query SELECTOR` shows what one means")
        })
}

fn several(list: &At<Vec<At<String>>>, what: &str) -> Result<Vec<Selector>, Fault> {
    if list.value.len() < 2 {
        let message = format!("`{what}` is about at least two selectors");
        return Err(Fault::new(list.at, message));
    }
    list.value.iter().map(selector).collect()
}

pub(super) fn range(text: &At<Scalar>, measure: Measure) -> Result<Range, Fault> {
    Range::parse(&text.value.0, measure).map_err(|problem| Fault::new(text.at, problem))
}

pub(super) fn nanoseconds(text: &At<Scalar>) -> Result<f64, Fault> {
    Measure::Time
        .read(text.value.0.trim())
        .map_err(|problem| Fault::new(text.at, problem))
}
