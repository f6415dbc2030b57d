//! A build in a few figures: how many steps, how many of them were there already, where the time went.

use std::time::{Duration, SystemTime};

use super::event::Outcome;
use super::format::{between, bytes, seconds};
use super::steps::{Step, Steps};
use super::text::clean;

/// So many of the longest steps are named.
const LONGEST: usize = 3;

/// Shorter steps are not worth a look.
const WORTH: Duration = Duration::from_millis(100);

/// A build in a few figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Steps that began, as spans have it: the daemon tells also of some that nothing needs in the end.
    pub(super) steps: usize,
    /// Their results were there already.
    pub(super) cached: usize,
    /// They failed by themselves.
    pub(super) failed: usize,
    /// They were stopped.
    pub(super) cancelled: usize,
    /// From the first start to the last end.
    pub(super) spent: Duration,
    /// What went to and from the daemon, and what it fetched.
    pub(super) transferred_bytes: u64,
    /// The longest steps that ran, longest first.
    pub(super) longest: Vec<(String, Duration)>,
}

impl Summary {
    /// The figures, as of `now`.
    pub(super) fn of(steps: &Steps, now: SystemTime) -> Self {
        let mut summary = Self::default();
        let mut ran: Vec<(&Step, Duration)> = Vec::new();
        let (mut first, mut last) = (None, None);
        for step in steps.iter().filter(|step| step.started()) {
            let vertex = &step.vertex;
            summary.steps += 1;
            summary.failed += usize::from(vertex.failed());
            summary.cached += usize::from(vertex.cached && vertex.error.is_none());
            summary.cancelled += usize::from(vertex.cancelled() || vertex.completed.is_none());
            let moved = step.statuses.iter().map(|status| status.current);
            let moved = moved.filter_map(|current| u64::try_from(current).ok());
            summary.transferred_bytes = moved.fold(summary.transferred_bytes, u64::saturating_add);
            if let Some((start, end)) = step.extent(now) {
                first = Some(first.map_or(start, |first: SystemTime| first.min(start)));
                last = Some(last.map_or(end, |last: SystemTime| last.max(end)));
            }
            let spent = step.duration(now);
            if !vertex.cached && spent >= WORTH {
                ran.push((step, spent));
            }
        }
        if let (Some(first), Some(last)) = (first, last) {
            summary.spent = between(first, last);
        }
        // Steps of the same length stay in the order in which they became known.
        ran.sort_by_key(|(_, spent)| std::cmp::Reverse(*spent));
        ran.truncate(LONGEST);
        let named = ran.into_iter();
        summary.longest = named
            .map(|(step, spent)| (clean(&step.vertex.name), spent))
            .collect();
        summary
    }

    /// As people read it. Of a failure only the counts: the reason is what matters then.
    pub(super) fn lines(&self, outcome: &Outcome) -> Vec<String> {
        if self.steps == 0 {
            return Vec::new();
        }
        let mut counts = match self.steps {
            1 => "1 step".to_owned(),
            steps => format!("{steps} steps"),
        };
        for (count, what) in [
            (self.cached, "cached"),
            (self.failed, "failed"),
            (self.cancelled, "canceled"),
        ] {
            if count > 0 {
                counts.push_str(&format!(", {count} {what}"));
            }
        }
        counts.push_str(&format!(", in {}", seconds(self.spent)));
        if self.transferred_bytes > 0 {
            counts.push_str(&format!(", {} transferred", bytes(self.transferred_bytes)));
        }
        let mut lines = vec![counts];
        if *outcome == Outcome::Done {
            let longest = self.longest.iter();
            lines.extend(longest.map(|(name, spent)| format!("{:>8}  {name}", seconds(*spent))));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::BuildEvent;
    use super::super::steps::testing::*;
    use super::*;

    fn summary(events: &[BuildEvent]) -> Summary {
        let mut steps = Steps::default();
        for event in events {
            steps.apply(event);
        }
        Summary::of(&steps, at(9000))
    }

    fn cached(digest: &str) -> BuildEvent {
        let BuildEvent::Vertex(vertex) = vertex(digest, digest, Some(10), Some(500)) else {
            unreachable!()
        };
        BuildEvent::Vertex(super::super::event::Vertex {
            cached: true,
            ..vertex
        })
    }

    #[test]
    fn a_good_build_names_its_longest_steps() {
        let found = summary(&[
            vertex("a", "short", Some(0), Some(50)),
            vertex("b", "long\x1b[2J", Some(100), Some(4200)),
            vertex("c", "longer", Some(100), Some(6000)),
            vertex("d", "middling", Some(100), Some(1100)),
            vertex("e", "left out", Some(100), Some(300)),
            cached("f"),
            status("a", "transferring context:", 2_130_000, 0, Some(5)),
        ]);
        insta::assert_snapshot!(found.lines(&Outcome::Done).join("\n"), @r"
        6 steps, 1 cached, in 6.0s, 2.13MB transferred
            5.9s  longer
            4.1s  long
            1.0s  middling
        ");
    }

    #[test]
    fn a_failed_one_is_only_counted() {
        let found = summary(&[
            vertex("a", "a", Some(0), Some(2000)),
            failed("b", "b", 0, 2500, "boom"),
            failed("c", "c", 0, 2600, "context canceled"),
            vertex("d", "never begun", None, None),
        ]);
        let outcome = Outcome::Failed {
            message: "boom".into(),
            sources: Vec::new(),
        };
        assert_eq!(
            found.lines(&outcome),
            ["3 steps, 1 failed, 1 canceled, in 2.6s"]
        );
    }

    #[test]
    fn of_nothing_there_is_nothing_to_say() {
        assert!(summary(&[]).lines(&Outcome::Done).is_empty());
    }
}
