//! The report for people: findings, the most severe last and so next to the prompt, then one line.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::model::{Report, ResultEntry, Status};
use crate::verify::finding::{count, steers};

/// How the text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// With colours.
    pub colour: bool,
    /// Also what passed, and each rule that was skipped.
    pub verbose: bool,
}

/// Spans that are named by id.
const IDS: usize = 4;

/// The report as text.
pub fn text(report: &Report, style: Style) -> String {
    let mut out = String::new();
    let mut entries: Vec<&ResultEntry> = report
        .results
        .iter()
        .filter(|entry| style.verbose || entry.status >= Status::Waived)
        .collect();
    entries.sort_by_key(|entry| entry.status);
    for entry in &entries {
        write_entry(&mut out, entry, style);
    }
    if !entries.is_empty() {
        out.push('\n');
    }
    write_completeness(&mut out, report);
    write_summary(&mut out, report, style);
    out
}

fn write_entry(out: &mut String, entry: &ResultEntry, style: Style) {
    let (word, colour) = match entry.status {
        Status::Fail => ("error", RED),
        Status::Warn => ("warn", YELLOW),
        Status::Waived => ("waived", DIM),
        Status::Skip => ("skip", DIM),
        Status::Pass => ("pass", GREEN),
    };
    let head = paint(&format!("{word}[{}]", entry.id), colour, style);
    let message = clean(&entry.message);
    if matches!(entry.status, Status::Pass | Status::Skip) {
        line(out, &format!("{head} {}: {message}", entry.name));
        return;
    }
    // A rule's name says less than its message; what the project has named is known by that.
    if entry.kind == "invariant" {
        line(out, &format!("{head} {message}"));
    } else {
        line(out, &format!("{head} {}: {message}", clean(&entry.name)));
    }
    if let Some(location) = &entry.location {
        line(out, &format!("  --> {}", clean(location)));
    }
    let mut facts: Vec<(&str, String)> = Vec::new();
    facts.extend(entry.expected.iter().map(|text| ("expected", clean(text))));
    facts.extend(entry.actual.iter().map(|text| ("actual", clean(text))));
    let notes = entry.notes.iter();
    facts.extend(notes.map(|note| (note.name.as_str(), clean(&note.text))));
    if !entry.spans.is_empty() {
        facts.push(("span ids", ids(&entry.spans)));
    }
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (at, (name, text)) in facts.iter().enumerate() {
        let branch = if at + 1 == facts.len() { '└' } else { '├' };
        line(out, &format!("  {branch} {name:width$}  {text}"));
    }
    if let Some(help) = &entry.help {
        line(out, &format!("  help: {}", clean(help)));
    }
}

fn ids(spans: &[String]) -> String {
    let few: Vec<&str> = spans.iter().take(IDS).map(String::as_str).collect();
    match spans.len().saturating_sub(IDS) {
        0 => few.join(", "),
        rest => format!("{} and {rest} more", few.join(", ")),
    }
}

/// How far the verdict can be trusted, where that is not the usual.
fn write_completeness(out: &mut String, report: &Report) {
    let complete = &report.completeness;
    let seconds = seconds(complete.waited_ms.saturating_mul(1_000));
    let told = match complete.by.as_str() {
        "report" => return,
        "settling" => format!(
            "complete by settling: nothing new came for a while; no export report says what \
             should be there ({seconds})"
        ),
        "no-wait" => "read once, and taken as it was".to_owned(),
        _ if complete.missing.is_empty() => format!("not complete after {seconds}"),
        _ => format!(
            "not complete after {seconds}: {} of {} spans missing",
            complete.missing.len(),
            complete.missing.len().saturating_add(complete.found),
        ),
    };
    line(out, &told);
    if let Some(error) = complete.error.as_ref().filter(|_| report.trace.spans > 0) {
        line(out, &format!("last answer: {}", clean(error)));
    }
}

fn write_summary(out: &mut String, report: &Report, style: Style) {
    let verdict = match report.exit_code {
        0 => paint("PASS", GREEN, style),
        _ => paint("FAIL", RED, style),
    };
    let summary = &report.summary;
    let mut counts = format!("{} passed", summary.passed);
    for (number, word) in [
        (summary.failed, "failed"),
        (summary.warned, "warned"),
        (summary.waived, "waived"),
        (summary.skipped, "skipped"),
    ] {
        if number > 0 {
            // Writing to a string does not fail.
            let _ = write!(counts, ", {number} {word}");
        }
    }
    let skipped = report.results.iter().filter(|r| r.status == Status::Skip);
    let reasons: BTreeSet<&str> = skipped.map(|result| result.message.as_str()).collect();
    if !reasons.is_empty() {
        let reasons: Vec<String> = reasons.into_iter().map(clean).collect();
        let _ = write!(counts, " ({})", reasons.join("; "));
    }
    let trace = &report.trace;
    let spans = count(trace.spans, "span", "spans");
    let services = count(trace.services.len(), "service", "services");
    let mut size = format!("{spans}, {services}");
    if let Some(duration) = trace.duration_us {
        let _ = write!(size, ", {}", seconds(duration));
    }
    line(out, &format!("{verdict}  {counts}   {size}"));
    line(out, &format!("      {}", clean(&trace.url)));
}

fn seconds(micros: u64) -> String {
    let tenths = micros.saturating_add(50_000) / 100_000;
    match micros {
        0..50_000 => format!("{} ms", micros.div_ceil(1_000)),
        _ => format!("{}.{} s", tenths / 10, tenths % 10),
    }
}

/// Names and messages come from build files and servers: nothing of them may steer the terminal.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if steers(c) { ' ' } else { c })
        .collect()
}

const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const GREEN: &str = "1;32";
const DIM: &str = "2";

fn paint(text: &str, colour: &str, style: Style) -> String {
    if style.colour {
        format!("\u{1b}[{colour}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
