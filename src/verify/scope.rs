//! Which part of a trace is the run's.
//!
//! Without a parent elsewhere it is the whole trace. With one (`TRACEPARENT`) the trace also holds the
//! spans of other jobs: then it is what hangs under our entry, and under any other span that we say we
//! have exported, so that a part that was cut off is still ours.

use std::cell::RefCell;
use std::collections::HashMap;

use foldhash::HashSet;

use super::index::Index;
use super::names;
use super::profile::Profile;
use super::target::Target;
use crate::trace::model::{Kind, Span, SpanId};

/// Which part of a trace is the run's.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The run's first span, if it is known; it need not be there.
    pub entry: Option<SpanId>,
    /// `None`: the whole trace.
    members: Option<HashSet<SpanId>>,
}

impl Scope {
    /// Finds the run's part.
    pub fn new(target: &Target, index: &Index<'_>) -> Self {
        let entry = match &target.run {
            Some(run) => Some(run.root),
            None => entry_without_record(target, index),
        };
        let entry_is_below = entry
            .and_then(|id| index.get(id))
            .is_some_and(|span| span.parent.is_some());
        let whole = target.remote_parent.is_none() && (target.run.is_some() || !entry_is_below);
        let members = (!whole).then(|| {
            let exported = target.run.iter().flat_map(|run| run.spans.iter().copied());
            let lost = cut_off(target, index);
            index.below(entry.into_iter().chain(exported).chain(lost))
        });
        Self { entry, members }
    }

    /// Is the span a part of it?
    pub fn contains(&self, span: &Span) -> bool {
        self.members
            .as_ref()
            .is_none_or(|members| members.contains(&span.id))
    }
}

/// Spans of another client's build under parents that are not there. It left no record that names them, and
/// no other build is likely to have lost them.
fn cut_off(target: &Target, index: &Index<'_>) -> Vec<SpanId> {
    if target.profile == Profile::Dagger {
        return Vec::new();
    }
    let services = [target.service.as_str(), names::DAEMON];
    let spans = services.iter().flat_map(|name| index.of_service(name));
    let is_lost =
        |parent: SpanId| Some(parent) != target.remote_parent && index.get(parent).is_none();
    spans
        .filter(|span| span.parent.is_some_and(is_lost))
        .map(|span| span.id)
        .collect()
}

/// The entry of a run that left no record: the first of our topmost spans.
fn entry_without_record(target: &Target, index: &Index<'_>) -> Option<SpanId> {
    let ours = index.of_service(&target.service);
    let first = |fits: &dyn Fn(&Span) -> bool| ours.iter().find(|span| fits(span)).map(|s| s.id);
    // What is known to be below one of ours, or not; where ways up meet they are walked once.
    let below = RefCell::new(HashMap::new());
    let top = |span: &Span| {
        let mut below = below.borrow_mut();
        let mut walked = Vec::new();
        let is_below = index.ancestors(span).find_map(|above| {
            if above.service() == target.service {
                return Some(true);
            }
            walked.push(above.id);
            below.get(&above.id).copied()
        });
        let is_below = is_below.unwrap_or(false);
        below.extend(walked.into_iter().map(|id| (id, is_below)));
        // A callback hangs under the daemon, and is no entry even if the daemon's span is missing.
        span.kind != Kind::Server && !is_below
    };
    match target.remote_parent {
        Some(remote) => first(&|span| span.parent == Some(remote)),
        None => first(&|span| span.parent.is_none()).or_else(|| first(&top)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::model::TraceId;
    use crate::verify::testing::span;

    fn target(remote_parent: Option<u64>) -> Target {
        Target::of_trace(TraceId(1), None, remote_parent.map(SpanId))
    }

    #[test]
    fn under_a_remote_parent_other_jobs_are_left_out() {
        let spans = [
            span(1).of("ci"),
            span(2).of("ci").under(1),
            span(3).under(1),
            span(4).under(3).of("buildkitd"),
        ]
        .map(|span| span.done());
        let index = Index::new(&spans);
        for target in [target(Some(1)), target(None)] {
            let scope = Scope::new(&target, &index);
            assert_eq!(scope.entry, Some(SpanId(3)));
            let members: Vec<_> = spans.iter().map(|span| scope.contains(span)).collect();
            assert_eq!(members, [false, false, true, true]);
        }
    }

    #[test]
    fn without_a_span_of_ours_there_is_no_entry() {
        let spans = [span(1).of("ci").done()];
        let scope = Scope::new(&target(None), &Index::new(&spans));
        assert_eq!(scope.entry, None);
        assert!(scope.contains(&spans[0]));
    }
}
