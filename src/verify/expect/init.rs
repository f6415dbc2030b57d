//! A first expectation file for a project, made of one of its traces.

use std::fmt::Write as _;

use crate::trace::model::Span;
use crate::verify::index::Index;
use crate::verify::names;

/// What a build may take longer than the one that the file was made of.
const SLACK: u64 = 2;

/// Actions that get a budget of their own take at least so long.
const LONG_NS: u64 = 1_000_000_000;

/// An expectation file that the run of these spans keeps; `None` if they hold no run of dagger's.
pub fn first(spans: &[Span]) -> Option<String> {
    let index = Index::new(spans);
    let root = index
        .spans()
        .iter()
        .copied()
        .find(|span| index.parent(span).is_none() && span.name.starts_with(names::COMMAND))?;
    let name = quoted(&root.name);
    let status = if root.is_error() { "error" } else { "ok" };
    let mut out = format!(
        "# What the traces of this project are expected to be: `dagger trace verify` reads this file.\n\
         # docs/expectations.md says what may be written.\nversion: 1\nexpect:\n  \
         - name: the build has ended\n    select: '{name}:root'\n    count: 1\n    each: {{status: {status}}}\n"
    );
    // Writing to a string does not fail.
    let calls = index
        .spans()
        .iter()
        .filter(|span| span.name == names::SOLVE_CALL && span.service() == names::DAEMON);
    if calls.count() > 0 {
        let _ = write!(
            out,
            "  - name: the solve reaches the daemon\n    select: '\"{}\"[kind=client] > *[service={},kind=server]'\n    count: \">= 1\"\n",
            names::SOLVE_CALL,
            names::DAEMON
        );
    }
    let actions: Vec<&Span> = index
        .spans()
        .iter()
        .copied()
        .filter(|span| span.name.starts_with(names::ACTION) && plain(&span.name))
        .collect();
    for action in &actions {
        let (name, shown) = (quoted(&action.name), &action.name);
        let _ = writeln!(
            out,
            "  - {{name: {}, select: '{name}', count: 1}}",
            yaml(shown)
        );
    }
    let budget = |span: &Span| budget(span.end_ns.saturating_sub(span.start_ns));
    let _ = write!(
        out,
        "budgets:\n  - {{name: the whole build, select: '{name}:root', duration: {{max: <= {}}}}}\n",
        budget(root)
    );
    for action in actions {
        let length = action.end_ns.saturating_sub(action.start_ns);
        if length >= LONG_NS {
            let (name, shown) = (quoted(&action.name), format!("time of {}", action.name));
            let _ = writeln!(
                out,
                "  - {{name: {}, select: '{name}', duration: {{max: <= {}}}}}",
                yaml(&shown),
                budget(action)
            );
        }
    }
    Some(out)
}

/// Is it a name that needs no care in YAML and in a selector?
fn plain(name: &str) -> bool {
    name.chars()
        .all(|c| c.is_ascii_alphanumeric() || " -_.,[]".contains(c))
}

/// The name in a selector: square brackets of a matrix are no pattern there.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn yaml(text: &str) -> String {
    format!("\"{text}\"")
}

/// A round time that is long enough.
fn budget(ns: u64) -> String {
    let seconds = ns.saturating_mul(SLACK).div_ceil(1_000_000_000).max(1);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds.div_ceil(60)),
        _ => format!("{}h", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::testing::good_build;

    #[test]
    fn a_file_is_made_of_a_run() {
        insta::assert_snapshot!(first(&good_build().spans).unwrap());
        assert_eq!(first(&[]), None);
    }
}
