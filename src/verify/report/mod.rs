//! What people and machines are told.
//!
//! Lives here: the one model of a result, and its writers. A new form is a file of its own.

mod github;
mod json;
mod junit;
mod markdown;
mod model;
mod plain;
mod sarif;
mod text;

pub use github::github;
pub use json::json;
pub use junit::junit;
pub use markdown::markdown;
pub use model::{
    CompletenessReport, Report, ResultEntry, Status, Strictness, Subject, Summary, Tool,
    TraceReport,
};
pub use sarif::sarif;
pub use text::{Style, text};
