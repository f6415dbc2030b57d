//! A claim: which process is sending spans that wait, so that no other does, and whether that process
//! is still there.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::process;

/// A claim of another machine or container that is older than this was left behind, in nanoseconds.
const FOREIGN_NS: u64 = 600_000_000_000;

/// What tells the claims of this process apart.
static MADE: AtomicU64 = AtomicU64::new(0);

/// Says who sends spans that wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim(String);

/// Claims of pushers begin so: others wait for those to end.
pub(super) const PUSH: &str = "push ";

impl Claim {
    /// Of a run for its own spans, while it goes on.
    pub fn run() -> Self {
        Self::new("run ")
    }

    /// Of one who sends what had waited.
    pub fn push() -> Self {
        Self::new(PUSH)
    }

    fn new(what: &str) -> Self {
        let pid = std::process::id();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let (identity, space) = (process::identity(pid), process::namespace());
        Self(format!("{what}{pid} {space} {identity} {number}"))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Was a claim left behind by a process that is gone?
pub(super) fn is_stale(claim: &str, claimed_ns: u64, now_ns: u64) -> bool {
    let mut words = claim.split(' ').skip(1);
    let pid = words.next().and_then(|pid| pid.parse().ok());
    let (Some(pid), Some(space), Some(identity)) = (pid, words.next(), words.next()) else {
        return true;
    };
    // Where its processes cannot be seen from here, time must tell.
    let here = space == process::namespace() && process::is_of_this_boot(identity);
    if here {
        process::identity(pid) != identity
    } else {
        claimed_ns < now_ns.saturating_sub(FOREIGN_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_lasts_as_long_as_its_process() {
        let own = Claim::push();
        assert_ne!(own, Claim::push());
        assert!(!is_stale(own.as_str(), 0, u64::MAX));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        // With its blanks: the number may be in another word, too.
        let ours = format!(" {} ", std::process::id());
        let theirs = own.as_str().replace(&ours, &format!(" {} ", child.id()));
        child.wait().unwrap();
        assert!(is_stale(&theirs, 0, 1));
        let elsewhere = own
            .as_str()
            .replace(&process::namespace(), "pid:[elsewhere]");
        assert!(!is_stale(&elsewhere, 5, 6));
        assert!(is_stale(&elsewhere, 5, 5 + FOREIGN_NS + 1));
        assert!(is_stale("what", 0, 1));
    }
}
