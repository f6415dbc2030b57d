//! Helper processes: `docker`, `podman`, `kubectl`, `ssh`.
//!
//! Lives here: starting one on a leash, its span, the end of its standard error, the two ways of use:
//! run to its end ([`run`]), or carry a connection on its standard input and output ([`open`]).
//! Elsewhere: what they are told to do, and what their words mean (the files of the schemes).

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{Instrument, Span, field::Empty, info_span};

use super::leash;
use super::settings::{EngineSettings, Surroundings};

/// Lines of standard error that are kept for the error message; older ones go.
const STDERR_LINES: usize = 20;

/// Bytes of one such line.
const LINE_BYTES: usize = 2_000;

/// Bytes of standard output that a helper run to its end may write.
const STDOUT_BYTES: u64 = 8 << 20;

/// How long a helper may take to end after its connection was closed.
const END: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandLine {
    program: &'static str,
    args: Vec<String>,
}

/// How a helper ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub(super) code: Option<i32>,
    /// Its standard output, of one run to its end.
    pub(super) stdout: String,
    /// The last lines of its standard error.
    pub(super) stderr: String,
}

/// Why a helper did not end by itself.
#[derive(Debug)]
pub(super) enum HelperError {
    /// The program is not on `PATH`.
    Missing,
    /// It could not be started, or its output not be read.
    System(io::Error),
    /// It took too long and was killed.
    Deadline(Duration),
}

impl CommandLine {
    pub(super) fn new(program: &'static str, args: &[&str]) -> Self {
        Self {
            program,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
        }
    }

    /// With more arguments.
    pub(super) fn with<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The program's name.
    pub(super) fn program(&self) -> &'static str {
        self.program
    }

    /// The parent is said, not entered: of a span that is entered already `tracing` forgets that it is once more.
    fn span(&self, parent: &Span) -> Span {
        // `docker run`, `ssh`: the program and its verb.
        let verb = self
            .args
            .iter()
            .find(|arg| !arg.starts_with('-') && self.program != "ssh");
        let name = verb.map_or_else(
            || self.program.to_owned(),
            |verb| format!("{} {verb}", self.program),
        );
        info_span!(
            parent: parent,
            "process",
            otel.name = name,
            process.command_line = %self,
            process.pid = Empty,
            process.exit.code = Empty,
            process.killed = Empty,
            dagger.carries = Empty,
            dagger.retried = Empty,
            otel.status = Empty,
            otel.status_message = Empty,
        )
    }

    fn command(&self, settings: &EngineSettings) -> Result<Command, HelperError> {
        let program = find(self.program, settings.path.as_deref()).ok_or(HelperError::Missing)?;
        let mut command = match &settings.program {
            Some(dagger) => {
                let mut command = Command::new(dagger);
                command
                    .arg(leash::WORD)
                    .arg(std::process::id().to_string())
                    .arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .args(&self.args)
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C is for us: the helper must live until the build has been cancelled over it.
            .process_group(0);
        Ok(command)
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program)?;
        for arg in &self.args {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:@,+%".contains(c);
            if !arg.is_empty() && arg.chars().all(plain) {
                write!(f, " {arg}")?;
            } else {
                write!(f, " '{}'", arg.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

/// Where a program is, as the shell would find it.
pub(super) fn find(program: &str, path: Option<&str>) -> Option<PathBuf> {
    std::env::split_paths(path?)
        .map(|dir| dir.join(program))
        .find(|file| {
            file.metadata()
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// How a helper is run to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// After this it is killed.
    pub(super) deadline: Duration,
    /// Is its standard error worth showing while it runs?
    pub(super) shown: bool,
    /// Is an exit code other than 0 an answer like another, as of a question whether something exists?
    pub(super) asks: bool,
}

/// Runs a helper to its end, in a span under the current one.
///
/// # Errors
/// When it could not be run or did not end in time; its exit code is no error here.
pub(super) async fn run(
    command: &CommandLine,
    run: Run,
    around: &Surroundings,
) -> Result<Ended, HelperError> {
    let span = command.span(&Span::current());
    let unbounded = run_unbounded(command, around, run.shown, &span);
    let result = tokio::time::timeout(run.deadline, unbounded)
        .instrument(span.clone())
        .await
        .unwrap_or(Err(HelperError::Deadline(run.deadline)));
    match &result {
        Ok(ended) => record(&span, ended, run.asks),
        Err(error) => {
            span.record("dagger.retried", true);
            span.record("otel.status", "error");
            span.record("otel.status_message", error.to_string());
        }
    }
    result
}

async fn run_unbounded(
    command: &CommandLine,
    around: &Surroundings,
    notes: bool,
    span: &Span,
) -> Result<Ended, HelperError> {
    let mut started = command.command(&around.settings)?;
    let mut child = started.stdin(Stdio::null()).spawn()?;
    span.record("process.pid", child.id());
    let tail = Tail::default();
    let watch = notes.then(|| around.clone());
    let stderr = tail.clone().read(child.stderr.take(), watch);
    let mut stdout = Vec::new();
    let read = async {
        match child.stdout.take() {
            Some(out) => out.take(STDOUT_BYTES).read_to_end(&mut stdout).await,
            None => Ok(0),
        }
    };
    let (read, ()) = tokio::join!(read, stderr);
    read?;
    let status = child.wait().await?;
    Ok(Ended {
        code: status.code(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: tail.text(),
    })
}

/// Runs a helper that writes to our own standard output and error; gives its exit code.
///
/// # Errors
/// When it could not be run.
pub(super) async fn show(
    command: &CommandLine,
    settings: &EngineSettings,
) -> Result<i32, HelperError> {
    let mut command = command.command(settings)?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit());
    Ok(command.status().await?.code().unwrap_or(-1))
}

/// A connection on a helper's standard input and output.
pub(super) type Pipe = tokio::io::Join<ChildStdout, ChildStdin>;

/// Starts a helper that carries a connection. Its span is a child of `parent` and ends with it.
///
/// # Errors
/// When it could not be started.
pub(super) fn open(
    command: &CommandLine,
    settings: &EngineSettings,
    parent: &Span,
) -> Result<(Pipe, Helper), HelperError> {
    let span = command.span(parent);
    span.record("dagger.carries", true);
    let mut child = command.command(settings)?.stdin(Stdio::piped()).spawn()?;
    span.record("process.pid", child.id());
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
    };
    let (ended, watched) = watch::channel(None);
    let kill = CancellationToken::new();
    tokio::spawn(attend(child, span, kill.clone(), ended));
    let helper = Helper {
        command: command.clone(),
        ended: watched,
        kill: Arc::new(kill.drop_guard()),
    };
    Ok((tokio::io::join(stdout, stdin), helper))
}

/// Waits for the helper's end, and records it.
async fn attend(
    mut child: Child,
    span: Span,
    kill: CancellationToken,
    ended: watch::Sender<Option<Ended>>,
) {
    let tail = Tail::default();
    let stderr = tail.clone().read(child.stderr.take(), None);
    let status = async {
        tokio::select! {
            status = child.wait() => status,
            () = kill.cancelled() => {
                child.start_kill()?;
                child.wait().await
            }
        }
    };
    // A helper's own children may keep standard error open longer than it lives.
    let status: io::Result<ExitStatus> = tokio::select! {
        (status, ()) = async { tokio::join!(status, stderr) } => status,
        status = async {
            kill.cancelled().await;
            tokio::time::sleep(END).await;
            Err(io::ErrorKind::TimedOut.into())
        } => status,
    };
    let end = Ended {
        code: status.ok().and_then(|status| status.code()),
        stdout: String::new(),
        stderr: tail.text(),
    };
    if kill.is_cancelled() {
        span.record("process.killed", true);
    } else {
        record(&span, &end, false);
    }
    drop(span);
    // Nobody asks any more: the span has it.
    let _ = ended.send(Some(end));
}

/// A helper's failure is not the command's: what is done about it is decided by who ran it.
fn record(span: &Span, ended: &Ended, asks: bool) {
    if let Some(code) = ended.code {
        span.record("process.exit.code", code);
    }
    if ended.code != Some(0) && !asks {
        span.record("dagger.retried", true);
        span.record("otel.status", "error");
        let code = ended
            .code
            .map_or("by a signal".to_owned(), |code| format!("with {code}"));
        let words = format!("it ended {code}\n{}", ended.stderr);
        span.record("otel.status_message", words.trim_end());
    }
}

/// A helper that carries a connection; killed when the last clone is dropped.
#[derive(Clone, Debug)]
pub(super) struct Helper {
    command: CommandLine,
    ended: watch::Receiver<Option<Ended>>,
    kill: Arc<DropGuard>,
}

impl Helper {
    /// What it was started as.
    pub(super) fn command(&self) -> &CommandLine {
        &self.command
    }

    /// How it ended, if it does within `limit`.
    pub(super) async fn ended(&self, limit: Duration) -> Option<Ended> {
        let mut ended = self.ended.clone();
        let ended = tokio::time::timeout(limit, ended.wait_for(Option::is_some)).await;
        ended.ok()?.ok()?.clone()
    }

    /// Waits for its end, now that its connection is closed; one that hangs is killed.
    pub(super) async fn close(self) {
        if self.ended(END).await.is_none() {
            self.kill().await;
        }
    }

    /// Ends it at once. Whoever else has a clone has no use for it any more.
    pub(super) async fn kill(self) {
        self.kill.token().cancel();
        self.ended(END).await;
    }
}

/// The last lines of a helper's standard error.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    async fn read(self, stderr: Option<impl AsyncRead + Unpin>, notes: Option<Surroundings>) {
        let Some(stderr) = stderr else { return };
        let mut lines = BufReader::new(stderr);
        let mut line = Vec::new();
        loop {
            line.clear();
            let limit = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
            match (&mut lines).take(limit).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if text.is_empty() {
                continue;
            }
            if let Some(around) = &notes {
                around.note(&text);
            }
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == STDERR_LINES {
                kept.pop_front();
            }
            kept.push_back(text);
        }
    }

    fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Vec::from_iter(kept.iter().map(String::as_str)).join("\n")
    }
}

impl From<io::Error> for HelperError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl fmt::Display for HelperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not installed"),
            Self::System(error) => write!(f, "cannot be run: {error}"),
            Self::Deadline(limit) => write!(f, "did not end within {} s", limit.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::settings::Unwatched;

    fn within(deadline: Duration) -> Run {
        Run {
            deadline,
            shown: false,
            asks: false,
        }
    }

    fn around() -> Surroundings {
        let settings = EngineSettings {
            path: Some("/usr/bin:/bin".into()),
            ..EngineSettings::default()
        };
        Surroundings {
            settings: Arc::new(settings),
            watch: Arc::new(Unwatched),
        }
    }

    #[test]
    fn command_lines_can_be_pasted_into_a_shell() {
        let command = CommandLine::new("docker", &["exec", "-i"]).with(["it's", ""]);
        assert_eq!(command.to_string(), r"docker exec -i 'it'\''s' ''");
    }

    #[tokio::test]
    async fn a_helper_gives_its_code_and_its_words() {
        let command = CommandLine::new("sh", &["-c", "echo out; echo err >&2; exit 3"]);
        let ended = run(&command, within(Duration::from_secs(10)), &around())
            .await
            .unwrap();
        assert_eq!(
            ended,
            Ended {
                code: Some(3),
                stdout: "out\n".into(),
                stderr: "err".into()
            }
        );
    }

    #[tokio::test]
    async fn a_slow_or_missing_helper_is_an_error() {
        let slow = CommandLine::new("sleep", &["60"]);
        let result = run(&slow, within(Duration::from_millis(50)), &around()).await;
        assert!(matches!(result, Err(HelperError::Deadline(_))));
        let missing = CommandLine::new("no-such-program-here", &[]);
        let result = run(&missing, within(Duration::from_secs(1)), &around()).await;
        assert!(matches!(result, Err(HelperError::Missing)));
    }

    #[tokio::test]
    async fn only_the_last_lines_are_kept() {
        let command = CommandLine::new("sh", &["-c", "seq 1 100 >&2"]);
        let ended = run(&command, within(Duration::from_secs(10)), &around())
            .await
            .unwrap();
        assert!(ended.stderr.starts_with("81\n") && ended.stderr.ends_with("\n100"));
    }

    #[tokio::test]
    async fn a_helper_that_ignores_the_end_of_its_input_is_killed() {
        let command = CommandLine::new("sleep", &["60"]);
        let (pipe, helper) = open(&command, &around().settings, &Span::none()).unwrap();
        drop(pipe);
        let before = std::time::Instant::now();
        helper.close().await;
        assert!(before.elapsed() < Duration::from_secs(10));
    }
}
