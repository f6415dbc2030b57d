//! The spans in the order of the waterfall: each parent before its children, siblings by start.
//!
//! Ids and parents come from other programs: a parent may be missing, a span may be there twice, and
//! parents may go round in a circle. Nothing is left out: each span is in exactly one row, and each
//! missing parent gets a row of its own.

use std::collections::{BTreeMap, HashMap};

use crate::trace::model::{Span, SpanId};

/// One row of the waterfall.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row<'a> {
    pub(crate) what: What<'a>,
    /// The row that it hangs under.
    pub(crate) parent: Option<usize>,
    pub(crate) depth: u32,
    /// One past the last row below it.
    pub(crate) end: usize,
}

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What<'a> {
    Span {
        span: &'a Span,
        /// An earlier row has the same id.
        again: bool,
        /// Its parents go round in a circle, which was cut here.
        cut: bool,
    },
    /// A parent that is not in the trace; from its children's first start to their last end.
    Missing {
        id: SpanId,
        start_ns: u64,
        end_ns: u64,
    },
}

/// Where a span hangs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Under {
    Span(usize),
    Missing(SpanId),
}

pub(crate) fn rows(spans: &[Span]) -> Vec<Row<'_>> {
    let mut first: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
    for (index, span) in spans.iter().enumerate() {
        first.entry(span.id).or_insert(index);
    }
    let mut children: HashMap<Under, Vec<usize>> = HashMap::new();
    let mut missing: BTreeMap<SpanId, (u64, u64)> = BTreeMap::new();
    let mut tops: Vec<(u64, What<'_>, Under)> = Vec::new();
    let as_row = |index: usize, span| What::Span {
        span,
        again: first.get(&span.id) != Some(&index),
        cut: false,
    };
    for (index, span) in spans.iter().enumerate() {
        let under = match span.parent.map(|parent| (parent, first.get(&parent))) {
            None => {
                tops.push((span.start_ns, as_row(index, span), Under::Span(index)));
                continue;
            }
            Some((_, Some(parent))) => Under::Span(*parent),
            Some((parent, None)) => {
                let times = missing.entry(parent).or_insert((u64::MAX, 0));
                *times = (times.0.min(span.start_ns), times.1.max(span.end_ns));
                Under::Missing(parent)
            }
        };
        children.entry(under).or_default().push(index);
    }
    for (id, (start_ns, end_ns)) in missing {
        let what = What::Missing {
            id,
            start_ns,
            end_ns,
        };
        tops.push((start_ns, what, Under::Missing(id)));
    }
    let by_start = |index: &usize| spans.get(*index).map(|span| (span.start_ns, span.id));
    for siblings in children.values_mut() {
        siblings.sort_by_key(by_start);
    }
    tops.sort_by_key(|(start, _, _)| *start);
    let mut walk = Walk {
        spans,
        children,
        placed: vec![false; spans.len()],
        rows: Vec::with_capacity(spans.len() + tops.len()),
    };
    for (_, what, under) in tops {
        walk.down(what, under, &as_row);
    }
    // What is left hangs in circles: cut each at its earliest span.
    let mut left: Vec<usize> = (0..spans.len())
        .filter(|index| walk.placed.get(*index) == Some(&false))
        .collect();
    left.sort_by_key(by_start);
    for index in left {
        if let (Some(false), Some(span)) = (walk.placed.get(index), spans.get(index)) {
            let again = first.get(&span.id) != Some(&index);
            let what = What::Span {
                span,
                again,
                cut: true,
            };
            walk.down(what, Under::Span(index), &as_row);
        }
    }
    close(&mut walk.rows);
    walk.rows
}

/// Gives each row the end of what hangs under it.
fn close(rows: &mut [Row<'_>]) {
    // Children follow their parent: going backwards, each row is complete when it is reached.
    for place in (0..rows.len()).rev() {
        let Some((parent, end)) = rows.get(place).map(|row| (row.parent, row.end)) else {
            continue;
        };
        if let Some(above) = parent.and_then(|parent| rows.get_mut(parent)) {
            above.end = above.end.max(end);
        }
    }
}

struct Walk<'a> {
    spans: &'a [Span],
    children: HashMap<Under, Vec<usize>>,
    placed: Vec<bool>,
    rows: Vec<Row<'a>>,
}

impl<'a> Walk<'a> {
    /// Places a row and all that hangs under it; depth is not bounded, so neither is this by the stack.
    fn down(
        &mut self,
        what: What<'a>,
        under: Under,
        as_row: &impl Fn(usize, &'a Span) -> What<'a>,
    ) {
        let mut stack = vec![(what, under, None, 0_u32)];
        while let Some((what, under, parent, depth)) = stack.pop() {
            if let Under::Span(index) = under {
                match self.placed.get_mut(index) {
                    Some(placed) if !*placed => *placed = true,
                    _ => continue,
                }
            }
            let place = self.rows.len();
            self.rows.push(Row {
                what,
                parent,
                depth,
                end: place + 1,
            });
            let below = self.children.get(&under).map_or(&[][..], Vec::as_slice);
            for index in below.iter().rev() {
                if let Some(span) = self.spans.get(*index) {
                    let child = Under::Span(*index);
                    stack.push((as_row(*index, span), child, Some(place), depth + 1));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::view::testing::{Built, span};

    /// Each row as its depth and name.
    fn drawn(built: impl IntoIterator<Item = Built>) -> Vec<String> {
        let spans: Vec<Span> = built.into_iter().map(Built::done).collect();
        let rows = rows(&spans);
        let name = |row: &Row<'_>| match row.what {
            What::Span { span, again, cut } => {
                let marks = [(again, " again"), (cut, " cut")];
                let marks = marks.iter().filter(|(set, _)| *set).map(|(_, mark)| *mark);
                format!("{} {}{}", row.depth, span.id.0, marks.collect::<String>())
            }
            What::Missing { id, .. } => format!("{} missing {}", row.depth, id.0),
        };
        rows.iter().map(name).collect()
    }

    #[test]
    fn parents_come_before_their_children_and_siblings_by_start() {
        let spans = [
            span(4).under(1).at(3, 4),
            span(3).under(2).at(1, 2),
            span(2).under(1).at(1, 2),
            span(1).at(0, 9),
        ];
        assert_eq!(drawn(spans.clone()), ["0 1", "1 2", "2 3", "1 4"]);
        let spans: Vec<Span> = spans.into_iter().map(Built::done).collect();
        let ends: Vec<usize> = rows(&spans).iter().map(|row| row.end).collect();
        assert_eq!(ends, [4, 3, 3, 4]);
    }

    #[test]
    fn missing_parent_is_one_row_with_all_its_children() {
        let spans = [span(1), span(2).under(9), span(3).under(9)];
        assert_eq!(drawn(spans), ["0 1", "0 missing 9", "1 2", "1 3"]);
    }

    #[test]
    fn circles_and_copies_are_each_in_one_row() {
        let circle = [span(1).under(2), span(2).under(1), span(3).under(3)];
        assert_eq!(drawn(circle), ["0 1 cut", "1 2", "0 3 cut"]);
        let copies = [span(1), span(2).under(1), span(1)];
        assert_eq!(drawn(copies), ["0 1", "1 2", "0 1 again"]);
    }
}
