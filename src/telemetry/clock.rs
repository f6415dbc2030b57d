//! The time of a run's spans.
//!
//! One clock for all of them: what is within a span is within it by its times, too. Two readings of the wall
//! clock would not do, for it may be set between them; neither would a wall clock for each start and a
//! monotonic one for each length, for a thread may lose its core between the two.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::trace::ns;

/// How far the wall clock may be ahead before it is followed: it was set, or the machine has slept.
const AHEAD: Duration = Duration::from_millis(100);

/// Begins at the wall clock's time and never goes back.
#[derive(Debug)]
pub(super) struct Clock {
    began: Instant,
    /// What the monotonic clock lacks to be the wall clock, in nanoseconds.
    offset_ns: AtomicU64,
}

impl Clock {
    /// Begins now.
    pub(super) fn start() -> Self {
        Self {
            began: Instant::now(),
            offset_ns: AtomicU64::new(ns::now()),
        }
    }

    /// Nanoseconds since the epoch.
    pub(super) fn now_ns(&self) -> u64 {
        // In this order: a core that is lost between the two must not look like a wall clock that is ahead.
        let wall_ns = ns::now();
        self.read(ns::of_length(self.began.elapsed()), wall_ns)
    }

    /// The time when the monotonic clock is at `elapsed_ns` and the wall clock at `wall_ns`.
    fn read(&self, elapsed_ns: u64, wall_ns: u64) -> u64 {
        let needed = wall_ns.saturating_sub(elapsed_ns);
        let ahead = ns::of_length(AHEAD);
        let followed = |offset: u64| (needed > offset.saturating_add(ahead)).then_some(needed);
        let before = (self.offset_ns).fetch_update(Ordering::AcqRel, Ordering::Acquire, followed);
        let offset = before.map_or_else(|offset| offset, |_| needed);
        offset.saturating_add(elapsed_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_followed_ahead_but_not_back() {
        let clock = Clock {
            began: Instant::now(),
            offset_ns: AtomicU64::new(1_000_000_000),
        };
        let second = 1_000_000_000;
        assert_eq!(clock.read(5, second + 900), second + 5);
        assert_eq!(clock.read(10, 20 * second), 20 * second);
        assert_eq!(clock.read(20, 2 * second), 20 * second + 10);
        assert_eq!(clock.read(second, 21 * second), 21 * second - 10);
    }
}
