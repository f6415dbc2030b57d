//! `dagger history`: the builds that the engine remembers, whoever ran them.
//!
//! Lives here: the commands, and which build is meant. Elsewhere: how records are shown (`show`), how a
//! build's output is told again (`logs`), which trace it is of (`trace_id`), the calls (`buildkit`).

mod logs;
mod show;
mod trace_id;

use std::io::Write;
use std::time::SystemTime;

use clap::{Args, Subcommand};

use super::diagnostic::Failure;
use super::engine::{Format, reach};
use super::engine_settings::ConnectionArgs;
use super::traced::Start;
use crate::buildkit::{BuildRecord, BuildState, BuildkitError, Client, HistoryFilter};

/// Commands of `dagger history`.
#[derive(Debug, Subcommand)]
pub(super) enum HistoryCommand {
    /// List the builds that the engine remembers, newest first
    Ls(LsArgs),
    /// Show all that the engine remembers of a build
    Inspect(OneArgs),
    /// Show a build's output again; of one that still runs, follow it
    Logs(OneArgs),
    /// Keep builds whatever their age
    Pin(SomeArgs),
    /// Let pinned builds go when they are old
    Unpin(SomeArgs),
    /// Make the engine forget builds, with their logs and traces; their caches stay
    Rm(RmArgs),
}

/// Arguments of `dagger history ls`.
#[derive(Debug, Args)]
pub(super) struct LsArgs {
    /// Show at most so many, the newest
    #[arg(short = 'n', long, default_value_t = 50, value_name = "BUILDS")]
    limit: u16,
    /// Show only builds that still run
    #[arg(long)]
    running: bool,
    /// Show only these, e.g. status=error, status=canceled, duration>1m; one of several has to fit
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `dagger history inspect` and `logs`.
#[derive(Debug, Args)]
pub(super) struct OneArgs {
    /// The build, or how its name begins [default: the newest]
    #[arg(value_name = "BUILD")]
    build: Option<String>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `dagger history pin` and `unpin`.
#[derive(Debug, Args)]
pub(super) struct SomeArgs {
    /// The builds, or how their names begin
    #[arg(value_name = "BUILD", required = true)]
    builds: Vec<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `dagger history rm`.
#[derive(Debug, Args)]
pub(super) struct RmArgs {
    /// The builds, or how their names begin
    #[arg(value_name = "BUILD", required_unless_present = "all")]
    builds: Vec<String>,
    /// All that have ended and are not pinned
    #[arg(long, conflicts_with = "builds")]
    all: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl HistoryCommand {
    /// The flags about the connection, which each of them has.
    pub(super) fn connection(&self) -> &ConnectionArgs {
        match self {
            Self::Ls(args) => &args.connection,
            Self::Inspect(args) | Self::Logs(args) => &args.connection,
            Self::Pin(args) | Self::Unpin(args) => &args.connection,
            Self::Rm(args) => &args.connection,
        }
    }
}

/// Runs the command and gives the exit code.
///
/// # Errors
/// When settings make no sense, there is no engine, or it does not know the build.
pub(super) fn run(command: &HistoryCommand, start: Start<'_>) -> Result<u8, Failure> {
    let settings = command.connection().settings(start.env)?.into();
    let out = &mut std::io::stdout();
    start.untraced(async |_| {
        let connection = reach(settings).await?;
        let client = &connection.client;
        let done = match command {
            HistoryCommand::Ls(args) => list(args, client, out).await,
            HistoryCommand::Inspect(args) => {
                let record = find(client, args.build.as_deref()).await?;
                let trace = trace_id::of(client, &record).await;
                let (trace, now) = (trace.as_deref(), SystemTime::now());
                Ok(show::record(&record, trace, args.format, now, out)?)
            }
            HistoryCommand::Logs(args) => {
                let record = find(client, args.build.as_deref()).await?;
                logs::show(client, &record, args.format).await
            }
            HistoryCommand::Pin(args) => pin(&args.builds, true, client, out).await,
            HistoryCommand::Unpin(args) => pin(&args.builds, false, client, out).await,
            HistoryCommand::Rm(args) => remove(args, client, out).await,
        };
        connection.close().await;
        done.map(|()| 0)
    })
}

async fn list(args: &LsArgs, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
    let filter = HistoryFilter {
        running: args.running,
        filters: args.filter.iter().map(|text| operators(text)).collect(),
        limit: Some(args.limit),
        ..HistoryFilter::default()
    };
    let mut records = client.history(&filter).await.map_err(refused)?;
    // The daemon sends builds that run whatever the filter is.
    let run = filter.filters.is_empty() || filter.filters.iter().any(|text| lets_run(text));
    records.retain(|record| run || record.state != BuildState::Running);
    // Older daemons know no limit.
    records.truncate(usize::from(args.limit));
    Ok(show::records(
        &records,
        args.format,
        SystemTime::now(),
        out,
    )?)
}

/// A filter as the daemon writes it: its equals sign is `==`.
fn operators(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    let mut letters = text.chars().peekable();
    let mut last = ' ';
    while let Some(letter) = letters.next() {
        out.push(letter);
        let alone = !"=!~<>".contains(last) && letters.peek() != Some(&'=');
        if letter == '=' && alone {
            out.push('=');
        }
        last = letter;
    }
    out
}

/// Can a build that runs match this filter, as the daemon writes it?
///
/// Source: `adaptHistoryRecord` of `moby/buildkit/solver/llbsolver/history/filter.go`.
fn lets_run(filter: &str) -> bool {
    filter.split(',').all(|field| {
        let Some(condition) = field.trim().strip_prefix("status") else {
            return true;
        };
        let (operator, value) = condition.split_at(condition.len().min(2));
        let running = value.trim_matches('"') == "running";
        match operator {
            "==" => running,
            "!=" => !running,
            _ => true,
        }
    })
}

async fn pin(
    builds: &[String],
    pinned: bool,
    client: &Client,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let known = known(client).await?;
    for record in pick_all(&known, builds)? {
        client.pin_build(&record.build, pinned).await?;
        let what = if pinned { "is pinned" } else { "is not pinned" };
        writeln!(out, "{} {what}", show::id(record))?;
    }
    Ok(())
}

async fn remove(args: &RmArgs, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
    let known = known(client).await?;
    let going = if args.all {
        let ended = known
            .iter()
            .filter(|record| record.state != BuildState::Running && !record.pinned);
        ended.collect()
    } else {
        pick_all(&known, &args.builds)?
    };
    if let Some(running) = going
        .iter()
        .find(|record| record.state == BuildState::Running)
    {
        return Err(Failure::Usage {
            message: format!("the build `{}` still runs", show::id(running)),
            help: "stop it where it was started, or wait for its end".into(),
        });
    }
    for record in going {
        client.remove_build(&record.build).await?;
        writeln!(out, "{} is forgotten", show::id(record))?;
    }
    Ok(())
}

async fn known(client: &Client) -> Result<Vec<BuildRecord>, Failure> {
    client
        .history(&HistoryFilter::default())
        .await
        .map_err(refused)
}

/// The build that is meant: its name, how it begins, or the newest.
async fn find(client: &Client, given: Option<&str>) -> Result<BuildRecord, Failure> {
    let Some(given) = given else {
        let newest = HistoryFilter {
            limit: Some(1),
            ..HistoryFilter::default()
        };
        let records = client.history(&newest).await.map_err(refused)?;
        return records.into_iter().next().ok_or_else(|| Failure::Usage {
            message: "the engine remembers no build".into(),
            help: "`dagger up` runs one".into(),
        });
    };
    if let Some(record) = client.build_record(given).await.map_err(refused)? {
        return Ok(record);
    }
    pick(&known(client).await?, given).cloned()
}

/// Every build that is meant, checked before the first is touched; each once.
fn pick_all<'a>(
    known: &'a [BuildRecord],
    given: &[String],
) -> Result<Vec<&'a BuildRecord>, Failure> {
    let mut picked: Vec<&BuildRecord> = Vec::new();
    for given in given {
        let record = pick(known, given)?;
        if !picked.iter().any(|other| other.build == record.build) {
            picked.push(record);
        }
    }
    Ok(picked)
}

fn pick<'a>(known: &'a [BuildRecord], given: &str) -> Result<&'a BuildRecord, Failure> {
    if let Some(record) = known.iter().find(|record| record.build == given) {
        return Ok(record);
    }
    let fits = |record: &&BuildRecord| !given.is_empty() && record.build.starts_with(given);
    let mut fitting = known.iter().filter(fits);
    match (fitting.next(), fitting.count()) {
        (Some(record), 0) => Ok(record),
        (Some(_), more) => Err(Failure::Usage {
            message: format!("{} builds begin with `{given}`", more + 1),
            help: "give more of its name; `dagger history ls` lists them".into(),
        }),
        (None, _) => Err(Failure::Usage {
            message: format!("the engine remembers no build `{given}`"),
            help: "`dagger history ls` lists those that it remembers: the newest 50, and those of two days".into(),
        }),
    }
}

/// An engine without a history, or one that does not understand the filter, in plain words.
fn refused(error: BuildkitError) -> Failure {
    let filter = error.status().and_then(|status| {
        status
            .message()
            .split_once("failed to parse history filters ")
    });
    if let Some((_, problem)) = filter {
        return Failure::Usage {
            message: format!("--filter {problem}"),
            help: "write it as `status=error`, `ref~=NAME` or `duration>1m`; a comma means both"
                .into(),
        };
    }
    match error.status().map(tonic::Status::code) {
        Some(tonic::Code::Unimplemented) => Failure::Usage {
            message: "this engine keeps no history of builds".into(),
            help: "use a buildkitd v0.12 or newer; Docker's built-in BuildKit has none before Docker 24".into(),
        },
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equals_sign_is_doubled_where_it_stands_alone() {
        for (given, sent) in [
            ("status=error,duration>1m", "status==error,duration>1m"),
            ("a==b", "a==b"),
            ("a!=b", "a!=b"),
            ("a~=b", "a~=b"),
            ("a>=1", "a>=1"),
            ("=", "=="),
            ("", ""),
        ] {
            assert_eq!(operators(given), sent);
        }
    }

    #[test]
    fn a_build_that_runs_is_shown_where_its_state_is_not_excluded() {
        for (filter, shown) in [
            ("status==running", true),
            ("status==\"running\"", true),
            ("status!=error", true),
            ("status~=run.*", true),
            ("ref==abc,duration>1m", true),
            ("", true),
            ("status==error", false),
            ("duration>1m, status==completed", false),
            ("status!=running", false),
            ("status==", false),
        ] {
            assert_eq!(lets_run(filter), shown, "{filter}");
        }
    }

    #[test]
    fn a_build_is_meant_by_its_name_or_its_beginning() {
        let known = ["abc", "abcd", "xyz"].map(show::tests::record);
        let found = |given: &str| {
            pick(&known, given)
                .map(|record| record.build.clone())
                .map_err(|failure| failure.to_string())
        };
        assert_eq!(found("abc"), Ok("abc".into()));
        assert_eq!(found("x"), Ok("xyz".into()));
        assert_eq!(found("ab"), Err("2 builds begin with `ab`".into()));
        for given in ["", "q"] {
            assert!(
                found(given).is_err_and(|error| error.contains("remembers no build")),
                "{given}"
            );
        }
        let twice = ["x".to_owned(), "xyz".to_owned()];
        assert_eq!(pick_all(&known, &twice).map(|all| all.len()).ok(), Some(1));
    }
}
