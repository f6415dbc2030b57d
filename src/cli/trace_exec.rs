//! `dagger trace exec`: runs any command in a span, with `TRACEPARENT` set for what it starts.

use std::process::{ExitStatus, Stdio};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{Instrument, field::Empty, info_span};

use super::diagnostic::Failure;
use super::redact;
use super::traced::{Interrupts, Start};

/// Arguments of `dagger trace exec`.
#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// The span's name [default: the command's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Show nothing of the trace but warnings
    #[arg(short, long)]
    quiet: bool,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the command; the exit code is its own, 128 and the signal's number if one ended it, 127 if it
/// cannot be run.
///
/// # Errors
/// When settings make no sense, or the process cannot be set up.
pub(super) fn run(args: &ExecArgs, start: Start<'_>) -> Result<u8, Failure> {
    let program = args.command.first().map(String::as_str).unwrap_or_default();
    let short = program.rsplit('/').next().unwrap_or(program);
    start.traced_with(
        "trace exec",
        args.quiet,
        false,
        Interrupts::Own,
        async |traced| {
            let span = info_span!(
                "exec",
                otel.name = args.name.as_deref().unwrap_or(short),
                process.executable.name = short,
                process.command_line =
                    redact::command_line(args.command.iter().map(String::as_str)),
                process.pid = Empty,
                process.exit.code = Empty,
                otel.status = Empty,
                otel.status_message = Empty,
            );
            let mut command = Command::new(program);
            command
                .args(args.command.iter().skip(1))
                .stdin(Stdio::inherit());
            // What our own caller had set is our parent, not the command's.
            command.env_remove("TRACEPARENT").env_remove("TRACESTATE");
            if let Some(parent) = traced.telemetry.traceparent_for_child(&span) {
                command.env("TRACEPARENT", parent);
                command.envs(
                    traced
                        .telemetry
                        .tracestate()
                        .map(|state| ("TRACESTATE", state)),
                );
            }
            let ended = async {
                let mut child = command.spawn()?;
                span.record("process.pid", child.id());
                wait(&mut child).await
            }
            .instrument(span.clone())
            .await;
            let failure = match ended {
                Ok(status) if status.success() => None,
                Ok(status) => Some(Failure::Exited {
                    program: short.to_owned(),
                    code: code(status),
                }),
                Err(error) => Some(Failure::NotRun {
                    program: program.to_owned(),
                    source: error,
                }),
            };
            let code = failure.as_ref().map_or(0, Failure::exit_code);
            span.record("process.exit.code", code);
            if let Some(failure) = &failure {
                span.record("otel.status", "error");
                span.record("otel.status_message", failure.to_string());
            }
            failure.map_or(Ok(()), Err)
        },
    )
}

/// Waits for the command, and passes on the signals that we get meanwhile.
async fn wait(child: &mut Child) -> std::io::Result<ExitStatus> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    loop {
        let given = tokio::select! {
            status = child.wait() => return status,
            _ = hangup.recv() => Signal::HUP,
            _ = interrupt.recv() => Signal::INT,
            _ = quit.recv() => Signal::QUIT,
            _ = terminate.recv() => Signal::TERM,
        };
        // What a key sends, the terminal has sent to the command too.
        let by_key = matches!(given, Signal::INT | Signal::QUIT)
            && rustix::termios::isatty(std::io::stdin());
        if let Some(pid) = pid.filter(|_| !by_key) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, given);
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
