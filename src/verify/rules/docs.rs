//! What people can read about the rules; `docs/rules.md` begins with it.

use std::fmt::Write as _;

use super::{RULES, Rule};
use crate::verify::finding::Severity;

/// The list: a line a rule.
pub fn list() -> String {
    let mut out = String::new();
    for rule in RULES {
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "{}  {:<5}  {:<22}  {}",
            rule.id,
            level(rule.severity),
            rule.name,
            rule.proves
        );
    }
    out
}

/// All that is known of one rule.
pub fn explain(rule: &Rule) -> String {
    format!(
        "{} {} ({})\n\n  proves      {}\n  fails when  {}\n  what to do  {}\n",
        rule.id,
        rule.name,
        level(rule.severity),
        rule.proves,
        rule.fails,
        rule.mend
    )
}

/// The page of all rules, in Markdown.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Rules of `dagger trace verify`\n\n\
         Made by `dagger trace rules --markdown`. Ids are never reused. \"Ours\" are the spans of the \
         run's own service. `--rule ID=off|warn|error` sets how bad a rule's findings are.\n\n\
         | id | proves | level | fails when | what to do |\n|---|---|---|---|---|\n",
    );
    for rule in RULES {
        let _ = writeln!(
            out,
            "| `{} {}` | {} | {} | {} | {} |",
            rule.id,
            rule.name,
            rule.proves,
            level(rule.severity),
            rule.fails,
            rule.mend
        );
    }
    out
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Warn => "warn",
        Severity::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_of_the_rules_begins_the_one_in_the_docs() {
        // The rest, what was seen of each, is written by hand.
        let page = include_str!("../../../docs/rules.md");
        let (made, _) = page.split_once("\n## ").unwrap();
        assert_eq!(made, markdown());
    }
}
