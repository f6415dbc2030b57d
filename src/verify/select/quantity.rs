//! Numbers with units.

/// Units, and what a number with them is worth: times in nanoseconds, sizes in bytes.
const UNITS: [(&str, f64); 13] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("ms", 1e6),
    ("KiB", 1_024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("B", 1.0),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
];

/// Integers below it are numbers of their own: 2 to the 53rd.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The number behind `42`, `1.5s`, `1m30s` or `20MiB`: times in nanoseconds, sizes in bytes.
pub(in crate::verify) fn quantity(text: &str) -> Option<f64> {
    // No exponent: `1234e567` is how a commit begins. And none that is not kept to its last digit.
    let plain = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
        let number = is_number.then(|| text.parse::<f64>().ok()).flatten();
        number.filter(|number| number.abs() < EXACT)
    };
    if let Some(number) = plain(text) {
        return Some(number);
    }
    let (mut left, mut sum) = (text, 0.0);
    while !left.is_empty() {
        let end = left.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, after) = left.split_at_checked(end)?;
        let (unit, worth) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        sum += plain(digits)? * worth;
        left = after.strip_prefix(unit)?;
    }
    (!text.is_empty()).then_some(sum)
}

/// Is it a number with a unit of time?
pub(super) fn is_duration(text: &str) -> bool {
    let of_time = text
        .split(|c: char| c.is_ascii_digit() || c == '.')
        .filter(|unit| !unit.is_empty())
        .all(|unit| matches!(unit, "ns" | "us" | "ms" | "s" | "m" | "h"));
    of_time && text.ends_with(|c: char| c.is_ascii_alphabetic()) && quantity(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_units() {
        assert_eq!(quantity("1m30s"), Some(9e10));
        assert_eq!(quantity("20MiB"), Some(20_971_520.0));
        assert_eq!(quantity("-3"), Some(-3.0));
        for text in ["", "x", "1x", "nan", "inf", "s", "1.2.3"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }
}
