//! The command line: one file a command; results become text and an exit code.
//!
//! Lives here: flags, settings, what is printed, exit codes. Elsewhere: all the work.
//! Start at [`run`].

mod build_flags;
mod call;
mod completion;
mod connecting;
mod context;
mod daemon_spans;
mod diagnostic;
mod display;
mod doctor;
mod duration;
mod engine;
mod engine_memory;
mod engine_settings;
mod env;
mod export_flag;
mod fields;
mod history;
mod interrupt;
mod logging;
mod pipes;
mod plan;
mod plan_caches;
mod plan_digest;
mod policy_file;
mod redact;
mod results;
mod retain;
mod sizes;
mod trace;
mod trace_exec;
mod trace_line;
mod trace_rules;
pub mod trace_verify;
mod traced;
mod untraced;
mod up;
mod up_plan;
mod whole_file;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

pub use diagnostic::Failure;
pub use env::{Env, Vars};
use trace_verify::VerifyError;
use traced::Start;

/// A tracing-first build harness for BuildKit
#[derive(Debug, Parser)]
#[command(name = "dagger", version, propagate_version = true)]
struct Cli {
    /// How much is logged on standard error, beside what the command shows
    #[arg(long, global = true, value_enum, default_value_t = logging::Level::Warn, value_name = "LEVEL")]
    log_level: logging::Level,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a plan or build a Dockerfile on a BuildKit daemon, and trace it
    Up(Box<up::UpArgs>),
    /// Look at a plan without running it
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    /// Manage the engine that dagger keeps, and an engine's cache
    #[command(subcommand)]
    Engine(engine::EngineCommand),
    /// Check all that a traced build needs, and say how to mend what is broken
    Doctor(doctor::DoctorArgs),
    /// Look at the builds that an engine remembers, whoever ran them
    #[command(subcommand)]
    History(history::HistoryCommand),
    /// Work with traces
    #[command(subcommand)]
    Trace(trace::TraceCommand),
    /// Print the script that makes a shell complete dagger's commands and flags
    #[command(after_help = COMPLETION_HELP)]
    Completion(completion::CompletionArgs),
    /// Print the manual page, or write those of all commands into a folder
    Man(completion::ManArgs),
}

/// Where each shell looks for the script.
const COMPLETION_HELP: &str = "\
bash:  dagger completion bash > ~/.local/share/bash-completion/completions/dagger
zsh:   dagger completion zsh > DIR/_dagger       (DIR: one of $fpath)
fish:  dagger completion fish > ~/.config/fish/completions/dagger.fish";

/// Runs the command line and gives the process's exit code.
pub fn run(args: impl IntoIterator<Item = OsString>, env: &Env) -> u8 {
    let args: Vec<_> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for; all else is wrong usage. Nothing can be said of a
            // terminal that is gone.
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    let shown: Vec<_> = args
        .iter()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let verbose = match &cli.command {
        Command::Up(args) => args.connection.verbose,
        Command::Engine(command) => command.connection().verbose,
        Command::Doctor(args) => args.connection.verbose,
        Command::History(command) => command.connection().verbose,
        Command::Plan(_) | Command::Trace(_) | Command::Completion(_) | Command::Man(_) => 0,
    };
    let start = Start {
        env,
        args: &shown,
        log_level: cli.log_level.raised(verbose),
    };
    let result = match &cli.command {
        Command::Up(args) => up::run(args, start),
        Command::Plan(command) => plan::run(command, env),
        Command::Engine(command) => engine::run(command, start),
        Command::Doctor(args) => doctor::run(args, start),
        Command::History(command) => history::run(command, start),
        Command::Trace(command) => trace::run(command, start),
        Command::Completion(args) => completion::complete(args),
        Command::Man(args) => completion::man(args, env),
    };
    result.unwrap_or_else(|failure| {
        // The exit code tells it too, if standard error is closed.
        let _ = failure.print(&mut std::io::stderr(), env.colour());
        failure.exit_code()
    })
}

fn verify(args: &trace_verify::VerifyArgs, env: &Env) -> Result<u8, Failure> {
    let status = asking(env, async |context| trace_verify::run(args, context).await)?;
    Ok(status.code())
}

/// Runs what asks a Jaeger, until it ends or is interrupted.
fn asking<T>(
    env: &Env,
    work: impl AsyncFnOnce(&mut trace_verify::VerifyContext<'_>) -> Result<T, VerifyError>,
) -> Result<T, Failure> {
    let mut context = trace_verify::VerifyContext {
        state_dir: env.state_dir(),
        directory: env.cwd.clone(),
        var: &*env.var,
        stdout: &mut std::io::stdout(),
        stderr: &mut std::io::stderr(),
        stdout_colour: env.colour_of(env.stdout_is_terminal),
        stderr_live: env.live(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            done = work(&mut context) => done.map_err(Failure::from),
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        }
    })
}
