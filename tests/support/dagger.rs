//! The binary under test, with nothing of the caller's environment but what a test gives.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::bed::{Engine, bed};

/// A run of `dagger` to be made.
pub(crate) struct Dagger {
    command: Command,
    state: tempfile::TempDir,
}

/// A run of `dagger` that has ended.
pub(crate) struct Finished {
    /// The exit code; -1 if a signal ended it.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
    /// Where it kept its state; gone with the value.
    pub(crate) state: tempfile::TempDir,
}

impl Dagger {
    /// `dagger` with these arguments in `dir`, on no engine.
    pub(crate) fn new(dir: &Path, args: &[&str]) -> Self {
        let state = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_dagger"));
        command
            .args(args)
            .current_dir(dir)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", state.path())
            .env("XDG_STATE_HOME", state.path())
            .env("JAEGER_QUERY_URL", bed().query_url())
            .stdin(Stdio::null());
        Self { command, state }
    }

    /// `dagger up` in `dir` on the bed's daemon.
    pub(crate) fn up(dir: &Path, engine: Engine, args: &[&str]) -> Self {
        let all: Vec<_> = ["up", "--log-format", "plain"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        Self::new(dir, &all).env("BUILDKIT_HOST", &bed().unix(engine))
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// Reads this.
    pub(crate) fn stdin(mut self, file: std::fs::File) -> Self {
        self.command.stdin(file);
        self
    }

    /// Exports to the bed's collector.
    pub(crate) fn with_collector(self) -> Self {
        let url = bed().collector();
        self.env("OTEL_EXPORTER_JAEGER_ENDPOINT", &url)
    }

    /// Exports to the bed's agent.
    pub(crate) fn with_agent(self) -> Self {
        let agent = bed().agent();
        self.env("JAEGER_TRACE", &agent)
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Finished {
        let output = self.command.output().expect("dagger can be run");
        Finished::new(output, self.state)
    }

    /// Runs it, and interrupts it as Ctrl-C does once its standard error has said `word`.
    pub(crate) fn interrupted_at(self, word: &str) -> Finished {
        let (mut child, state) = self.spawn();
        let said = BufReader::new(child.stderr.take().expect("standard error"));
        let mut stderr = String::new();
        for line in said.lines() {
            let line = line.expect("text");
            if line.contains(word) && !stderr.contains(word) {
                let pid = child.id().to_string();
                let kill = Command::new("kill").args(["-INT", &pid]).status();
                assert!(kill.expect("kill can be run").success());
            }
            stderr.push_str(&line);
            stderr.push('\n');
        }
        let mut run = Finished::wait((child, state));
        run.stderr = stderr;
        run
    }

    /// Starts it with its output captured; [`Finished::wait`] ends it.
    pub(crate) fn spawn(mut self) -> (Child, tempfile::TempDir) {
        let child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dagger can be run");
        (child, self.state)
    }
}

impl Finished {
    fn new(output: Output, state: tempfile::TempDir) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            state,
        }
    }

    /// Waits for a run that was started.
    pub(crate) fn wait((child, state): (Child, tempfile::TempDir)) -> Self {
        Self::new(
            child.wait_with_output().expect("dagger can be waited for"),
            state,
        )
    }

    /// Fails the test with all that was said, unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// The trace's id, from the line at the end.
    #[track_caller]
    pub(crate) fn trace(&self) -> String {
        let line = self
            .stderr
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("trace "));
        let id = line.and_then(|line| line.split(':').next());
        id.unwrap_or_else(|| panic!("no trace line in:\n{}", self.stderr))
            .to_owned()
    }

    /// `dagger trace verify` of this run, with more arguments.
    pub(crate) fn verify(&self, args: &[&str]) -> Finished {
        let trace = self.trace();
        let all: Vec<_> = ["trace", "verify", &trace, "--format", "json"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        Dagger::new(Path::new("/"), &all)
            .env("XDG_STATE_HOME", &self.state.path().display().to_string())
            .run()
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in:\n{}\n{}", self.stdout, self.stderr))
    }
}
