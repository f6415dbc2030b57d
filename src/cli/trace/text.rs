//! How runs, times and spans are told.

use crate::progress::{cut, width};
use crate::trace::model::Span;
use crate::trace::store::{Run, State};

/// How a run ended, in a word.
pub(super) fn status(run: &Run) -> &'static str {
    match (run.state, run.exit_code) {
        (State::Running, _) => "running",
        (State::Unfinished, _) => "unfinished",
        (State::Finished, Some(0)) => "ok",
        (State::Finished, Some(130)) => "cancelled",
        (State::Finished, Some(_)) => "failed",
        (State::Finished, None) => "imported",
    }
}

/// Is it what it stands for: a step from the cache, a failure, something cancelled?
pub(super) fn mark(span: &Span) -> &'static str {
    if span.flag("dagger.cancelled") == Some(true) {
        "cancelled"
    } else if span.is_error() {
        "failed"
    } else if span.flag("buildkit.cached") == Some(true) {
        "cached"
    } else {
        ""
    }
}

/// A length of time in about four letters of number: `12 ms`, `3.20 s`, `2 m 05 s`.
pub(super) fn took(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{} us", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        1_000_000_000..60_000_000_000 => {
            format!("{}.{:02} s", ns / 1_000_000_000, ns / 10_000_000 % 100)
        }
        _ => {
            let seconds = ns / 1_000_000_000;
            format!("{} m {:02} s", seconds / 60, seconds % 60)
        }
    }
}

/// A moment, to the second, in UTC.
pub(super) fn moment(ns: u64) -> String {
    let seconds = i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX);
    // A time beyond the year 9999 is of a damaged file.
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    time.to_string()
}

/// The text in exactly so many columns, cut or filled with blanks.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let blanks = columns.saturating_sub(width(&text));
    format!("{text}{}", " ".repeat(blanks))
}

/// What was run, as it was typed.
pub(super) fn command_line(run: &Run) -> String {
    let begun = &run.begun;
    if begun.args.is_empty() {
        begun.command.clone()
    } else {
        format!("dagger {}", begun.args)
    }
}
