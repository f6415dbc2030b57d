//! How a run may differ from former runs, as it is written.

use super::check::{nanoseconds, selector};
use super::place::Place;
use super::range::Measure;
use super::schema::{self, Stat};
use crate::document::{Fault, Position};
use crate::verify::finding::Severity;
use crate::verify::select::Selector;

/// Former runs, and what is compared with them.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// Only those of this branch.
    pub branch: Option<String>,
    /// How many at most.
    pub runs: usize,
    /// What is compared.
    pub compare: Vec<Compare>,
}

/// What is compared.
#[derive(Clone, Debug)]
pub struct Compare {
    /// What it is called.
    pub name: String,
    /// Where it is written; `None`: it was asked for on the command line.
    pub place: Option<Place>,
    /// How bad it is to be slower.
    pub severity: Severity,
    pub(in crate::verify) select: Selector,
    pub(in crate::verify) stat: Stat,
    /// Slower by so much of the median.
    pub(in crate::verify) ratio: f64,
    /// Slower by so many nanoseconds.
    pub(in crate::verify) floor_ns: f64,
}

/// Former runs that are looked at if it is not said.
pub const RUNS: usize = 10;

/// Fewer are no baseline.
pub const LEAST_RUNS: usize = 3;

impl Baseline {
    /// The last `runs` runs, and of each what people look at: the run, its actions, its steps.
    pub fn of_everything(runs: usize) -> Self {
        Self {
            branch: None,
            runs,
            compare: Vec::new(),
        }
    }

    pub(super) fn read(
        written: &schema::Baseline,
        place: impl Fn(Position) -> Place,
    ) -> Result<Self, Fault> {
        let runs = match &written.from.runs {
            None => RUNS,
            Some(runs) => {
                let number = usize::try_from(runs.value).unwrap_or(usize::MAX);
                if !(LEAST_RUNS..=1_000).contains(&number) {
                    let message = format!("a baseline is of {LEAST_RUNS} to 1000 runs");
                    return Err(Fault::new(runs.at, message));
                }
                number
            }
        };
        let compare = written.compare.iter().map(|one| {
            let Fields { ratio, floor_ns } = Fields::read(&one.value.slower)?;
            let name = one.value.name.as_ref().unwrap_or(&one.value.select);
            Ok(Compare {
                name: name.value.clone(),
                place: Some(place(one.at)),
                severity: match one.value.severity {
                    Some(schema::Severity::Warn) => Severity::Warn,
                    Some(schema::Severity::Error) | None => Severity::Error,
                },
                select: selector(&one.value.select)?,
                stat: one.value.stat.unwrap_or(Stat::Wall),
                ratio,
                floor_ns,
            })
        });
        Ok(Self {
            branch: written.from.branch.clone(),
            runs,
            compare: compare.collect::<Result<_, Fault>>()?,
        })
    }
}

struct Fields {
    ratio: f64,
    floor_ns: f64,
}

impl Fields {
    fn read(slower: &schema::Slower) -> Result<Self, Fault> {
        let text = slower.ratio.value.0.trim();
        let ratio = match text.strip_suffix('%') {
            Some(percent) => Measure::Value
                .read(percent.trim())
                .map(|number| number / 100.0),
            None => Measure::Value.read(text),
        };
        let ratio = ratio.ok().filter(|ratio| *ratio >= 0.0).ok_or_else(|| {
            Fault::new(slower.ratio.at, format!("`{text}` is no part: write `20%`"))
        })?;
        Ok(Self {
            ratio,
            floor_ns: nanoseconds(&slower.floor)?,
        })
    }
}
