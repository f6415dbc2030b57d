//! Sizes, durations and times as people and programs read them.

use std::time::{Duration, SystemTime};

/// Bytes in powers of ten with two decimals, as BuildKit's clients show them: `273B`, `2.13MB`.
pub fn bytes(count: impl TryInto<i64>) -> String {
    let count = count.try_into().unwrap_or(i64::MAX).max(0);
    if count < 1000 {
        return format!("{count}B");
    }
    let mut value = count as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.2}{unit}")
}

/// A duration in seconds with one decimal.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.1}s", duration.as_secs_f64())
}

/// Seconds with three figures or more: `0.098`, `12.34`, `123.4`.
pub(super) fn log_seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 10.0 => format!("{s:.3}"),
        s if s < 100.0 => format!("{s:.2}"),
        s => format!("{s:.1}"),
    }
}

/// The time from `start` to `end`; zero if the clock went backwards.
pub(super) fn between(start: SystemTime, end: SystemTime) -> Duration {
    end.duration_since(start).unwrap_or_default()
}

/// RFC 3339 in UTC with nanoseconds. Times before 1970 are 1970.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z",
        since.subsec_nanos()
    )
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
///
/// Counts from 0000-03-01, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_decimals_from_a_kilobyte_on() {
        let shown = [-5, 0, 999, 1000, 2_130_000, 999_999_999_999, i64::MAX].map(bytes);
        assert_eq!(
            shown,
            [
                "0B",
                "0B",
                "999B",
                "1.00kB",
                "2.13MB",
                "1000.00GB",
                "9.22EB"
            ]
        );
    }

    #[test]
    fn known_days_have_their_dates() {
        let date = |seconds| rfc3339(SystemTime::UNIX_EPOCH + Duration::new(seconds, 5));
        assert_eq!(date(0), "1970-01-01T00:00:00.000000005Z");
        assert_eq!(date(951_782_400), "2000-02-29T00:00:00.000000005Z");
        assert_eq!(date(4_107_542_399), "2100-02-28T23:59:59.000000005Z");
        assert_eq!(date(4_107_542_400), "2100-03-01T00:00:00.000000005Z");
        assert_eq!(date(253_402_300_799), "9999-12-31T23:59:59.000000005Z");
    }

    #[test]
    fn days_follow_each_other() {
        let mut last = (1969, 12, 31);
        for day in 0..200_000 {
            let next = civil(day);
            let new_day = next.2 == last.2 + 1 && (next.0, next.1) == (last.0, last.1);
            let new_month = next.2 == 1
                && last.2 >= 28
                && (next.1 == last.1 + 1 || (next.1, last.1) == (1, 12));
            assert!(new_day || new_month, "{last:?} {next:?}");
            last = next;
        }
    }
}
