//! What people and machines are told.
//!
//! Lives here: the one model of a result, and its writers. A new form is a file of its own.

mod json;
mod model;
mod text;

pub use json::json;
pub use model::{
    CompletenessReport, Report, ResultEntry, Status, Strictness, Subject, Summary, Tool,
    TraceReport,
};
pub use text::{Style, text};
