//! Times as Jaeger's clients write them: Go's durations, and microseconds since the epoch.

/// A Go duration (`1.5s`, `100ms`, `1h2m`) in nanoseconds; negative ones are 0.
///
/// # Errors
/// In the words of Go's `time.ParseDuration`.
pub(super) fn go(text: &str) -> Result<u64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut sum = 0_f64;
    while !rest.is_empty() {
        let digits = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .len();
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let ns = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3_600e9,
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            unit => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        sum += number * ns;
        rest = after;
    }
    // Go's durations end there.
    if sum > 9.2e18 {
        return Err(invalid());
    }
    // A cast from float saturates.
    Ok(if negative { 0 } else { sum.round() as u64 })
}

/// A whole number, in the words of Go's `strconv.ParseInt` if it is none.
///
/// # Errors
/// When it is no number of 64 bits.
pub(super) fn whole(text: &str) -> Result<i64, String> {
    text.parse::<i64>().map_err(|error| {
        let why = match error.kind() {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                "value out of range"
            }
            _ => "invalid syntax",
        };
        format!("strconv.ParseInt: parsing {text:?}: {why}")
    })
}

/// Go's `strconv.ParseBool`.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        assert_eq!(go("1.2s"), Ok(1_200_000_000));
        assert_eq!(go("1h2m3ms4us5µs6ns"), Ok(3_720_003_009_006));
        assert_eq!(go(".5s"), Ok(500_000_000));
        assert_eq!((go("0"), go("-1s")), (Ok(0), Ok(0)));
        assert_eq!(
            go("12").unwrap_err(),
            "time: missing unit in duration \"12\""
        );
        assert_eq!(
            go("1d").unwrap_err(),
            "time: unknown unit \"d\" in duration \"1d\""
        );
        for wrong in ["", "s", "1.2.3s", ".s", "99999999999h", "-", "1s-"] {
            assert!(go(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_told_in_gos_words() {
        assert_eq!(whole("-7"), Ok(-7));
        assert_eq!(
            whole("x").unwrap_err(),
            "strconv.ParseInt: parsing \"x\": invalid syntax"
        );
        assert!(
            whole("99999999999999999999")
                .unwrap_err()
                .ends_with("out of range")
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = (go(&text), whole(&text));
        }
    }
}
