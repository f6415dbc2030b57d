//! The warnings of a build, told at its end: live rows have no room for them.

use super::event::Warning;
use super::text::clean;

/// So many are named; the rest is counted.
const NAMED: usize = 10;

/// The warnings of a build, in the order in which they came; one that comes again is not told twice.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    named: Vec<String>,
    more: usize,
}

impl Warnings {
    /// Takes one more.
    pub(super) fn add(&mut self, warning: &Warning) {
        let mut text = clean(&warning.short);
        // The Dockerfile frontend's checks end in their line.
        let placed = text.ends_with(')') && text.contains("(line ");
        if !placed
            && let Some(source) = &warning.source
            && let Some((first, _)) = source.lines.first()
        {
            text.push_str(&format!(" ({}:{first})", clean(&source.filename)));
        }
        if self.named.contains(&text) {
            return;
        }
        if self.named.len() < NAMED {
            self.named.push(text);
        } else {
            self.more += 1;
        }
    }

    /// As people read them; no line if there were none.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = match self.named.len() + self.more {
            0 => return Vec::new(),
            1 => vec!["1 warning:".to_owned()],
            all => vec![format!("{all} warnings:")],
        };
        lines.extend(self.named.iter().map(|text| format!(" - {text}")));
        if self.more > 0 {
            lines.push(format!(" - and {} more; `--check` lists them", self.more));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::SourceExcerpt;
    use super::*;

    fn warning(short: &str, line: Option<u32>) -> Warning {
        Warning {
            vertex: "sha256:a".into(),
            level: 1,
            short: short.into(),
            detail: Vec::new(),
            url: String::new(),
            source: line.map(|line| SourceExcerpt {
                filename: "Dockerfile".into(),
                text: String::new(),
                lines: vec![(line, line)],
            }),
        }
    }

    fn lines(of: &[Warning]) -> Vec<String> {
        let mut warnings = Warnings::default();
        for warning in of {
            warnings.add(warning);
        }
        warnings.lines()
    }

    #[test]
    fn each_is_told_once_with_its_place() {
        assert!(lines(&[]).is_empty());
        let casing = warning("FromAsCasing: 'as' and 'FROM' \x1b[31mdiffer", Some(3));
        let told = lines(&[casing.clone(), casing, warning("no place", None)]);
        assert_eq!(told.first().map(String::as_str), Some("2 warnings:"));
        assert!(told[1].starts_with(" - FromAsCasing: 'as' and 'FROM' "));
        assert!(told[1].ends_with("differ (Dockerfile:3)") && !told[1].contains('\x1b'));
        assert_eq!(told[2..], [" - no place"]);
        let placed = lines(&[warning("casing (line 3)", Some(3))]);
        assert_eq!(placed, ["1 warning:", " - casing (line 3)"]);
    }

    #[test]
    fn the_rest_of_many_is_counted() {
        let many: Vec<_> = (0..13).map(|n| warning("w", Some(n))).collect();
        let told = lines(&many);
        assert_eq!(told.len(), 12);
        assert_eq!(told[0], "13 warnings:");
        assert_eq!(told[11], " - and 3 more; `--check` lists them");
    }
}
