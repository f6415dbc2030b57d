//! `dagger up`: builds a Dockerfile on a BuildKit daemon, and traces it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use tokio::sync::mpsc;

use super::connecting::Connecting;
use super::daemon_spans::{Daemon, DaemonSpansArg};
use super::diagnostic::Failure;
use super::display::Display;
use super::engine_settings::ConnectionArgs;
use super::env::Env;
use super::export_flag;
use super::traced::{Start, Traced};
use super::up_plan::{self, PlanUpArgs};
use crate::engine::{self, EngineSettings};
use crate::plan::Dockerfile;
use crate::progress::event::{BuildEvent, Outcome};
use crate::session::Services;
use crate::solve::{DockerfileOptions, SessionHandle, Solve, SolveError, Solved};

/// Arguments of `dagger up`.
#[derive(Debug, Args)]
pub(super) struct UpArgs {
    /// The directory to build, or with a plan file the actions to run [default: ., or all actions]
    #[arg(value_name = "DIR|ACTION")]
    pub(super) what: Vec<String>,

    #[command(flatten)]
    pub(super) actions: PlanUpArgs,

    /// The Dockerfile [default: DIR/Dockerfile]
    #[arg(long, value_name = "PATH")]
    pub(super) file: Option<PathBuf>,

    /// The stage to build [default: the last]
    #[arg(short, long, value_name = "STAGE")]
    pub(super) target: Option<String>,

    /// Set a build argument; without a value it is taken from the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub(super) build_args: Vec<String>,

    /// Build for these platforms, e.g. linux/amd64,linux/arm64
    #[arg(long, value_delimiter = ',', value_name = "OS/ARCH")]
    pub(super) platform: Vec<String>,

    /// Run every step again
    #[arg(long)]
    no_cache: bool,

    /// Where the result goes: local:DIR, tar:FILE or none
    #[arg(short, long, value_name = "OUTPUT")]
    pub(super) output: Vec<String>,

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
    let (solve, directory) = args.solve(env)?;
    let settings = Arc::new(args.connection.settings(env)?);
    let json = args.log_format == LogFormat::Json;
    start.traced("up", args.quiet, json, async |traced| {
        let display = Display::start(env, args.log_format, args.quiet);
        let result = build(
            args,
            &solve,
            &directory,
            settings,
            &traced,
            display.events(),
        )
        .await;
        let outcome = match &result {
            Ok(_) => Some(Outcome::Done),
            Err(Failure::Build(error)) => Some(error.outcome()),
            // Nothing was begun that could be drawn as ended.
            Err(_) => None,
        };
        display.finish(outcome).await;
        result.map(drop)
    })
}

async fn build(
    args: &UpArgs,
    solve: &Solve,
    directory: &Path,
    settings: Arc<EngineSettings>,
    traced: &Traced,
    events: mpsc::Sender<Vec<BuildEvent>>,
) -> Result<Solved, Failure> {
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
    let session = SessionHandle::open(&connection.client, Services::default(), directory);
    let solved = solve.run(&session, events, &traced.cancel).await;
    session.close().await;
    daemon.take(&connection.client, traced).await;
    connection.close().await;
    Ok(solved?)
}

impl UpArgs {
    /// The actions of a plan that are made anew; an empty name: all.
    pub(super) fn no_cached_actions(&self) -> Vec<String> {
        self.no_cache.then(String::new).into_iter().collect()
    }

    /// What the arguments ask for, checked as far as it can be without an engine.
    fn solve(&self, env: &Env) -> Result<(Solve, PathBuf), Failure> {
        let exports = export_flag::parse(&self.output, &env.cwd)?;
        let mut build_args = BTreeMap::new();
        for text in &self.build_args {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                // As docker does: a name alone passes the variable on, if it is set.
                None => (text.as_str(), (env.var)(text)),
            };
            if name.is_empty() {
                let message = format!("--build-arg `{text}` has no name");
                return Err(Failure::Usage {
                    message,
                    help: "write `--build-arg NAME=VALUE`".into(),
                });
            }
            build_args.extend(value.map(|value| (name.to_owned(), value)));
        }
        let options = DockerfileOptions {
            target: self.target.clone(),
            build_args,
            platforms: self.platform.clone(),
            no_cache: self.no_cache.then(Vec::new),
            ..DockerfileOptions::default()
        };
        let dockerfile = Dockerfile::find(
            &env.cwd,
            Path::new(self.what.first().map_or(".", String::as_str)),
            self.file.as_deref(),
        )?;
        let mut solve = options.solve(&dockerfile);
        solve.exports = exports;
        Ok((solve, dockerfile.context))
    }
}
