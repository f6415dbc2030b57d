//! `dagger engine`: the engines that `dagger` keeps, and the cache of the one in use.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use tracing::Span;

use super::diagnostic::Failure;
use super::duration;
use super::engine_settings::ConnectionArgs;
use super::traced::Start;
use super::untraced::Untraced;
use crate::buildkit::{DiskUse, Propagate, Pruning};
use crate::engine::managed::{self, EngineStatus, Log, State};
use crate::engine::{self, Connection, EngineError, EngineSettings, Watch};
use crate::progress::bytes;

/// How often a followed log is looked at.
const FOLLOW: Duration = Duration::from_millis(200);

/// Commands of `dagger engine`.
#[derive(Debug, Subcommand)]
pub(super) enum EngineCommand {
    /// Show the engines that dagger keeps, and what they do
    Status(StatusArgs),
    /// Connect to the engine and show what it says of itself
    Info(StatusArgs),
    /// Start the engine that `dagger up` would start
    Start(ConnectionArgs),
    /// Stop the engines that dagger keeps; their caches stay
    Stop(ConnectionArgs),
    /// Show the log of the engine that dagger keeps
    Logs(LogsArgs),
    /// Show what the engine's cache holds
    Du(DuArgs),
    /// Free what the engine's cache holds and no build uses
    Prune(PruneArgs),
}

impl EngineCommand {
    /// The flags about the connection, which each of them has.
    pub(super) fn connection(&self) -> &ConnectionArgs {
        match self {
            Self::Start(args) | Self::Stop(args) => args,
            Self::Status(args) | Self::Info(args) => &args.connection,
            Self::Logs(args) => &args.connection,
            Self::Du(args) => &args.connection,
            Self::Prune(args) => &args.connection,
        }
    }
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Arguments of `dagger engine status` and `info`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `dagger engine logs`.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Go on showing what comes
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines
    #[arg(short = 'n', long, default_value_t = 100, value_name = "LINES")]
    tail: usize,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `dagger engine du`.
#[derive(Debug, Args)]
pub(super) struct DuArgs {
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Arguments of `dagger engine prune`.
#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Also what frontends keep for themselves
    #[arg(long)]
    all: bool,
    /// Keep what was used within this time, e.g. 48h
    #[arg(long, value_name = "TIME", value_parser = duration::parse_long, default_value = "0s")]
    keep_duration: Duration,
    /// Keep this much, in megabytes
    #[arg(long, value_name = "MB", default_value_t = 0)]
    keep_storage: u64,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Notes go to standard error, a line each.
struct Notes;

impl Watch for Notes {
    fn note(&self, line: &str) {
        // A closed standard error loses the notes, not the work.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// No trace is made of these.
pub(super) struct NoTrace;

impl Propagate for NoTrace {
    fn traceparent(&self, _: &Span) -> Option<String> {
        None
    }

    fn tracestate(&self) -> Option<String> {
        None
    }
}

/// Runs the command and gives the exit code.
///
/// # Errors
/// When settings make no sense, or there is no engine.
pub(super) fn run(command: &EngineCommand, start: Start<'_>) -> Result<u8, Failure> {
    let env = start.env;
    let settings = Arc::new(command.connection().settings(env)?);
    let out = &mut std::io::stdout();
    start.untraced(async |untraced| match command {
        EngineCommand::Status(args) => status(args, &settings, out).await,
        EngineCommand::Info(args) => info(args, settings, out).await,
        EngineCommand::Start(_) => {
            let address = managed::start(&settings, Arc::new(Notes)).await?;
            let settings = EngineSettings::clone(&settings).with_host(Some(&address))?;
            // It is started when it answers.
            let reached = reach(Arc::new(settings)).await?;
            writeln!(out, "{address} runs, buildkitd {}", reached.daemon.version)?;
            reached.close().await;
            Ok(0)
        }
        EngineCommand::Stop(_) => {
            for address in managed::stop(&settings, Arc::new(Notes)).await? {
                writeln!(out, "{address} is stopped")?;
            }
            Ok(0)
        }
        EngineCommand::Logs(args) => logs(args, &settings, out, untraced).await,
        EngineCommand::Du(args) => usage(args, settings, out).await,
        EngineCommand::Prune(args) => prune(args, settings, out).await,
    })
}

/// Connects without a trace.
pub(super) async fn reach(settings: Arc<EngineSettings>) -> Result<Connection, EngineError> {
    engine::connect(settings, Arc::new(NoTrace), Arc::new(engine::Unwatched)).await
}

async fn status(
    args: &StatusArgs,
    settings: &Arc<EngineSettings>,
    out: &mut impl Write,
) -> Result<u8, Failure> {
    let found = managed::status(settings, Arc::new(Notes)).await;
    match args.format {
        Format::Json => {
            let text = serde_json::to_string_pretty(&found).map_err(std::io::Error::from)?;
            writeln!(out, "{text}")?;
        }
        Format::Text => write_status(&found, out)?,
    }
    Ok(0)
}

async fn info(
    args: &StatusArgs,
    settings: Arc<EngineSettings>,
    out: &mut impl Write,
) -> Result<u8, Failure> {
    let Connection {
        ref daemon,
        ref choice,
        ..
    } = reach(settings).await?;
    match args.format {
        Format::Json => {
            let all = serde_json::json!({
                "address": choice.address.to_string(),
                "chosen_by": choice.by.to_string(),
                "version": daemon.version,
                "worker": daemon.worker,
                "platforms": daemon.platforms,
            });
            writeln!(out, "{all:#}")?;
        }
        Format::Text => {
            writeln!(out, "address    {} (from {})", choice.address, choice.by)?;
            let version = match daemon.version.as_str() {
                "" => "too old to say it",
                version => version,
            };
            writeln!(out, "version    {version}")?;
            writeln!(out, "worker     {}", daemon.worker)?;
            writeln!(out, "platforms  {}", daemon.platforms.join(" "))?;
        }
    }
    Ok(0)
}

fn write_status(found: &[EngineStatus], out: &mut impl Write) -> std::io::Result<()> {
    let width = found.iter().map(|one| one.address.len()).max().unwrap_or(0);
    for EngineStatus {
        address,
        state,
        detail,
        ..
    } in found
    {
        let state = match state {
            State::Running => "running",
            State::Stopped => "stopped",
            State::Absent => "absent",
            State::Unavailable => "unavailable",
        };
        writeln!(out, "{address:<width$}  {state:<11}  {detail}")?;
    }
    Ok(())
}

async fn logs(
    args: &LogsArgs,
    settings: &Arc<EngineSettings>,
    out: &mut impl Write,
    untraced: Untraced,
) -> Result<u8, Failure> {
    let shown = managed::logs(settings, Arc::new(Notes), args.tail, args.follow);
    let shown = tokio::select! {
        shown = shown => shown?,
        () = untraced.cancel.cancelled() => return Err(Failure::Interrupted),
    };
    match shown {
        Some(Log::Shown) => Ok(0),
        Some(Log::File(file)) => show_file(&file, args, out, &untraced).await,
        None => Err(Failure::Usage {
            message: "there is no engine of ours, so no log".into(),
            help: "`dagger engine start` starts one; the log of another engine is where it runs"
                .into(),
        }),
    }
}

async fn show_file(
    file: &Path,
    args: &LogsArgs,
    out: &mut impl Write,
    untraced: &Untraced,
) -> Result<u8, Failure> {
    let text = std::fs::read(file)?;
    let mut shown = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let lossy = String::from_utf8_lossy(&text);
    let lines: Vec<_> = lossy.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(args.tail)) {
        writeln!(out, "{line}")?;
    }
    if !args.follow {
        return Ok(0);
    }
    loop {
        tokio::select! {
            () = tokio::time::sleep(FOLLOW) => {}
            () = untraced.cancel.cancelled() => return Err(Failure::Interrupted),
        }
        let mut more = Vec::new();
        let mut open = std::fs::File::open(file)?;
        open.seek(SeekFrom::Start(shown))?;
        open.read_to_end(&mut more)?;
        shown += u64::try_from(more.len()).unwrap_or(0);
        out.write_all(&more)?;
        out.flush()?;
    }
}

async fn usage(
    args: &DuArgs,
    settings: Arc<EngineSettings>,
    out: &mut impl Write,
) -> Result<u8, Failure> {
    let connection = reach(settings).await?;
    let mut records = connection.client.disk_usage().await?;
    connection.close().await;
    records.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.id.cmp(&b.id)));
    let total: u64 = records.iter().map(|record| record.bytes).sum();
    let free = records.iter().filter(|record| !record.in_use);
    let free: u64 = free.map(|record| record.bytes).sum();
    match args.format {
        Format::Json => {
            let records: Vec<_> = records.iter().map(as_json).collect();
            let all =
                serde_json::json!({"records": records, "bytes": total, "reclaimable_bytes": free});
            writeln!(out, "{all:#}")?;
        }
        Format::Text => {
            for record in &records {
                write_record(record, out)?;
            }
            writeln!(
                out,
                "{:>9}  in all, {} can be freed",
                bytes(total),
                bytes(free)
            )?;
        }
    }
    Ok(0)
}

async fn prune(
    args: &PruneArgs,
    settings: Arc<EngineSettings>,
    out: &mut impl Write,
) -> Result<u8, Failure> {
    let connection = reach(settings).await?;
    let pruning = Pruning {
        all: args.all,
        keep_for: args.keep_duration,
        keep_bytes: args.keep_storage.saturating_mul(1_000_000),
    };
    let mut freed = 0;
    let mut written = Ok(());
    let gone = |record: DiskUse| {
        freed += record.bytes;
        if written.is_ok() {
            written = write_record(&record, out);
        }
    };
    connection.client.prune(pruning, gone).await?;
    connection.close().await;
    written?;
    writeln!(out, "{:>9}  freed", bytes(freed))?;
    Ok(0)
}

fn write_record(record: &DiskUse, out: &mut impl Write) -> std::io::Result<()> {
    let used = if record.in_use { "  (in use)" } else { "" };
    let what = if record.description.is_empty() {
        &record.id
    } else {
        &record.description
    };
    writeln!(
        out,
        "{:>9}  {:<16}  {what}{used}",
        bytes(record.bytes),
        record.kind
    )
}

fn as_json(record: &DiskUse) -> serde_json::Value {
    serde_json::json!({
        "id": record.id,
        "kind": record.kind,
        "description": record.description,
        "bytes": record.bytes,
        "in_use": record.in_use,
        "shared": record.shared,
    })
}
