//! The critical path: for each moment of a run the one span that it waited for, after Uber's CRISP.
//!
//! Lives here: the path by time order. It believes that what ended before something began was waited
//! for; edges that the build knows of, but the trace does not hold, are not used.
//! Start at [`critical_path`].

use std::cmp::Reverse;

use foldhash::{HashMap, HashMapExt as _, HashSet};

use super::model::{Span, SpanId};

/// A part of the path: in it the run waited for this span itself, not for one below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The span.
    pub span: SpanId,
    /// Start, in nanoseconds since the epoch.
    pub start_ns: u64,
    /// End, in nanoseconds since the epoch, after the start.
    pub end_ns: u64,
}

/// Rounding in one process, in nanoseconds: one that ends so little later ended at the same time.
const TOLERANCE_NS: u64 = 2_000;

/// Streams that are open as long as what they carry: nobody waits for them.
const STREAMS: [&str; 2] = [
    "moby.buildkit.v1.Control/Session",
    "moby.buildkit.v1.Control/Status",
];

/// The mark of a helper process that is open as long as the connection that it carries.
const CARRIES: &str = "dagger.carries";

/// The build that actions share is open as long as they are made in it, and they don't hang under it: what
/// it does itself, at its end, counts as its parent's.
const SHARED: (&str, &str) = ("solve", "dagger.actions");

/// The calls within it that are as long.
const CALL: &str = "moby.buildkit.v1.Control/Solve";

/// Carriers that hang under each other, at most: the build, our call of it, the daemon's side of the call.
const CARRIERS_DEEP: usize = 3;

/// A span whose part of the path is being laid out, backwards from its end.
struct Frame {
    index: usize,
    /// The part that is to be covered begins here.
    lo: u64,
    /// What is left to be covered ends here.
    cur: u64,
    hi: u64,
    /// Its children, the last to end first, and how many were looked at.
    children: Vec<usize>,
    next: usize,
}

/// The path through `root`, in order of time: covers it exactly, without overlaps.
///
/// Empty if there is no such span, or it took no time. Siblings with one id, and parents that go round
/// in a circle, do no harm: each span is looked at once.
pub fn critical_path(spans: &[Span], root: SpanId) -> Vec<Segment> {
    let carriers = carriers(spans, root);
    let mut children: HashMap<SpanId, Vec<usize>> = HashMap::new();
    for (index, span) in spans.iter().enumerate() {
        let carries = STREAMS.contains(&span.name.as_str())
            || span.attribute(CARRIES).is_some()
            || carriers.contains_key(&span.id);
        let Some(mut parent) = span.parent.filter(|_| !carries) else {
            continue;
        };
        // As many as hang under each other; one that goes round in a circle is left where it is.
        for _ in 0..CARRIERS_DEEP {
            let Some(above) = carriers.get(&parent) else {
                break;
            };
            parent = *above;
        }
        children.entry(parent).or_default().push(index);
    }
    let Some((index, top)) = spans.iter().enumerate().find(|(_, span)| span.id == root) else {
        return Vec::new();
    };
    let mut seen = vec![false; spans.len()];
    let mut open = |index: usize, lo: u64, hi: u64| {
        let fresh = seen
            .get_mut(index)
            .filter(|seen| !**seen)
            .map(|seen| *seen = true);
        let mut below = match (fresh, spans.get(index)) {
            // Taken out: a second span with the same id has no children of its own.
            (Some(()), Some(span)) => children.remove(&span.id).unwrap_or_default(),
            _ => return None,
        };
        below.sort_by_key(|child| {
            Reverse(
                spans
                    .get(*child)
                    .map(|span| (span.end_ns, span.start_ns, span.id)),
            )
        });
        Some(Frame {
            index,
            lo,
            cur: hi,
            hi,
            children: below,
            next: 0,
        })
    };
    let mut path = Vec::new();
    let mut stack: Vec<Frame> = open(index, top.start_ns, top.end_ns.max(top.start_ns))
        .into_iter()
        .collect();
    while let Some(frame) = stack.last_mut() {
        let id = spans.get(frame.index).map_or(root, |span| span.id);
        let child = frame.children.get(frame.next).copied();
        frame.next += 1;
        let (Some(child), true) = (child, frame.cur > frame.lo) else {
            emit(&mut path, id, frame.lo, frame.cur);
            stack.pop();
            continue;
        };
        let Some(span) = spans.get(child) else {
            continue;
        };
        // It ran beside a later one that was taken already.
        if span.end_ns > frame.cur.saturating_add(TOLERANCE_NS) && frame.cur < frame.hi {
            continue;
        }
        let (start, end) = (span.start_ns.max(frame.lo), span.end_ns.min(frame.cur));
        if end <= start {
            continue;
        }
        let Some(below) = open(child, start, end) else {
            continue;
        };
        emit(&mut path, id, end, frame.cur);
        frame.cur = start;
        stack.push(below);
    }
    path.reverse();
    path
}

/// Builds that actions share, and the calls of them, with their parents.
fn carriers(spans: &[Span], root: SpanId) -> HashMap<SpanId, SpanId> {
    let mut carriers = HashMap::new();
    let (name, mark) = SHARED;
    let shared = |span: &&Span| span.name == name && span.attribute(mark).is_some();
    for span in spans.iter().filter(shared) {
        carriers.extend(span.parent.map(|parent| (span.id, parent)));
    }
    if carriers.is_empty() {
        return carriers;
    }
    // Ours, then the daemon's below it.
    for _ in 0..2 {
        let calls = spans.iter().filter(|span| span.name == CALL);
        let more: Vec<_> = calls
            .filter_map(|span| Some((span.id, span.parent?)))
            .filter(|(_, parent)| carriers.contains_key(parent))
            .collect();
        carriers.extend(more);
    }
    carriers.remove(&root);
    carriers
}

fn emit(path: &mut Vec<Segment>, span: SpanId, start_ns: u64, end_ns: u64) {
    if end_ns > start_ns {
        path.push(Segment {
            span,
            start_ns,
            end_ns,
        });
    }
}

/// The span that a trace begins with: of those without a parent in it, the longest.
pub fn entry(spans: &[Span]) -> Option<SpanId> {
    let ids: HashSet<_> = spans.iter().map(|span| span.id).collect();
    spans
        .iter()
        .filter(|span| span.parent.is_none_or(|parent| !ids.contains(&parent)))
        .max_by_key(|span| {
            let length = span.end_ns.saturating_sub(span.start_ns);
            (span.parent.is_none(), length, Reverse(span.id))
        })
        .map(|span| span.id)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::trace::model::{Kind, Resource, Status, TraceId, Value};

    pub(crate) fn span(id: u64, parent: u64, start_us: u64, end_us: u64) -> Span {
        Span {
            trace: TraceId(1),
            id: SpanId(id),
            parent: (parent > 0).then_some(SpanId(parent)),
            name: format!("s{id}"),
            kind: Kind::Internal,
            start_ns: start_us * 1_000,
            end_ns: end_us * 1_000,
            status: Status::Unset,
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            resource: Arc::new(Resource::default()),
        }
    }

    fn drawn(spans: &[Span]) -> Vec<(u64, u64, u64)> {
        critical_path(spans, SpanId(1))
            .iter()
            .map(|part| (part.span.0, part.start_ns / 1_000, part.end_ns / 1_000))
            .collect()
    }

    #[test]
    fn children_one_after_another_are_all_on_it() {
        let spans = [span(1, 0, 0, 100), span(2, 1, 10, 40), span(3, 1, 40, 90)];
        assert_eq!(
            drawn(&spans),
            [(1, 0, 10), (2, 10, 40), (3, 40, 90), (1, 90, 100)]
        );
    }

    #[test]
    fn a_build_that_actions_share_hides_none_of_them() {
        let mut shared = span(2, 1, 5, 90);
        shared.name = "solve".into();
        shared.attributes = vec![("dagger.actions".into(), Value::Int(2))];
        let mut ours = span(3, 2, 5, 90);
        let mut theirs = span(4, 3, 6, 90);
        (ours.name, theirs.name) = (CALL.into(), CALL.into());
        let (one, two) = (span(5, 1, 10, 40), span(6, 1, 40, 70));
        let exporting = span(7, 4, 70, 90);
        let spans = [
            span(1, 0, 0, 100),
            shared,
            ours,
            theirs,
            one,
            two,
            exporting,
        ];
        assert_eq!(
            drawn(&spans),
            [
                (1, 0, 10),
                (5, 10, 40),
                (6, 40, 70),
                (7, 70, 90),
                (1, 90, 100)
            ]
        );
    }

    #[test]
    fn what_carries_the_connection_is_not_on_it() {
        let mut helper = span(3, 1, 0, 100);
        helper.attributes = vec![(CARRIES.into(), Value::Bool(true))];
        let spans = [span(1, 0, 0, 100), span(2, 1, 10, 90), helper];
        assert_eq!(drawn(&spans), [(1, 0, 10), (2, 10, 90), (1, 90, 100)]);
    }

    #[test]
    fn of_children_side_by_side_the_last_and_what_came_before_it_are_on_it() {
        let spans = [
            span(1, 0, 0, 100),
            span(2, 1, 0, 30),
            span(3, 1, 30, 100),
            span(4, 1, 0, 60),
        ];
        assert_eq!(drawn(&spans), [(2, 0, 30), (3, 30, 100)]);
    }

    #[test]
    fn what_outlives_its_parent_or_comes_after_it_is_cut() {
        let spans = [span(1, 0, 10, 50), span(2, 1, 0, 80), span(3, 1, 60, 70)];
        assert_eq!(drawn(&spans), [(2, 10, 50)]);
    }

    #[test]
    fn circles_and_depth_do_no_harm() {
        let circle = [span(1, 2, 0, 10), span(2, 1, 2, 8)];
        assert_eq!(drawn(&circle), [(1, 0, 2), (2, 2, 8), (1, 8, 10)]);
        let deep: Vec<_> = (1..=100_000).map(|id| span(id, id - 1, 0, 10)).collect();
        assert_eq!(drawn(&deep), [(100_000, 0, 10)]);
    }

    pub(crate) fn any_trace() -> impl Strategy<Value = Vec<Span>> {
        prop::collection::vec((1_u64..12, 0_u64..12, 0_u64..60, 0_u64..60), 1..24).prop_map(
            |parts| {
                parts
                    .into_iter()
                    .map(|(id, parent, start, length)| span(id, parent, start, start + length))
                    .collect()
            },
        )
    }

    proptest! {
        #[test]
        fn it_covers_the_root_exactly(spans in any_trace()) {
            let Some(root) = entry(&spans) else { return Ok(()); };
            let top = spans.iter().find(|span| span.id == root).unwrap();
            let path = critical_path(&spans, root);
            let mut at = top.start_ns;
            for part in &path {
                prop_assert_eq!(part.start_ns, at);
                prop_assert!(part.end_ns > part.start_ns);
                at = part.end_ns;
                // Ids may repeat in what others send: one of them holds the part.
                let inside = spans.iter().any(|span| {
                    span.id == part.span
                        && span.start_ns <= part.start_ns
                        && part.end_ns <= span.end_ns
                });
                prop_assert!(inside);
            }
            prop_assert_eq!(at, top.end_ns);
        }
    }
}
