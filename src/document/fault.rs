//! What is wrong with a file, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use super::node::Position;

/// What is wrong with a file: the place, the line itself, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// The place in it.
    pub at: Position,
    /// What is wrong.
    pub message: String,
    /// What to do; empty: nothing better than the message.
    pub help: String,
    /// The line at fault; empty: not known.
    pub excerpt: String,
}

impl Fault {
    /// Something wrong at this place.
    pub fn new(at: Position, message: impl Into<String>) -> Self {
        Self {
            file: PathBuf::new(),
            at,
            message: message.into(),
            help: String::new(),
            excerpt: String::new(),
        }
    }

    /// With what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// With the file and its line.
    #[must_use]
    pub fn within(mut self, file: &Path, text: &str) -> Self {
        file.clone_into(&mut self.file);
        if let Some(index) = self.at.line.checked_sub(1) {
            let line = text.lines().nth(index.try_into().unwrap_or(usize::MAX));
            self.excerpt = line.unwrap_or_default().to_owned();
        }
        self
    }
}

/// Letters of a line that are shown before and after the place.
const AROUND: usize = 60;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.at;
        if line == 0 {
            return write!(f, "{}: {}", self.file.display(), self.message);
        }
        let file = self.file.display();
        write!(f, "{file}:{line}:{column}: {}", self.message)?;
        if self.excerpt.trim().is_empty() {
            return Ok(());
        }
        let before = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
        let skipped = before.saturating_sub(AROUND);
        let letters = self.excerpt.chars().skip(skipped);
        // A tab or a control character would move what stands under it.
        let shown: String = letters
            .take(2 * AROUND)
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        let indent = before.saturating_sub(skipped).min(shown.chars().count());
        let gutter = " ".repeat(line.to_string().len());
        write!(f, "\n {line} | {}", shown.trim_end())?;
        write!(f, "\n {gutter} | {}^", " ".repeat(indent))
    }
}

impl std::error::Error for Fault {}
