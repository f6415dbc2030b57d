//! `dagger trace`: the traces of the local store, and verifying them.
//!
//! Lives here: the commands on the local store, one file each, and which trace is meant (`pick`).
//! Elsewhere: the store and the algorithms (`trace`), proving that a trace is whole (`trace_verify`).

mod compare;
mod expect;
mod files;
mod forget;
mod list;
mod path;
mod pick;
mod push;
mod query;
mod serve;
mod show;
mod text;
mod waterfall;

use std::io::{self, ErrorKind, Write};

use clap::Subcommand;

use super::diagnostic::Failure;
use super::trace_exec::{self, ExecArgs};
use super::trace_rules::{self, ExplainArgs, RulesArgs, SpansArgs};
use super::trace_verify::VerifyArgs;
use super::traced::Start;

/// Commands of `dagger trace`.
#[derive(Debug, Subcommand)]
pub(super) enum TraceCommand {
    /// Read a trace back from Jaeger and prove that it is whole
    Verify(VerifyArgs),
    /// List the rules that verify checks
    Rules(RulesArgs),
    /// Say what a rule proves, when it fails and what to do then
    Explain(ExplainArgs),
    /// Write, check and describe files of expectations
    #[command(subcommand)]
    Expect(expect::ExpectCommand),
    /// List the kinds of span that dagger makes
    Spans(SpansArgs),
    /// Run a command in a span, with TRACEPARENT set for what it starts
    Exec(ExecArgs),
    /// List the runs that are recorded on this machine, newest first
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Show a trace: its spans as a waterfall, the critical path marked
    Show(show::ShowArgs),
    /// Show what a run waited for, from its begin to its end
    CriticalPath(path::PathArgs),
    /// Show which spans of a run a selector means
    Query(query::QueryArgs),
    /// Compare two traces, and say why steps were not cached
    Diff(compare::DiffArgs),
    /// Write a trace to a file that Jaeger's page or an OpenTelemetry program reads
    Export(files::ExportArgs),
    /// Take the traces of a file into the local store
    Import(files::ImportArgs),
    /// Send the spans that wait because a destination did not take them
    Push(push::PushArgs),
    /// Show the runs in a browser, and answer Jaeger's query API
    Serve(serve::ServeArgs),
    /// Remove runs with their traces from the local store
    Rm(forget::RmArgs),
    /// Remove the oldest runs from the local store
    Prune(forget::PruneArgs),
}

/// Runs a command on the local store and gives the exit code.
///
/// # Errors
/// When there is no such trace, the store cannot be used, or the result cannot be written. That nobody
/// reads it any more (`| head`) is none.
pub(super) fn run(command: &TraceCommand, start: Start<'_>) -> Result<u8, Failure> {
    let env = start.env;
    let result = match command {
        TraceCommand::Verify(args) => return super::verify(args, env),
        TraceCommand::Exec(args) => return trace_exec::run(args, start),
        TraceCommand::Serve(args) => return serve::run(args, start),
        TraceCommand::Rules(args) => trace_rules::list(args).map_err(Failure::from),
        TraceCommand::Explain(args) => trace_rules::explain(args).map_err(Failure::from),
        TraceCommand::Expect(command) => expect::run(command, env),
        TraceCommand::Spans(args) => trace_rules::spans(args).map_err(Failure::from),
        TraceCommand::List(args) => list::run(args, env),
        TraceCommand::Show(args) => show::run(args, env),
        TraceCommand::CriticalPath(args) => path::run(args, env),
        TraceCommand::Query(args) => query::run(args, env),
        TraceCommand::Diff(args) => compare::run(args, env),
        TraceCommand::Export(args) => files::export(args, env),
        TraceCommand::Import(args) => files::import(args, env),
        TraceCommand::Push(args) => push::run(args, env),
        TraceCommand::Rm(args) => forget::remove(args, env),
        TraceCommand::Prune(args) => forget::prune(args, env),
    };
    match result {
        Err(Failure::System(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
        other => other.map(|()| 0),
    }
}

/// Writes a result to standard output.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes a result to standard output as JSON on lines of its own.
fn print_json(json: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{json:#}\n"))
}
