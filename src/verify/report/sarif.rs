//! The report as SARIF 2.1.0 (OASIS), for code scanning.

use serde_json::{Value, json};

use super::model::{Report, Status};
use super::plain::{detail, plain};
use crate::verify::rules::RULES;

/// The report as SARIF, with a line end.
///
/// # Errors
/// Never, as long as every key of the report is text.
pub fn sarif(report: &Report) -> Result<String, serde_json::Error> {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "name": rule.name,
                "shortDescription": {"text": rule.proves},
                "fullDescription": {"text": rule.fails},
                "help": {"text": rule.mend},
            })
        })
        .collect();
    let results: Vec<Value> = report
        .results
        .iter()
        .filter_map(|entry| {
            let level = match entry.status {
                Status::Fail => "error",
                Status::Warn => "warning",
                Status::Pass | Status::Skip | Status::Waived => return None,
            };
            let text = format!("{}\n{}", plain(&entry.message), detail(entry));
            let place = entry.location.as_deref().and_then(place);
            Some(json!({
                "ruleId": entry.id,
                "level": level,
                "message": {"text": text},
                "locations": place.into_iter().collect::<Vec<_>>(),
            }))
        })
        .collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": report.tool.name,
                "version": report.tool.version,
                "rules": rules,
            }},
            "properties": {"trace": report.trace.id},
            "results": results,
        }],
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// `FILE:LINE:COLUMN` as SARIF has it.
fn place(location: &str) -> Option<Value> {
    let mut parts = location.rsplitn(3, ':');
    let column: u32 = parts.next()?.parse().ok()?;
    let line: u32 = parts.next()?.parse().ok()?;
    Some(json!({"physicalLocation": {
        "artifactLocation": {"uri": plain(parts.next()?)},
        "region": {"startLine": line, "startColumn": column},
    }}))
}
