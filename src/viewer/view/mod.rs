//! What the page is told: one JSON document a run, and one with all runs.
//!
//! Lives here: the documents' shapes, and making them out of the trace model; pure, no I/O, no clock.
//! Elsewhere: serving them (`viewer::server`), drawing them (`viewer/page/*.js`).
//! Start at [`RunView::new`].

mod columns;
mod findings;
mod info;
mod run;
mod stored;
mod strings;
#[cfg(test)]
mod testing;
pub(crate) mod tree;

pub use columns::{EventRow, Flag, ResourceRow, Spans};
pub use findings::{FindingRow, Findings, SkippedRow, findings};
pub use info::{RunInfo, RunState, RunsView, Steps};
pub use run::{RunView, Segment};
pub use stored::RunList;
pub(crate) use stored::state_of;
