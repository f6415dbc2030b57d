//! What a rule answers.

use serde::Serialize;

use crate::trace::model::{Span, SpanId};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look.
    Warn,
    /// Fails the verification.
    Error,
}

/// What a rule answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It looked; no findings: it holds.
    Checked(Vec<Finding>),
    /// It could not look, because of this.
    Skipped(String),
}

/// One thing that is wrong: all spans with the same cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// `None`: the rule's own.
    pub severity: Option<Severity>,
    /// What is wrong, with the count.
    pub message: String,
    /// The spans it is about.
    pub spans: Vec<SpanId>,
    /// What should be.
    pub expected: Option<String>,
    /// What is.
    pub actual: Option<String>,
    /// Further facts, each with its name.
    pub notes: Vec<(&'static str, String)>,
    /// What to do next.
    pub help: Option<String>,
    /// Why it is let pass, if it is.
    pub waived: Option<String>,
}

impl Outcome {
    /// Skipped with a reason.
    pub(super) fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped(reason.into())
    }

    /// Checked, with what may have been found.
    pub(super) fn of(findings: impl IntoIterator<Item = Finding>) -> Self {
        Self::Checked(findings.into_iter().collect())
    }
}

impl Finding {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            severity: None,
            message: message.into(),
            spans: Vec::new(),
            expected: None,
            actual: None,
            notes: Vec::new(),
            help: None,
            waived: None,
        }
    }

    pub(super) fn warn(mut self) -> Self {
        self.severity = Some(Severity::Warn);
        self
    }

    pub(super) fn about<'s>(mut self, spans: impl IntoIterator<Item = &'s Span>) -> Self {
        self.spans.extend(spans.into_iter().map(|span| span.id));
        self
    }

    pub(super) fn about_ids(mut self, ids: impl IntoIterator<Item = SpanId>) -> Self {
        self.spans.extend(ids);
        self
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn actual(mut self, actual: impl Into<String>) -> Self {
        self.actual = Some(actual.into());
        self
    }

    pub(super) fn note(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.notes.push((name, text.into()));
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// `1 span`, `2 spans`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A span's name for people: names come from build files and other programs, so control characters
/// and great lengths are taken out.
pub(super) fn shown(span: &Span) -> String {
    let mut clean: String = span.name.chars().filter(|c| !steers(*c)).collect();
    if let Some((end, _)) = clean.char_indices().nth(NAME_CHARS) {
        clean.truncate(end);
        clean.push('…');
    }
    format!("`{clean}`")
}

/// Could the character steer a terminal, or turn the direction of the text around it?
pub(super) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How much of a span's name is shown, in characters.
const NAME_CHARS: usize = 72;

/// The names of the first few, for a note.
pub(super) fn shown_all(spans: &[&Span]) -> String {
    let few: Vec<String> = spans.iter().take(NAMED).map(|span| shown(span)).collect();
    let rest = spans.len().saturating_sub(NAMED);
    let rest = if rest == 0 {
        String::new()
    } else {
        format!(" and {rest} more")
    };
    few.join(", ") + &rest
}

/// How many spans a note names.
const NAMED: usize = 3;
