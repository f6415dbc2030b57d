//! Lengths of time as people write them: `30s`, `1.5s`, `200ms`, `2m`, `1m30s`; a bare number is seconds.

use std::time::Duration;

/// Waiting for longer is as good as for ever.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Nothing is kept for longer.
const EVER: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// Reads a length of time.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let length = parse_long(text)?;
    if length > LONGEST {
        return Err(format!("`{text}` is longer than a day"));
    }
    Ok(length)
}

/// Reads a length of time that may be years.
pub(super) fn parse_long(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no length of time (e.g. 200ms, 2s, 1m30s)");
    let mut rest = text.trim();
    let mut sum = 0.0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let unit_end = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let seconds = match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "" if number.len() == text.trim().len() => 1.0,
            _ => return Err(wrong()),
        };
        sum += number.parse::<f64>().map_err(|_| wrong())? * seconds;
        rest = after;
    }
    Duration::try_from_secs_f64(sum)
        .ok()
        .filter(|length| *length <= EVER)
        .ok_or_else(|| format!("`{text}` is longer than a century"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_spellings_are_read() {
        for (text, millis) in [
            ("30s", 30_000),
            ("1.5s", 1_500),
            ("200ms", 200),
            ("2m", 120_000),
            ("1m30s", 90_000),
            ("7", 7_000),
            ("0", 0),
            ("24h", 86_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "", "s", "-1s", "1 s", "1d", "25h", "1e9s", "1s5", "..s", "NaN", "inf",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse_long("48h"), Ok(Duration::from_secs(172_800)));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,24}", digits in "[0-9.]{0,400}[a-z]{0,2}") {
            let _ = parse(&text);
            let _ = parse(&digits);
        }
    }
}
