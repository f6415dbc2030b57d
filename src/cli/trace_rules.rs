//! `dagger trace rules`, `explain` and `spans`: what `verify` checks, and what a trace is made of.
//!
//! Lives here: the flags. Elsewhere: the rules (`verify::rules`), the spans (`verify::known_spans`).

use std::io::{self, Write};

use clap::Args;

use crate::verify::Severity;
use crate::verify::known_spans;
use crate::verify::rules::{self, Rule};

/// Arguments of `dagger trace rules`.
#[derive(Clone, Debug, Args)]
pub(super) struct RulesArgs {
    /// Print the page of all rules in Markdown
    #[arg(long)]
    markdown: bool,
}

/// Arguments of `dagger trace spans`.
#[derive(Clone, Debug, Args)]
pub(super) struct SpansArgs {
    /// Print the page of all spans in Markdown
    #[arg(long)]
    markdown: bool,
}

/// Arguments of `dagger trace explain`.
#[derive(Clone, Debug, Args)]
pub(super) struct ExplainArgs {
    /// The rule's id or name
    #[arg(value_name = "RULE", value_parser = rule)]
    rule: &'static Rule,
}

/// Prints the rules.
pub(super) fn list(args: &RulesArgs) -> io::Result<()> {
    let text = if args.markdown {
        rules::markdown()
    } else {
        rules::list()
    };
    io::stdout().write_all(text.as_bytes())
}

/// Prints the kinds of span that dagger makes.
pub(super) fn spans(args: &SpansArgs) -> io::Result<()> {
    let text = if args.markdown {
        known_spans::markdown()
    } else {
        known_spans::list()
    };
    io::stdout().write_all(text.as_bytes())
}

/// Prints one rule.
pub(super) fn explain(args: &ExplainArgs) -> io::Result<()> {
    io::stdout().write_all(rules::explain(args.rule).as_bytes())
}

/// A rule, and how bad its findings are; `None`: it is off.
pub(super) type Level = (&'static Rule, Option<Severity>);

/// Reads `T003`, in either case, or the rule's name.
fn rule(text: &str) -> Result<&'static Rule, String> {
    rules::find(text)
        .ok_or_else(|| format!("there is no rule `{text}`; `dagger trace rules` lists them"))
}

/// Reads `T003=off`.
pub(super) fn level(text: &str) -> Result<Level, String> {
    let (id, level) = text
        .split_once('=')
        .ok_or("give a rule and its level: T003=off, T003=warn or T003=error")?;
    let severity = match level {
        "off" => None,
        "warn" => Some(Severity::Warn),
        "error" => Some(Severity::Error),
        _ => return Err(format!("`{level}` is none of off, warn and error")),
    };
    Ok((rule(id)?, severity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read() {
        assert_eq!(
            level("t003=off").map(|(rule, at)| (rule.id, at)),
            Ok(("T003", None))
        );
        assert_eq!(
            level("no-gaps=error").map(|(rule, at)| (rule.id, at)),
            Ok(("D002", Some(Severity::Error)))
        );
        for text in ["T003", "T999=off", "T003=fatal"] {
            assert!(level(text).is_err(), "{text}");
        }
    }
}
