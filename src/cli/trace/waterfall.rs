//! A trace on a terminal: the tree on the left, bars on the right.
//!
//! What a span is stands in the bar's shape, in a word and in its colour: `█` on the critical path, `━`
//! beside it, `░` cached, `╳` failed, `╌` cancelled.

use std::collections::HashSet;
use std::fmt::Write;

use super::text;
use crate::progress::clean;
use crate::trace::critical_path::Segment;
use crate::trace::model::{Span, SpanId};
use crate::viewer::view::tree::{What, rows};

/// How it is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Columns of the terminal.
    pub(super) columns: usize,
    /// With colours?
    pub(super) colour: bool,
    /// With events and attributes under each span?
    pub(super) logs: bool,
}

/// Levels of indentation that are drawn; deeper ones stay at this one.
const LEVELS: u32 = 16;

/// Columns for a duration and a mark: `59 m 59 s cancelled`.
const FACTS: usize = 19;

/// Draws the spans.
pub(super) fn draw(spans: &[Span], path: &[Segment], style: Style) -> String {
    let on_path: HashSet<SpanId> = path.iter().map(|part| part.span).collect();
    let zero = spans.iter().map(|span| span.start_ns).min().unwrap_or(0);
    let end = spans.iter().map(|span| span.end_ns).max().unwrap_or(zero);
    let whole = (end - zero.min(end)).max(1);
    let names = (style.columns / 2).clamp(20, 60);
    let bars = style
        .columns
        .saturating_sub(names + FACTS + 6)
        .clamp(10, 80);
    let mut out = String::new();
    for row in rows(spans) {
        let indent = "  ".repeat(row.depth.min(LEVELS) as usize);
        let (name, start_ns, end_ns, mark, critical) = match row.what {
            What::Span { span, .. } => (
                clean(&span.name),
                span.start_ns,
                span.end_ns,
                text::mark(span),
                on_path.contains(&span.id),
            ),
            What::Missing {
                id,
                start_ns,
                end_ns,
            } => (
                format!("(span {id} is not here)"),
                start_ns,
                end_ns,
                "",
                false,
            ),
        };
        let missing = matches!(row.what, What::Missing { .. });
        let bar = bar(
            bars,
            start_ns.saturating_sub(zero),
            end_ns.saturating_sub(zero),
            whole,
            {
                match mark {
                    "failed" => '╳',
                    "cancelled" => '╌',
                    "cached" => '░',
                    _ if missing => '?',
                    _ if critical => '█',
                    _ => '━',
                }
            },
        );
        let colour = match (style.colour, mark) {
            (false, _) => "",
            (true, "failed") => "\x1b[31m",
            (true, "cancelled") => "\x1b[33m",
            (true, "cached") => "\x1b[36m",
            (true, _) if missing => "\x1b[35m",
            (true, _) if critical => "\x1b[1m",
            (true, _) => "\x1b[2m",
        };
        let off = if style.colour { "\x1b[0m" } else { "" };
        let star = if critical { '*' } else { ' ' };
        let name = text::fit(&format!("{indent}{name}"), names);
        let took = text::took(end_ns.saturating_sub(start_ns));
        // Writing to a text does not fail.
        let _ = writeln!(
            out,
            "{star} {colour}{name}{off} {took:>9} {mark:<9} {colour}{}{off}",
            bar.trim_end()
        );
        if let (true, What::Span { span, .. }) = (style.logs, row.what) {
            logs(span, &indent, &mut out);
        }
    }
    // A bar may be empty, a mark too.
    out.lines().fold(String::new(), |mut whole, line| {
        whole.push_str(line.trim_end());
        whole.push('\n');
        whole
    })
}

/// A bar in so many columns, at least one letter long.
fn bar(columns: usize, start: u64, end: u64, whole: u64, letter: char) -> String {
    let place = |ns: u64| {
        let at = u128::from(ns) * columns as u128 / u128::from(whole);
        usize::try_from(at).unwrap_or(columns).min(columns)
    };
    let from = place(start).min(columns.saturating_sub(1));
    let to = place(end).max(from + 1);
    let mut bar = " ".repeat(from);
    bar.extend(std::iter::repeat_n(letter, to - from));
    bar
}

fn logs(span: &Span, indent: &str, out: &mut String) {
    if let crate::trace::model::Status::Error(why) = &span.status
        && !why.is_empty()
    {
        for line in why.lines() {
            let _ = writeln!(out, "  {indent}  ! {}", clean(line));
        }
    }
    for (key, value) in &span.attributes {
        let value = value.to_string();
        let _ = writeln!(out, "  {indent}  {} = {}", clean(key), clean(&value));
    }
    for event in &span.events {
        let after = text::took(event.at_ns.saturating_sub(span.start_ns));
        let _ = writeln!(out, "  {indent}  +{after} {}", clean(&event.name));
        for (key, value) in &event.attributes {
            for line in value.to_string().lines() {
                let _ = writeln!(out, "  {indent}    {}: {}", clean(key), clean(line));
            }
        }
    }
}
