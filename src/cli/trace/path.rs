//! `dagger trace critical-path`: what a run waited for.

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};

use super::list::columns;
use super::{pick, print, print_json, show, text};
use crate::cli::diagnostic::Failure;
use crate::cli::env::Env;
use crate::progress::clean;
use crate::trace::critical_path::{Segment, critical_path};
use crate::trace::model::Span;

/// Arguments of `dagger trace critical-path`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PathArgs {
    /// The run: its number, its trace's id or how that begins, or `latest`
    /// [default: the last run in this directory]
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Leave out parts that are shorter than this part of the whole, in percent
    #[arg(long, default_value_t = 1.0, value_name = "PERCENT")]
    least: f64,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For machines; nothing is left out
    Json,
}

pub(super) fn run(args: &PathArgs, env: &Env) -> Result<(), Failure> {
    let picked = pick::picked(&pick::store(env)?, args.id.as_deref(), env)?;
    let path = show::root(&picked).map_or_else(Vec::new, |root| critical_path(&picked.spans, root));
    match args.format {
        Format::Json => print_json(&as_json(&path, &picked.spans)),
        Format::Text => print(&as_text(&path, &picked.spans, args.least)),
    }
}

fn named<'a>(part: &Segment, spans: &'a [Span]) -> Option<&'a Span> {
    spans.iter().find(|span| span.id == part.span)
}

fn as_json(path: &[Segment], spans: &[Span]) -> Json {
    let parts = path.iter().map(|part| {
        let span = named(part, spans);
        json!({
            "span": part.span.to_string(),
            "name": span.map(|span| &span.name),
            "service": span.map(Span::service),
            "start_ns": part.start_ns,
            "duration_ns": part.end_ns - part.start_ns,
        })
    });
    json!({
        "duration_ns": path.iter().map(|part| part.end_ns - part.start_ns).sum::<u64>(),
        "path": parts.collect::<Vec<_>>(),
    })
}

fn as_text(path: &[Segment], spans: &[Span], least: f64) -> String {
    let zero = path.first().map_or(0, |part| part.start_ns);
    let whole: u64 = path.iter().map(|part| part.end_ns - part.start_ns).sum();
    let percent = |part: &Segment| {
        let length = part.end_ns - part.start_ns;
        length as f64 * 100.0 / whole.max(1) as f64
    };
    let mut rows = vec![["AT", "WAITED", "PART", "FOR"].map(str::to_owned)];
    let (mut short, mut short_ns) = (0, 0);
    for part in path {
        let share = percent(part);
        if share < least {
            short += 1;
            short_ns += part.end_ns - part.start_ns;
            continue;
        }
        let name = named(part, spans).map_or_else(String::new, |span| {
            format!("{} ({})", clean(&span.name), clean(span.service()))
        });
        rows.push([
            format!("+{}", text::took(part.start_ns - zero)),
            text::took(part.end_ns - part.start_ns),
            format!("{share:.1} %"),
            name,
        ]);
    }
    let mut out = columns(&rows);
    if short > 0 {
        let sum = text::took(short_ns);
        out.push_str(&format!("{short} shorter parts, {sum} together\n"));
    }
    out.push_str(&format!("the run took {}\n", text::took(whole)));
    out
}
