//! The document of one run.

use serde::Serialize;

use super::columns::{ResourceRow, Spans};
use super::findings::Findings;
use super::info::{RunInfo, RunState};
use super::strings::Strings;
use crate::trace::model::{Span, SpanId};

/// The answer of `GET /api/dagger/runs/{trace}`, and what a single-file page holds.
#[derive(Debug, Serialize)]
pub struct RunView {
    /// Version of this shape; 1.
    pub schema: u32,
    /// What is known of the run without its spans.
    pub run: RunInfo,
    /// The first span's start: microseconds since the epoch. All times count from here.
    pub zero_us: u64,
    /// From there to the last span's end, in microseconds.
    pub duration_us: u64,
    /// All texts; the rest has places in it.
    pub strings: Vec<String>,
    /// Who made the spans.
    pub resources: Vec<ResourceRow>,
    /// The rows of the waterfall.
    pub spans: Spans,
    /// The critical path in order of time: row, start and end in microseconds after zero.
    pub critical: Vec<[u64; 3]>,
    /// What `verify` found.
    pub findings: Findings,
}

/// A piece of the critical path: the span, its start and its end in nanoseconds since the epoch.
pub type Segment = (SpanId, u64, u64);

impl RunView {
    /// Puts the document together. `remote_parent` is the span of the calling program, if there is
    /// one; `critical` may be empty.
    pub fn new(
        run: RunInfo,
        spans: &[Span],
        remote_parent: Option<SpanId>,
        critical: &[Segment],
        findings: Findings,
    ) -> Self {
        let zero_ns = spans.iter().map(|span| span.start_ns).min().unwrap_or(0);
        let end_ns = spans.iter().map(|span| span.end_ns).max().unwrap_or(0);
        let mut strings = Strings::default();
        let running = run.state == RunState::Running;
        let (columns, resources) = Spans::new(spans, zero_ns, remote_parent, running, &mut strings);
        let mut places = std::collections::HashMap::new();
        for (place, id) in (0_u64..).zip(&columns.id) {
            places.entry(id.as_str()).or_insert(place);
        }
        let micros = |ns: u64| ns.saturating_sub(zero_ns) / 1_000;
        let critical = critical
            .iter()
            .filter_map(|(span, start_ns, end_ns)| {
                let place = places.get(span.to_string().as_str())?;
                Some([*place, micros(*start_ns), micros(*end_ns)])
            })
            .collect();
        Self {
            schema: 1,
            run,
            zero_us: zero_ns / 1_000,
            duration_us: micros(end_ns),
            strings: strings.into_texts(),
            resources,
            spans: columns,
            critical,
            findings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::view::testing::{Built, span};
    use crate::viewer::view::{Flag, RunState, findings};

    fn view(built: impl IntoIterator<Item = Built>) -> RunView {
        let spans: Vec<Span> = built.into_iter().map(Built::done).collect();
        let target = crate::verify::Target::of_trace(crate::trace::model::TraceId(1), None, None);
        let found = findings(&target, &spans);
        RunView::new(RunInfo::of_spans(&spans), &spans, None, &[], found)
    }

    #[test]
    fn every_column_has_an_entry_a_row() {
        let view = view([span(1), span(2).under(7)]);
        let json = serde_json::to_value(&view).unwrap();
        for (name, column) in json["spans"].as_object().unwrap() {
            if let Some(column) = column.as_array() {
                assert_eq!(column.len(), 3, "{name}");
            }
        }
        assert_eq!(view.spans.flags[1], Flag::Missing as u16);
    }

    #[test]
    fn self_time_is_what_no_child_covers() {
        let view = view([
            span(1).at(0, 10),
            span(2).under(1).at(1, 4),
            span(3).under(1).at(3, 5),
            span(4).under(1).at(9, 12),
        ]);
        assert_eq!(view.spans.self_us[0], view.spans.dur[0] / 10 * 5);
    }

    #[test]
    fn findings_name_the_spans_they_are_about() {
        let view = view([span(1), span(2).under(7)]);
        let orphan = view.findings.found.iter().find(|row| row.rule == "T003");
        assert_eq!(orphan.unwrap().spans, ["0000000000000002"]);
        assert_eq!(view.run.state, RunState::Done);
    }
}
