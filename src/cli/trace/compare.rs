//! `dagger trace diff`: two traces side by side.

use std::collections::HashSet;
use std::fmt::Write;

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};

use super::list::columns;
use super::pick::{self, Picked};
use super::{print, print_json, text};
use crate::cli::diagnostic::Failure;
use crate::cli::env::Env;
use crate::progress::clean;
use crate::trace::diff::{Diff, Miss, diff};
use crate::trace::model::Span;

/// Arguments of `dagger trace diff`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    /// The run to compare with: its number, its trace's id or how that begins
    #[arg(value_name = "A")]
    a: String,
    /// The run that is compared, likewise, or `latest` [default: the last run in this directory]
    #[arg(value_name = "B")]
    b: Option<String>,
    /// Tell at most so many changes of a kind
    #[arg(short = 'n', long, default_value_t = 20, value_name = "CHANGES")]
    limit: usize,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people; changes that are noise are left out
    Text,
    /// For machines; nothing is left out
    Json,
}

pub(super) fn run(args: &DiffArgs, env: &Env) -> Result<(), Failure> {
    let store = pick::store(env)?;
    let a = pick::picked(&store, Some(&args.a), env)?;
    let b = pick::picked(&store, args.b.as_deref(), env)?;
    let found = diff(&a.spans, &b.spans);
    match args.format {
        Format::Text => print(&as_text(&a, &b, &found, args.limit)),
        Format::Json => print_json(&as_json(&a, &b, &found)),
    }
}

fn why(miss: Miss) -> &'static str {
    match miss {
        Miss::Gone => {
            "the same step was cached before: its result is in no cache of this engine now"
        }
        Miss::Changed => {
            "it is another step now: its command, or what it is made from, has changed"
        }
        Miss::New => "there was no such step before",
    }
}

fn as_json(a: &Picked, b: &Picked, found: &Diff) -> Json {
    let brief = |span: &Span| {
        json!({
            "id": span.id.to_string(),
            "name": span.name,
            "service": span.service(),
            "duration_ns": span.end_ns.saturating_sub(span.start_ns),
        })
    };
    let some = |spans: &[Span], places: &[usize]| -> Vec<Json> {
        places
            .iter()
            .filter_map(|at| spans.get(*at))
            .map(brief)
            .collect()
    };
    let pairs = found.pairs.iter().filter_map(|pair| {
        let (first, second) = (a.spans.get(pair.a)?, b.spans.get(pair.b)?);
        Some(json!({
            "name": second.name,
            "service": second.service(),
            "a": first.id.to_string(),
            "b": second.id.to_string(),
            "duration_ns": [pair.took_ns.0, pair.took_ns.1],
            "path_ns": [pair.path_ns.0, pair.path_ns.1],
            "cached": [first.flag("buildkit.cached"), second.flag("buildkit.cached")],
            "error": [first.is_error(), second.is_error()],
        }))
    });
    let misses = found.misses(&a.spans, &b.spans);
    let misses = misses.iter().filter_map(|(at, miss)| {
        let span = b.spans.get(*at)?;
        Some(json!({"id": span.id.to_string(), "name": span.name, "why": why(*miss)}))
    });
    json!({
        "a": a.run.begun.trace.to_string(),
        "b": b.run.begun.trace.to_string(),
        "duration_ns": [found.total_ns.0, found.total_ns.1],
        "noise_ns": found.noise_ns,
        "pairs": pairs.collect::<Vec<_>>(),
        "added": some(&b.spans, &found.added),
        "removed": some(&a.spans, &found.removed),
        "not_cached": misses.collect::<Vec<_>>(),
    })
}

fn as_text(a: &Picked, b: &Picked, found: &Diff, limit: usize) -> String {
    let mut out = String::new();
    let (before, after) = found.total_ns;
    // Writing to a text does not fail.
    let _ = writeln!(
        out,
        "run {} -> run {}: {} -> {} ({})",
        a.run.id.0,
        b.run.id.0,
        text::took(before),
        text::took(after),
        change(before, after)
    );
    let mut slower: Vec<_> = found
        .pairs
        .iter()
        .filter(|pair| pair.path_change_ns().unsigned_abs() >= found.noise_ns)
        .collect();
    slower.sort_by_key(|pair| std::cmp::Reverse(pair.path_change_ns().unsigned_abs()));
    let rows: Vec<_> = slower
        .iter()
        .filter_map(|pair| {
            let span = b.spans.get(pair.b)?;
            Some([
                format!("  {}", change(pair.path_ns.0, pair.path_ns.1)),
                text::took(pair.path_ns.0),
                "->".into(),
                text::took(pair.path_ns.1),
                clean(&span.name),
            ])
        })
        .collect();
    if rows.is_empty() {
        let noise = text::took(found.noise_ns);
        let _ = writeln!(
            out,
            "\nno span on the critical path changed by {noise} or more"
        );
    } else {
        let _ = writeln!(out, "\nwaited longer or shorter for, on the critical path:");
        out.push_str(&columns(rows.get(..limit).unwrap_or(&rows)));
        more(rows.len(), limit, &mut out);
    }
    let names = |title: &str, lines: Vec<String>, out: &mut String| {
        if lines.is_empty() {
            return;
        }
        let _ = writeln!(out, "\n{title}:");
        for line in lines.iter().take(limit) {
            let _ = writeln!(out, "  {line}");
        }
        more(lines.len(), limit, out);
    };
    let misses = found.misses(&a.spans, &b.spans);
    let missed = misses.iter().filter_map(|(at, miss)| {
        let span = b.spans.get(*at)?;
        Some(format!("{}: {}", clean(&span.name), why(*miss)))
    });
    names(
        "steps that were not cached, in order of start",
        missed.collect(),
        &mut out,
    );
    if misses
        .iter()
        .filter(|(_, miss)| *miss != Miss::Gone)
        .count()
        > 1
    {
        out.push_str("  the first is a cause; later ones may only follow from it\n");
    }
    let turned = |keep: &dyn Fn(&Span, &Span) -> bool| -> Vec<String> {
        let both = found.pairs.iter().filter_map(|pair| {
            let (first, second) = (a.spans.get(pair.a)?, b.spans.get(pair.b)?);
            keep(first, second).then(|| clean(&second.name))
        });
        both.collect()
    };
    let cached = |span: &Span| span.flag("buildkit.cached");
    names(
        "now cached",
        turned(&|first, second| (cached(first), cached(second)) == (Some(false), Some(true))),
        &mut out,
    );
    names(
        "fails now",
        turned(&|first, second| !first.is_error() && second.is_error()),
        &mut out,
    );
    names(
        "failed before",
        turned(&|first, second| first.is_error() && !second.is_error()),
        &mut out,
    );
    // A span under one that was added is not told of its own.
    let tops = |spans: &[Span], places: &[usize]| -> Vec<String> {
        let ids: HashSet<_> = places
            .iter()
            .filter_map(|at| Some(spans.get(*at)?.id))
            .collect();
        let top = |span: &&Span| span.parent.is_none_or(|parent| !ids.contains(&parent));
        let shown = places.iter().filter_map(|at| spans.get(*at)).filter(top);
        shown
            .map(|span| {
                let took = text::took(span.end_ns.saturating_sub(span.start_ns));
                format!("{} ({took})", clean(&span.name))
            })
            .collect()
    };
    names("added", tops(&b.spans, &found.added), &mut out);
    names("removed", tops(&a.spans, &found.removed), &mut out);
    out
}

fn more(all: usize, limit: usize, out: &mut String) {
    if all > limit {
        let _ = writeln!(out, "  and {} more", all - limit);
    }
}

/// A change with its sign.
fn change(before: u64, after: u64) -> String {
    if after >= before {
        format!("+{}", text::took(after - before))
    } else {
        format!("-{}", text::took(before - after))
    }
}
