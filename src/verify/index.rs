//! One read-only index over the spans of a trace: by id, by parent, by service, by digest.

use std::sync::OnceLock;

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use super::names;
use crate::trace::critical_path::{self, Segment, critical_path};
use crate::trace::model::{Span, SpanId};

/// Lays out the critical path below a span.
pub(super) type LayOut = fn(&[Span], SpanId) -> Vec<Segment>;

/// The spans of one trace. A span that is there several times counts once, by its first copy.
#[derive(Debug)]
pub struct Index<'a> {
    /// As they came, copies and all.
    all: &'a [Span],
    /// In order of start.
    spans: Vec<&'a Span>,
    by_id: HashMap<SpanId, &'a Span>,
    /// By the parent's id, whether the parent is there or not; in order of start.
    children: HashMap<SpanId, Vec<&'a Span>>,
    by_service: HashMap<&'a str, Vec<&'a Span>>,
    by_vertex: HashMap<&'a str, Vec<&'a Span>>,
    /// First and further copy, for each further copy.
    copies: Vec<(&'a Span, &'a Span)>,
    /// Where the critical path begins; `None`: where the trace does.
    entry: Option<SpanId>,
    lay_out: LayOut,
    /// Laid out when it is first asked for.
    path: OnceLock<Path>,
}

/// The critical path.
#[derive(Debug, Default)]
struct Path {
    segments: Vec<Segment>,
    /// The spans that it goes through, those above them, and others of the same steps.
    spans: HashSet<SpanId>,
}

impl<'a> Index<'a> {
    /// Reads the spans once.
    pub fn new(all: &'a [Span]) -> Self {
        Self::of(all, all)
    }

    /// An index over some of these spans, with the same critical path.
    pub(super) fn part(&self, members: impl IntoIterator<Item = &'a Span>) -> Self {
        let mut part = Self::of(self.all, members);
        part.set_path(self.entry, self.lay_out);
        part
    }

    fn of(all: &'a [Span], members: impl IntoIterator<Item = &'a Span>) -> Self {
        let mut by_id: HashMap<SpanId, &'a Span> = HashMap::new();
        let mut spans = Vec::new();
        let mut copies = Vec::new();
        for span in members {
            if let Some(first) = by_id.get(&span.id).copied() {
                copies.push((first, span));
            } else {
                by_id.insert(span.id, span);
                spans.push(span);
            }
        }
        spans.sort_by_key(|span| (span.start_ns, span.id));
        let mut children: HashMap<SpanId, Vec<&Span>> = HashMap::new();
        let mut by_service: HashMap<&str, Vec<&Span>> = HashMap::new();
        let mut by_vertex: HashMap<&str, Vec<&Span>> = HashMap::new();
        for span in spans.iter().copied() {
            if let Some(parent) = span.parent {
                children.entry(parent).or_default().push(span);
            }
            by_service.entry(span.service()).or_default().push(span);
            if let Some(digest) = span.text(names::VERTEX) {
                by_vertex.entry(digest).or_default().push(span);
            }
        }
        Self {
            all,
            spans,
            by_id,
            children,
            by_service,
            by_vertex,
            copies,
            entry: None,
            lay_out: critical_path,
            path: OnceLock::new(),
        }
    }

    /// Has the critical path begin at this span, as `lay_out` finds it.
    pub(super) fn set_path(&mut self, entry: Option<SpanId>, lay_out: LayOut) {
        (self.entry, self.lay_out) = (entry, lay_out);
        self.path = OnceLock::new();
    }

    /// The critical path through the run's first span, in order of time.
    pub fn path(&self) -> &[Segment] {
        &self.laid_out().segments
    }

    /// Did the run wait for this span, for one below it on the path, or for the step that it stands for?
    pub fn is_critical(&self, span: &Span) -> bool {
        self.laid_out().spans.contains(&span.id)
    }

    fn laid_out(&self) -> &Path {
        self.path.get_or_init(|| {
            let entry = self.entry.or_else(|| critical_path::entry(self.all));
            let segments = entry.map_or_else(Vec::new, |entry| (self.lay_out)(self.all, entry));
            let mut spans = HashSet::new();
            for segment in &segments {
                let mut at = Some(segment.span);
                // What is above a span that is known is known, too; also ends a circle.
                while let Some(id) = at.filter(|id| spans.insert(*id)) {
                    let above = self.get(id).and_then(|span| span.parent);
                    at = above.filter(|_| Some(id) != entry);
                }
            }
            // Our span of a step is beside the call that the daemon's spans hang under.
            let steps: HashSet<&str> = spans
                .iter()
                .filter_map(|id| self.get(*id)?.text(names::VERTEX))
                .collect();
            for digest in steps {
                spans.extend(self.of_vertex(digest).iter().map(|span| span.id));
            }
            Path { segments, spans }
        })
    }

    /// All spans, each once, in order of start.
    pub fn spans(&self) -> &[&'a Span] {
        &self.spans
    }

    /// The span of this id.
    pub fn get(&self, id: SpanId) -> Option<&'a Span> {
        self.by_id.get(&id).copied()
    }

    /// The span that this one hangs under, if it is there.
    pub fn parent(&self, span: &Span) -> Option<&'a Span> {
        span.parent.and_then(|id| self.get(id))
    }

    /// The spans that hang under this id, which need not be there, in order of start.
    pub fn children(&self, id: SpanId) -> &[&'a Span] {
        self.children.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The spans of a service, in order of start.
    pub fn of_service(&self, service: &str) -> &[&'a Span] {
        self.by_service.get(service).map_or(&[], Vec::as_slice)
    }

    /// The spans that name this vertex, in order of start.
    pub fn of_vertex(&self, digest: &str) -> &[&'a Span] {
        self.by_vertex.get(digest).map_or(&[], Vec::as_slice)
    }

    /// The names of the services, in order of the alphabet.
    pub fn services(&self) -> Vec<&'a str> {
        let mut services: Vec<&str> = self.by_service.keys().copied().collect();
        services.sort_unstable();
        services
    }

    /// The first and the further copy of each span that is there more than once.
    pub fn copies(&self) -> &[(&'a Span, &'a Span)] {
        &self.copies
    }

    /// The spans above this one, nearest first. Ends where a parent is missing, and in a circle once
    /// it is round.
    pub fn ancestors(&self, span: &Span) -> impl Iterator<Item = &'a Span> {
        let mut seen: HashSet<SpanId> = [span.id].into_iter().collect();
        std::iter::successors(self.parent(span), |above| self.parent(above))
            .take_while(move |above| seen.insert(above.id))
    }

    /// The ids below and including these, which need not be there themselves.
    pub fn below(&self, tops: impl IntoIterator<Item = SpanId>) -> HashSet<SpanId> {
        let mut found: HashSet<SpanId> = tops.into_iter().collect();
        let mut open: Vec<SpanId> = found.iter().copied().collect();
        while let Some(id) = open.pop() {
            let new = self.children(id).iter().map(|child| child.id);
            open.extend(new.filter(|child| found.insert(*child)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::testing::span;

    #[test]
    fn circles_and_missing_parents_end_every_walk() {
        let spans = [
            span(1).under(2),
            span(2).under(1),
            span(3).under(3),
            span(5).under(4),
        ]
        .map(|span| span.done());
        let index = Index::new(&spans);
        let above = |id| {
            let ids = index.ancestors(index.get(SpanId(id)).unwrap());
            ids.map(|span| span.id.0).collect::<Vec<_>>()
        };
        assert_eq!(above(1), [2]);
        assert!(above(3).is_empty());
        assert!(above(5).is_empty());
        assert_eq!(index.below([SpanId(1)]).len(), 2);
        assert_eq!(index.children(SpanId(4))[0].id, SpanId(5));
    }

    #[test]
    fn further_copies_are_kept_apart() {
        let spans = [span(1), span(1).named("other"), span(2).under(1)].map(|span| span.done());
        let index = Index::new(&spans);
        assert_eq!((index.spans().len(), index.copies().len()), (2, 1));
        assert_eq!(index.copies()[0].1.name, "other");
    }

    #[test]
    fn hundred_thousand_spans_in_a_row_need_no_stack() {
        let spans: Vec<_> = (1..=100_000)
            .map(|id| span(id).under(id - 1).done())
            .collect();
        let index = Index::new(&spans);
        assert_eq!(index.below([SpanId(1)]).len(), 100_000);
        assert_eq!(index.ancestors(&spans[99_999]).count(), 99_999);
    }
}
