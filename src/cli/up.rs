//! `dagger up`: builds a Dockerfile on a BuildKit daemon, and traces it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use tokio::sync::mpsc;

use super::build_flags::BuildFlags;
use super::call::{Call, CallFlags};
use super::connecting::Connecting;
use super::context::Context;
use super::daemon_spans::{Daemon, DaemonSpansArg};
use super::diagnostic::Failure;
use super::display::Display;
use super::engine_settings::ConnectionArgs;
use super::env::Env;
use super::plan_digest;
use super::results::ResultFiles;
use super::traced::{Start, Traced};
use super::up_plan::{self, PlanUpArgs};
use crate::engine::{self, EngineSettings};
use crate::progress::event::{BuildEvent, Outcome};
use crate::session::Services;
use crate::solve::{Answer, SessionHandle, Solve, SolveError, Solved};

/// Arguments of `dagger up`.
#[derive(Debug, Args)]
pub(super) struct UpArgs {
    /// What to build: a directory, a git repository's or an archive's URL, or - for a Dockerfile on standard input; with a plan file the actions to run [default: ., or all actions]
    #[arg(value_name = "DIR|ACTION")]
    pub(super) what: Vec<String>,

    #[command(flatten)]
    pub(super) actions: PlanUpArgs,

    /// The Dockerfile, - for standard input [default: DIR/Dockerfile]
    #[arg(long, value_name = "PATH")]
    pub(super) file: Option<PathBuf>,

    #[command(flatten)]
    pub(super) build: BuildFlags,

    #[command(flatten)]
    pub(super) call: CallFlags,

    #[command(flatten)]
    pub(super) results: ResultFiles,

    /// How the build is shown
    #[arg(long, value_enum, default_value_t = LogFormat::Auto, value_name = "FORMAT")]
    pub(super) log_format: LogFormat,

    /// Show nothing but failures
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// Who sends the daemon's own spans to Jaeger
    #[arg(long, value_enum, default_value_t, value_name = "WHO")]
    pub(super) daemon_spans: DaemonSpansArg,

    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// How the build is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Live rows on a terminal, plain lines elsewhere
    Auto,
    /// Live rows
    Tty,
    /// Plain lines
    Plain,
    /// One JSON event a line
    Json,
}

/// Runs the build and gives the exit code.
///
/// # Errors
/// When arguments or settings make no sense. What goes wrong once the trace has begun is told here
/// and ends in the exit code.
pub(super) fn run(args: &UpArgs, start: Start<'_>) -> Result<u8, Failure> {
    let env = start.env;
    if args.is_plan(env)? {
        return up_plan::run(args, start);
    }
    let call = args.call.read()?;
    let (solve, served) = args.solve(env)?;
    let settings = Arc::new(args.connection.settings(env)?);
    let json = args.log_format == LogFormat::Json;
    start.traced("up", args.quiet, json, async |traced| {
        traced.declare(&served.services);
        if let Some(file) = served.context.file() {
            plan_digest::note(&traced.telemetry, &file);
        }
        let display = Display::start(env, args.log_format, args.quiet);
        let (events, watched) = args.results.watch(display.events());
        let asked = Asked {
            solve,
            call,
            served,
        };
        let result = build(args, asked, settings, &traced, events).await;
        let outcome = match &result {
            Ok(_) => Some(Outcome::Done),
            Err(Failure::Build(error)) => Some(error.outcome()),
            // Nothing was begun that could be drawn as ended.
            Err(_) => None,
        };
        let error = result.as_ref().err().map(ToString::to_string);
        let summary = args.results.write_summary(env, watched, error).await;
        display.finish(outcome).await;
        let done = result?;
        summary?;
        match done {
            Done::Built(solved) => args.results.write(env, &solved),
            Done::Answered(call, answer) => call.print(&answer),
        }
    })
}

/// What is to be done on the engine.
struct Asked {
    solve: Solve,
    /// A question to the frontend, in place of the build.
    call: Option<Call>,
    served: Served,
}

/// What came of it.
enum Done {
    Built(Solved),
    Answered(Call, Answer),
}

/// What the session is opened with.
struct Served {
    services: Services,
    /// Where the build is from.
    directory: PathBuf,
    /// Its files are there as long as this is.
    context: Context,
}

async fn build(
    args: &UpArgs,
    asked: Asked,
    settings: Arc<EngineSettings>,
    traced: &Traced,
    events: mpsc::Sender<Vec<BuildEvent>>,
) -> Result<Done, Failure> {
    let Asked {
        solve,
        call,
        served,
    } = asked;
    let what = match &settings.address {
        Some(address) => format!("[internal] connecting to {address}"),
        None => "[internal] finding an engine".to_owned(),
    };
    let connecting = Connecting::start(events.clone(), what);
    let connection = tokio::select! {
        connection = engine::connect(settings.clone(), traced.propagate.clone(), connecting.watch()) => connection?,
        () = traced.cancel.cancelled() => return Err(SolveError::Cancelled.into()),
    };
    drop(connecting);
    let daemon = Daemon::watch(args.daemon_spans.into(), &connection, settings, traced);
    let Served {
        services,
        directory,
        context: _context,
    } = served;
    let session = SessionHandle::open(&connection.client, services, &directory);
    let cancel = &traced.cancel;
    let done = match call {
        None => solve.run(&session, events, cancel).await.map(Done::Built),
        Some(call) => {
            let answer = solve.ask(&call.question, &session, &events, cancel).await;
            answer.map(|answer| Done::Answered(call, answer))
        }
    };
    session.close().await;
    daemon.take(&connection.client, traced).await;
    connection.close().await;
    Ok(done?)
}

impl UpArgs {
    /// The actions of a plan that are made anew; an empty name: all.
    pub(super) fn no_cached_actions(&self) -> Vec<String> {
        match &self.build.no_cache {
            None => Vec::new(),
            Some(names) if names.is_empty() => vec![String::new()],
            Some(names) => names.clone(),
        }
    }

    /// What the arguments ask for, checked as far as it can be without an engine.
    fn solve(&self, env: &Env) -> Result<(Solve, Served), Failure> {
        let asked = self.build.read(env)?;
        let what = self.what.first().map_or(".", String::as_str);
        let context = Context::find(env, what, self.file.as_deref())?;
        let mut solve = context.solve(&asked.options);
        solve.locals.extend(asked.locals);
        solve.exports = asked.exports;
        solve.cache_from = asked.cache_from;
        solve.cache_to = asked.cache_to;
        solve.entitlements = asked.entitlements;
        solve.source_policy = asked.source_policy;
        let served = Served {
            services: asked.services,
            directory: context.directory(env),
            context,
        };
        Ok((solve, served))
    }
}
