//! Which of the daemon's spans are of this run, where other runs are in the same trace.

use std::collections::{HashMap, HashSet};

use crate::trace::model::{Span, SpanId};

/// Those of the spans that hang below `ours`, through each other. The daemon keeps its spans by their trace, so
/// its record of a build has those of builds of the same job that were before it, too.
pub(super) fn below(ours: &HashSet<SpanId>, spans: Vec<Span>) -> Vec<Span> {
    let parents: HashMap<SpanId, Option<SpanId>> =
        spans.iter().map(|span| (span.id, span.parent)).collect();
    let mut known: HashMap<SpanId, bool> = HashMap::new();
    let mut is_below = |span: &Span| {
        let (mut way, mut at) = (HashSet::new(), Some(span.id));
        let mut found = false;
        while let Some(id) = at {
            if let Some(known) = known.get(&id) {
                found = *known;
                break;
            }
            // A circle leads nowhere.
            if !way.insert(id) {
                break;
            }
            at = parents.get(&id).copied().flatten();
            if at.is_some_and(|parent| ours.contains(&parent)) {
                found = true;
                break;
            }
        }
        known.extend(way.into_iter().map(|id| (id, found)));
        found
    };
    spans.into_iter().filter(|span| is_below(span)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::trace::model::{Kind, Resource, Status, TraceId};

    fn span(id: u64, parent: u64) -> Span {
        Span {
            trace: TraceId(1),
            id: SpanId(id),
            parent: Some(SpanId(parent)),
            name: String::new(),
            kind: Kind::Internal,
            start_ns: 0,
            end_ns: 0,
            status: Status::Unset,
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            resource: Arc::new(Resource {
                service: "buildkitd".into(),
                attributes: Vec::new(),
            }),
        }
    }

    #[test]
    fn spans_of_another_run_a_circle_and_what_hangs_in_the_air_are_left_out() {
        let ours = HashSet::from([SpanId(1), SpanId(2)]);
        let spans = [
            (12, 11),
            (11, 10),
            (10, 1),
            (20, 2),
            (31, 30),
            (30, 3),
            (41, 42),
            (42, 41),
        ];
        let spans = spans.map(|(id, parent)| span(id, parent)).to_vec();
        let left = below(&ours, spans);
        let left: Vec<_> = left.iter().map(|span| span.id.0).collect();
        assert_eq!(left, [12, 11, 10, 20]);
    }
}
