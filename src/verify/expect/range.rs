//! How much something may be: `<= 5m`, `2..5`, `>= 80%`.

use std::fmt;

use crate::verify::select::quantity;

/// What is measured, and so which units fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Whole numbers.
    Count,
    /// Times, in nanoseconds.
    Time,
    /// Parts of a whole: `80%`, `0.8`.
    Share,
    /// What an attribute says: a number, with a unit or without.
    Value,
}

/// How much something may be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Range {
    text: String,
    bounds: Bounds,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bounds {
    Less(f64),
    AtMost(f64),
    Greater(f64),
    AtLeast(f64),
    Equal(f64),
    Unequal(f64),
    Between(f64, f64),
}

type Bound = fn(f64) -> Bounds;

/// Longer ones first, as they are looked for in this order.
const COMPARED: [(&str, Bound); 6] = [
    ("<=", Bounds::AtMost),
    (">=", Bounds::AtLeast),
    ("!=", Bounds::Unequal),
    ("<", Bounds::Less),
    (">", Bounds::Greater),
    ("=", Bounds::Equal),
];

impl Range {
    /// Reads a range; a quantity alone is that much exactly.
    pub(super) fn parse(text: &str, measure: Measure) -> Result<Self, String> {
        let text = text.trim();
        let range = |bounds| Self {
            text: text.to_owned(),
            bounds,
        };
        for (sign, bound) in COMPARED {
            if let Some(rest) = text.strip_prefix(sign) {
                return Ok(range(bound(measure.read(rest.trim())?)));
            }
        }
        if let Some((low, high)) = text.split_once("..") {
            let (low, high) = (measure.read(low.trim())?, measure.read(high.trim())?);
            if low > high {
                return Err(format!("`{text}` begins above its end"));
            }
            return Ok(range(Bounds::Between(low, high)));
        }
        Ok(range(Bounds::Equal(measure.read(text)?)))
    }

    /// Is it written as a range, and not as a value alone?
    pub(super) fn is_written(text: &str) -> bool {
        let text = text.trim();
        COMPARED.iter().any(|(sign, _)| text.starts_with(sign))
            || text.split_once("..").is_some_and(|(low, high)| {
                quantity(low.trim()).is_some() && quantity(high.trim()).is_some()
            })
    }

    /// Is it that much?
    pub(super) fn holds(&self, value: f64) -> bool {
        match self.bounds {
            Bounds::Less(bound) => value < bound,
            Bounds::AtMost(bound) => value <= bound,
            Bounds::Greater(bound) => value > bound,
            Bounds::AtLeast(bound) => value >= bound,
            Bounds::Equal(bound) => value.total_cmp(&bound).is_eq(),
            Bounds::Unequal(bound) => value.total_cmp(&bound).is_ne(),
            Bounds::Between(low, high) => (low..=high).contains(&value),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Measure {
    pub(super) fn read(self, text: &str) -> Result<f64, String> {
        let letters = text.chars().any(char::is_alphabetic);
        let number = quantity(text).filter(|number| *number >= 0.0);
        match self {
            Self::Count => number
                .filter(|number| !letters && number.fract() == 0.0)
                .ok_or_else(|| format!("`{text}` is no count: write a whole number")),
            Self::Time => match number {
                Some(number) if letters && !text.contains('B') => Ok(number),
                Some(_) if !letters => Err(format!(
                    "`{text}` has no unit: write for instance `{text}s` or `{text}ms`"
                )),
                _ => Err(format!(
                    "`{text}` is no time: write for instance `30s`, `1m30s` or `200ms`"
                )),
            },
            Self::Share => {
                let percent = text.strip_suffix('%');
                let number = match percent {
                    Some(percent) => quantity(percent.trim()).map(|number| number / 100.0),
                    None => number.filter(|_| !letters),
                };
                number
                    .filter(|number| (0.0..=1.0).contains(number))
                    .ok_or_else(|| format!("`{text}` is no part: write `80%`, or 0 to 1"))
            }
            Self::Value => quantity(text).ok_or_else(|| {
                format!("`{text}` is no quantity: write a number, with a unit if it has one")
            }),
        }
    }
}

/// A time for people.
pub(in crate::verify) fn shown_time(ns: f64) -> String {
    let unit = [(1e9, "s"), (1e6, "ms"), (1e3, "us")];
    let (worth, name) = unit
        .into_iter()
        .find(|(worth, _)| ns >= *worth)
        .unwrap_or((1.0, "ns"));
    let text = format!("{:.3}", ns / worth);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let holds =
            |text: &str, measure, value: f64| Range::parse(text, measure).unwrap().holds(value);
        assert!(holds(">= 1", Measure::Count, 1.0));
        assert!(!holds("1", Measure::Count, 2.0));
        assert!(holds("2..5", Measure::Count, 5.0));
        assert!(holds("<= 5m", Measure::Time, 3e11));
        assert!(!holds("<1m30s", Measure::Time, 9e10));
        assert!(holds(">= 80%", Measure::Share, 0.8));
        assert!(holds("0.5..1", Measure::Share, 0.7));
        assert!(holds("<= 20MiB", Measure::Value, 20_971_520.0));
        assert!(holds("!= 0", Measure::Value, 1.0));
    }

    #[test]
    fn what_is_no_range_is_told_with_what_to_write() {
        let told = |text: &str, measure| Range::parse(text, measure).unwrap_err();
        insta::assert_snapshot!(
            [
                told("<= 5", Measure::Time),
                told("5MB", Measure::Time),
                told("soon", Measure::Time),
                told("1.5", Measure::Count),
                told("2s", Measure::Count),
                told("120%", Measure::Share),
                told("5..2", Measure::Count),
                told("> x", Measure::Value),
            ]
            .join("\n")
        );
    }

    #[test]
    fn times_are_shown_short() {
        assert_eq!(shown_time(1.5e9), "1.5 s");
        assert_eq!(shown_time(2e6), "2 ms");
        assert_eq!(shown_time(0.0), "0 ns");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,24}") {
            for measure in [Measure::Count, Measure::Time, Measure::Share, Measure::Value] {
                let _ = Range::parse(&text, measure);
            }
            let _ = Range::is_written(&text);
        }
    }
}
