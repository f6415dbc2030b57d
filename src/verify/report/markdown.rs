//! The report as Markdown, for a step summary or a comment. All that comes from a trace is escaped.

use std::fmt::Write as _;

use super::model::{Report, Status};
use super::plain::plain;

/// Most rows of the table; a step summary has to be smaller than 1 MiB.
const ROWS: usize = 200;

/// The report as Markdown.
pub fn markdown(report: &Report) -> String {
    let verdict = if report.exit_code == 0 {
        "passed"
    } else {
        "failed"
    };
    let summary = &report.summary;
    let trace = &report.trace;
    let mut out = format!(
        "### Trace {verdict}\n\n`{}`: {} spans of {} services; {} passed, {} failed, {} warned, {} skipped\n",
        plain(&trace.id),
        trace.spans,
        trace.services.len(),
        summary.passed,
        summary.failed,
        summary.warned,
        summary.skipped
    );
    let told: Vec<_> = report
        .results
        .iter()
        .filter(|entry| matches!(entry.status, Status::Fail | Status::Warn))
        .collect();
    if !told.is_empty() {
        out.push_str("\n| | rule | finding | what to do |\n|---|---|---|---|\n");
    }
    for entry in told.iter().take(ROWS) {
        let level = match entry.status {
            Status::Fail => "error",
            Status::Warn | Status::Waived | Status::Skip | Status::Pass => "warn",
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "| {level} | {} {} | {} | {} |",
            escaped(&entry.id),
            escaped(&entry.name),
            escaped(&entry.message),
            escaped(entry.help.as_deref().unwrap_or_default())
        );
    }
    if told.len() > ROWS {
        let _ = writeln!(out, "\nand {} more", told.len() - ROWS);
    }
    out
}

/// Text of which Markdown and HTML make nothing.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.push_str("&#64;"),
            ':' => out.push_str("&#58;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '!' | '\\' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn names_make_neither_markup_nor_mentions() {
        assert_eq!(
            escaped("a|b `c` <img src=x> @all\n[x](http://y)"),
            "a\\|b \\`c\\` &lt;img src=x&gt; &#64;all \\[x\\]\\(http&#58;//y\\)"
        );
    }
}
