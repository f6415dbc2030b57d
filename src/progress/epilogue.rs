//! What is shown of a failure: the last lines of the failed steps, the place in the source, the error.

use super::event::{Outcome, SourceExcerpt};
use super::format::log_seconds;
use super::steps::Steps;
use super::text::{clean, clean_output};

/// Dashes around an excerpt, as BuildKit's clients draw them.
const RULE: &str = "--------------------";

/// The lines of the epilogue; none unless the build failed.
pub(super) fn lines(steps: &Steps, outcome: &Outcome) -> Vec<String> {
    let Outcome::Failed { message, sources } = outcome else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for step in steps.iter().filter(|step| step.vertex.failed()) {
        lines.push("------".into());
        lines.push(format!(" > {}:", clean(&step.vertex.name)));
        lines.extend(
            step.tail
                .iter()
                .map(|line| format!("{} {}", log_seconds(line.after), clean_output(&line.text))),
        );
        lines.push("------".into());
    }
    for source in sources {
        excerpt(source, &mut lines);
    }
    lines.push(format!("ERROR: failed to solve: {}", clean(message)));
    lines
}

/// The failing lines of a source with some around them; nothing if no line is named.
fn excerpt(source: &SourceExcerpt, lines: &mut Vec<String>) {
    let text: Vec<&str> = source.text.split('\n').collect();
    let wrong = |line: usize| {
        source
            .lines
            .iter()
            .any(|(first, last)| (*first as usize..=(*last).max(*first) as usize).contains(&line))
    };
    let Some(first) = source.lines.iter().map(|(first, _)| *first as usize).min() else {
        return;
    };
    let last = source
        .lines
        .iter()
        .map(|(first, last)| (*last).max(*first) as usize)
        .max()
        .unwrap_or(first);
    if first == 0 || first > text.len() {
        return;
    }
    // One failing line is shown with two on each side, more of them with one.
    let around = if first == last { 2 } else { 1 };
    let shown = first.saturating_sub(around).max(1)..=last.saturating_add(around).min(text.len());
    lines.push(format!("{}:{first}", clean(&source.filename)));
    lines.push(RULE.into());
    for (number, line) in text
        .iter()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
    {
        if shown.contains(&number) {
            let mark = if wrong(number) { ">>>" } else { "   " };
            lines.push(format!(" {number:3} | {mark} {}", clean(line)));
        }
    }
    lines.push(RULE.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, ranges: &[(u32, u32)]) -> String {
        let source = SourceExcerpt {
            filename: "Dockerfile".into(),
            text: text.into(),
            lines: ranges.to_vec(),
        };
        let mut lines = Vec::new();
        excerpt(&source, &mut lines);
        lines.join("\n")
    }

    #[test]
    fn one_line_has_two_around_it() {
        insta::assert_snapshot!(shown("a\nb\nc\nd\ne\nf\n", &[(4, 4)]));
    }

    #[test]
    fn several_lines_have_one_around_them() {
        insta::assert_snapshot!(shown("a\nb\nc\nd\ne\nf\n", &[(3, 4)]));
    }

    #[test]
    fn lines_outside_of_the_source_show_nothing() {
        for ranges in [&[][..], &[(0, 0)], &[(9, 9)], &[(u32::MAX, 1)]] {
            assert_eq!(shown("a\nb", ranges), "", "{ranges:?}");
        }
        shown("a\nb", &[(1, u32::MAX)]);
    }
}
