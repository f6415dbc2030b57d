//! `dagger trace query`: which spans of a trace a selector means.
//!
//! Without a flag that names another place the trace is one of the local store, and a run's number or how
//! its id begins will do. Elsewhere: reading from other places (`trace_verify`).

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{pick, print, print_json};
use crate::cli::asking;
use crate::cli::diagnostic::Failure;
use crate::cli::env::Env;
use crate::cli::trace_verify::{SourceArgs, read_once};
use crate::progress::clean;
use crate::trace::model::Span;
use crate::verify::Index;
use crate::verify::select::Selector;

/// Arguments of `dagger trace query`.
#[derive(Debug, Args)]
pub(in crate::cli) struct QueryArgs {
    /// Which spans, e.g. `'"dagger up":root'` or `'*[vertex,duration>5s]'`
    #[arg(value_name = "SELECTOR")]
    selector: Selector,
    #[command(flatten)]
    source: SourceArgs,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line a span: its id, how long it was, its service and its name
    Text,
    /// For machines
    Json,
    /// The spans' ids alone
    Ids,
}

/// Prints the spans that are meant.
///
/// # Errors
/// When the run cannot be read, or there is no such span: that is exit code 1, as that of `grep`.
pub(super) fn run(args: &QueryArgs, env: &Env) -> Result<(), Failure> {
    let spans = if args.source.is_elsewhere() {
        asking(env, async |context| read_once(&args.source, context).await)?
    } else {
        pick::picked(&pick::store(env)?, args.source.id(), env)?.spans
    };
    let index = Index::new(&spans);
    let found = args.selector.matches(&index);
    match args.format {
        Format::Json => print_json(&found.iter().map(|span| as_json(span)).collect())?,
        Format::Text => print(&found.iter().map(|span| as_line(span)).collect::<String>())?,
        Format::Ids => {
            let ids = found.iter().map(|span| format!("{}\n", span.id));
            print(&ids.collect::<String>())?;
        }
    }
    if found.is_empty() {
        return Err(Failure::NothingFound {
            what: format!("span that `{}` means", args.selector),
            among: index.spans().len(),
        });
    }
    Ok(())
}

fn as_line(span: &Span) -> String {
    let length_us = span.end_ns.saturating_sub(span.start_ns) / 1_000;
    format!(
        "{}  {:>9}.{:03} ms  {}  {}\n",
        span.id,
        length_us / 1_000,
        length_us % 1_000,
        clean(span.service()),
        clean(&span.name)
    )
}

fn as_json(span: &Span) -> serde_json::Value {
    json!({
        "span": span.id.to_string(),
        "parent": span.parent.map(|parent| parent.to_string()),
        "service": span.service(),
        "name": span.name,
        "start_ns": span.start_ns,
        "duration_ns": span.end_ns.saturating_sub(span.start_ns),
    })
}
