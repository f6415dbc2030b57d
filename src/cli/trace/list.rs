//! `dagger trace list`: the recorded runs.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};

use super::{pick, print, print_json, text};
use crate::cli::diagnostic::Failure;
use crate::cli::duration;
use crate::cli::env::Env;
use crate::progress::clean;
use crate::trace::ns;
use crate::trace::store::{Run, RunFilter};

/// Arguments of `dagger trace list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Show runs that began since then: a time ago (2h, 90m, 7d), or a date (2026-11-24)
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    /// Show runs that ended so
    #[arg(long, value_enum, value_name = "STATUS")]
    status: Option<Status>,
    /// Show runs in this directory
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Show runs that took so long or longer
    #[arg(long, value_name = "TIME", value_parser = duration::parse_long)]
    min_duration: Option<Duration>,
    /// Show runs that took so long or less
    #[arg(long, value_name = "TIME", value_parser = duration::parse_long)]
    max_duration: Option<Duration>,
    /// Show at most so many; 0: all
    #[arg(short = 'n', long, default_value_t = 50, value_name = "RUNS")]
    limit: usize,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For machines
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Status {
    /// Exit code 0
    Ok,
    /// Another exit code
    Failed,
    /// Interrupted
    Cancelled,
    /// Not over
    Running,
    /// The process went without saying how it ended
    Unfinished,
    /// Taken in from a file
    Imported,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Running => "running",
            Self::Unfinished => "unfinished",
            Self::Imported => "imported",
        }
    }
}

/// A moment as the user gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Ago(Duration),
    Date(i128),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        let midnight = jiff::tz::TimeZone::system()
            .to_timestamp(date.to_datetime(jiff::civil::Time::midnight()))
            .map_err(|error| error.to_string())?;
        return Ok(Since::Date(midnight.as_nanosecond()));
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Since::Date(time.as_nanosecond()));
    }
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u32>().ok());
    match days {
        Some(days) => Ok(Since::Ago(Duration::from_secs(u64::from(days) * 86_400))),
        None => duration::parse_long(text)
            .map(Since::Ago)
            .map_err(|_| format!("`{text}` is no time (e.g. 2h, 7d, 2026-11-24)")),
    }
}

impl Since {
    fn ns(self, now: SystemTime) -> u64 {
        let ns = match self {
            Self::Date(ns) => ns,
            Self::Ago(ago) => {
                let now = now
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or_default();
                i128::try_from(now.saturating_sub(ago).as_nanos()).unwrap_or_default()
            }
        };
        u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
    }
}

pub(super) fn run(args: &ListArgs, env: &Env) -> Result<(), Failure> {
    let filter = RunFilter {
        since_ns: args.since.map(|since| since.ns(SystemTime::now())),
        directory: args.project.as_ref().map(|given| {
            let path = env.cwd.join(given);
            path.canonicalize().unwrap_or(path)
        }),
        min_duration_ns: args.min_duration.map(ns::of_length),
        max_duration_ns: args.max_duration.map(ns::of_length),
        ..RunFilter::default()
    };
    let store = pick::store(env)?;
    let mut runs = store.runs(&filter)?;
    if let Some(status) = args.status {
        runs.retain(|run| text::status(run) == status.word());
    }
    if args.limit > 0 {
        runs.truncate(args.limit);
    }
    match args.format {
        Format::Json => {
            let waiting = store.waiting(ns::now())?;
            let json = |run: &Run| {
                let mut json = as_json(run);
                let of_run = waiting.iter().filter(|waiting| waiting.run == run.id);
                let spans = of_run.map(|waiting| waiting.spans).sum::<u64>();
                if let Some(object) = json.as_object_mut() {
                    object.insert("waiting".into(), spans.into());
                }
                json
            };
            print_json(&runs.iter().map(json).collect())
        }
        Format::Table => print(&table(&runs)),
    }
}

/// A run for machines.
pub(super) fn as_json(run: &Run) -> Json {
    let begun = &run.begun;
    json!({
        "run": run.id.0,
        "trace": begun.trace.to_string(),
        "root": begun.root.map(|id| id.to_string()),
        "remote_parent": begun.remote_parent.map(|id| id.to_string()),
        "status": text::status(run),
        "exit_code": run.exit_code,
        "command": begun.command,
        "args": begun.args,
        "directory": begun.directory,
        "service": begun.service,
        "plan_digest": begun.plan_digest,
        "started": text::moment(begun.started_ns),
        "started_ns": begun.started_ns,
        "ended": run.ended_ns.map(text::moment),
        "ended_ns": run.ended_ns,
        "duration_ns": run.ended_ns.map(|end| end.saturating_sub(begun.started_ns)),
        "spans": run.spans,
    })
}

fn table(runs: &[Run]) -> String {
    let head = [
        "RUN",
        "TRACE",
        "STARTED",
        "DURATION",
        "STATUS",
        "SPANS",
        "COMMAND",
        "DIRECTORY",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(runs.iter().map(|run| {
        let begun = &run.begun;
        let took = run.ended_ns.map(|end| end.saturating_sub(begun.started_ns));
        [
            run.id.0.to_string(),
            begun.trace.to_string().chars().take(8).collect(),
            text::moment(begun.started_ns),
            took.map_or_else(|| "-".into(), text::took),
            text::status(run).to_owned(),
            run.spans.to_string(),
            clean(&text::command_line(run)),
            clean(&begun.directory.display().to_string()),
        ]
    }));
    columns(&rows)
}

/// Rows with their columns in line; the last column is as long as it is.
pub(super) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = crate::progress::width(cell).max(*width);
        }
    }
    let mut out = String::new();
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| text::fit(cell, width))
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(since("2d"), Ok(Since::Ago(Duration::from_secs(172_800))));
        assert_eq!(since("90m"), Ok(Since::Ago(Duration::from_secs(5_400))));
        assert!(matches!(since("2026-11-24"), Ok(Since::Date(_))));
        assert_eq!(
            since("1970-01-01T00:00:01Z"),
            Ok(Since::Date(1_000_000_000))
        );
        assert!(since("yesterday").is_err());
    }
}
