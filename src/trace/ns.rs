//! Nanoseconds since the epoch, as spans and the store have them.

use std::time::{Duration, SystemTime};

/// A time in nanoseconds since the epoch; 0 before it, the most that fits after the year 2554.
pub fn of(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    of_length(since)
}

/// A length of time in nanoseconds.
pub fn of_length(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// Now.
pub fn now() -> u64 {
    of(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_are_the_epoch() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        let after = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_500);
        assert_eq!((of(before), of(after)), (0, 1_500));
        assert_eq!(of_length(Duration::MAX), u64::MAX);
    }
}
