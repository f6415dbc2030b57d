//! Sizes as docker reads them: a number with a unit of 1024.

/// Bytes; `None` if it is no size.
pub(super) fn bytes(text: &str) -> Option<i64> {
    let lower = text.trim().to_ascii_lowercase();
    let letters = lower.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = lower.strip_suffix(letters)?.parse().ok()?;
    let shift = match letters.trim().trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let bytes = number * 2f64.powi(shift);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked against the largest"
    )]
    (0.0..9e15).contains(&bytes).then_some(bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn units_are_of_1024() {
        for (text, size) in [
            ("0", 0),
            ("64", 64),
            ("64b", 64),
            ("1k", 1024),
            ("1.5 KB", 1536),
            ("2MiB", 2 << 20),
            ("1g", 1 << 30),
            ("1t", 1 << 40),
        ] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for text in ["", "x", "-1", "1x", "1e99"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
