//! The report for machines.

use super::model::Report;

/// The report as JSON, with a line end.
///
/// # Errors
/// Never, as long as every key of the report is text.
pub fn json(report: &Report) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}
