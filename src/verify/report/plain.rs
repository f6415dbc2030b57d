//! Text from traces, made harmless for files and pages.

use super::model::ResultEntry;
use crate::verify::finding::steers;

/// Most characters of one text that a report keeps.
const CHARS: usize = 2_000;

/// The text without characters that could steer a terminal or turn the text around them.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .take(CHARS)
        .map(|c| if steers(c) { ' ' } else { c })
        .collect()
}

/// What is known of a result, a line a fact.
pub(super) fn detail(entry: &ResultEntry) -> String {
    let mut lines = Vec::new();
    let mut fact = |name: &str, text: &str| lines.push(format!("{}: {}", plain(name), plain(text)));
    if let Some(expected) = &entry.expected {
        fact("expected", expected);
    }
    if let Some(actual) = &entry.actual {
        fact("actual", actual);
    }
    for note in &entry.notes {
        fact(&note.name, &note.text);
    }
    if !entry.spans.is_empty() {
        let ids: Vec<&str> = entry.spans.iter().take(10).map(String::as_str).collect();
        fact("span ids", &ids.join(", "));
    }
    if let Some(help) = &entry.help {
        fact("help", help);
    }
    lines.join("\n")
}
