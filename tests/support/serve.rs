//! `dagger trace serve` as tests use it: at free ports, ended with the value.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A running `dagger trace serve`.
pub(crate) struct Serve {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    /// What it listens on, as it says it: `page and query API`, ...
    addresses: Vec<(String, String)>,
}

impl Serve {
    /// Starts it on the store of this state directory; all its ports are free ones.
    pub(crate) fn start(state: &Path, args: &[&str]) -> Self {
        Self::start_with(state, args, &[])
    }

    /// The same with variables.
    pub(crate) fn start_with(state: &Path, args: &[&str], vars: &[(&str, &str)]) -> Self {
        let args: Vec<_> = ["--listen", "127.0.0.1:0"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        Self::started(state, &args, vars)
    }

    /// The same at the addresses that it has when none are given.
    pub(crate) fn at_its_own_addresses(state: &Path, args: &[&str]) -> Self {
        Self::started(state, args, &[])
    }

    fn started(state: &Path, args: &[&str], vars: &[(&str, &str)]) -> Self {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(env!("CARGO_BIN_EXE_dagger"))
            .args(["trace", "serve"])
            .args(args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", state)
            .env("XDG_STATE_HOME", state)
            .envs(vars.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = command.spawn().expect("dagger can be run");
        let stdout = child.stdout.take().expect("standard output");
        let mut serve = Self {
            child,
            said: BufReader::new(stdout).lines(),
            addresses: Vec::new(),
        };
        // The page is told last: then all of it is there.
        while serve.addresses.iter().all(|(what, _)| what != PAGE) {
            let line = serve.said.next().expect("it says where it is");
            let line = line.expect("text");
            let (what, at) = line.split_once(": ").expect("an address");
            serve.addresses.push((what.to_owned(), at.to_owned()));
        }
        serve
    }

    /// An address that it has said.
    pub(crate) fn at(&self, what: &str) -> String {
        let found = self.addresses.iter().find(|(known, _)| known == what);
        found
            .unwrap_or_else(|| panic!("no {what} in {:?}", self.addresses))
            .1
            .clone()
    }

    /// Its page, and the base of the query API: `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        self.at(PAGE)
    }

    /// The answer to a path, as JSON.
    pub(crate) fn get(&self, path: &str) -> Value {
        get_json(&format!("{}{path}", self.url()))
    }

    /// Sends a signal and waits for the exit code; -1 if the signal ended it.
    pub(crate) fn end(mut self, signal: &str) -> i32 {
        let pid = self.child.id().to_string();
        // It was started through `setpriv`, which becomes it.
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill can be run").success());
        let status = self.child.wait().expect("its end");
        status.code().unwrap_or(-1)
    }
}

const PAGE: &str = "page and query API";

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have been ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The answer of a URL, as JSON, read with a client of its own.
pub(crate) fn get_json(url: &str) -> Value {
    let output = Command::new("curl")
        .args(["-sS", "-m", "20", url])
        .output()
        .expect("curl can be run");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{url}: {error}: {output:?}"))
}
