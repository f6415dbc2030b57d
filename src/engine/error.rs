//! Why there is no connection.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::settings::ChosenBy;
use crate::buildkit::BuildkitError;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum EngineError {
    /// `BUILDKIT_HOST` cannot be read.
    #[error("BUILDKIT_HOST `{address}` {problem}")]
    BadAddress {
        /// What was given, without credentials.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing was said and nothing was found.
    #[error(
        "no engine: BUILDKIT_HOST is not set, and none was found\n{}",
        indented(tried)
    )]
    NoEngine {
        /// What was tried, a line each.
        tried: Vec<String>,
    },
    /// The socket or port could not be opened.
    #[error("cannot connect to `{address}` (from {by})")]
    Connect {
        /// The engine's address.
        address: String,
        /// How it was chosen.
        by: ChosenBy,
        /// What the system said.
        source: io::Error,
        /// What to do next.
        help: String,
    },
    /// TLS could not be agreed on.
    #[error("cannot connect to `{address}` (from {by}): {problem}")]
    Tls {
        /// The engine's address.
        address: String,
        /// How it was chosen.
        by: ChosenBy,
        /// What is wrong.
        problem: String,
        /// What to do next.
        help: String,
    },
    /// A helper program is not installed.
    #[error("cannot connect to `{address}` (from {by}): `{program}` is not installed")]
    NoProgram {
        /// The engine's address.
        address: String,
        /// How it was chosen.
        by: ChosenBy,
        /// The program's name.
        program: &'static str,
    },
    /// A helper process did not carry the connection.
    #[error(
        "cannot connect to `{address}` (from {by}): {problem}\n  ran:   {command}{}",
        said(stderr)
    )]
    Helper {
        /// The engine's address.
        address: String,
        /// How it was chosen.
        by: ChosenBy,
        /// What its words mean.
        problem: String,
        /// What was run.
        command: String,
        /// Its words.
        stderr: String,
        /// What to do next.
        help: String,
        /// May it be different in a moment?
        passing: bool,
    },
    /// The managed engine could not be brought up.
    #[error("cannot start the engine `{engine}`: {problem}")]
    Start {
        /// Which.
        engine: String,
        /// What went wrong.
        problem: String,
        /// What to do next.
        help: String,
    },
    /// No answer in time.
    #[error("no answer from `{address}` (from {by}) within {} s", limit.as_secs())]
    Deadline {
        /// The engine's address.
        address: String,
        /// How it was chosen.
        by: ChosenBy,
        /// How long was waited.
        limit: Duration,
    },
    /// Something answers there, but not as a buildkitd does.
    #[error("`{address}` (from {by}) does not answer as a buildkitd")]
    Handshake {
        /// The engine's address.
        address: String,
        /// How it was chosen.
        by: ChosenBy,
        /// What went wrong.
        #[source]
        source: Box<BuildkitError>,
    },
    /// What answers is no Docker daemon with a BuildKit.
    #[error("cannot connect to `{address}` (from {by}): {problem}")]
    Docker {
        /// The engine's address.
        address: String,
        /// How it was chosen.
        by: ChosenBy,
        /// What went wrong.
        problem: String,
    },
    /// The state or configuration directory cannot be used.
    #[error("cannot use `{}`", path.display())]
    State {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl EngineError {
    /// What to do next.
    pub fn help(&self) -> String {
        match self {
            Self::BadAddress { .. } => {
                "write it as `unix:///run/buildkit/buildkitd.sock`, `tcp://HOST:PORT`, `docker-container://NAME`, \
                 `podman-container://NAME`, `kube-pod://POD`, `ssh://USER@HOST` or `docker://`"
                    .into()
            }
            Self::NoEngine { .. } => {
                "the shortest way to one: install Docker (https://docs.docker.com/engine/install/), then run this again; \
                 `dagger doctor` checks the rest"
                    .into()
            }
            Self::Connect { help, .. }
            | Self::Tls { help, .. }
            | Self::Helper { help, .. }
            | Self::Start { help, .. } => help.clone(),
            Self::NoProgram { program, .. } => {
                format!("install `{program}` and put it on PATH, or set BUILDKIT_HOST to another kind of address")
            }
            Self::Deadline { .. } => {
                "see whether buildkitd is running there, and whether it is overloaded".into()
            }
            Self::Handshake { .. } => {
                "see what listens there; if it is a buildkitd with TLS, set BUILDKIT_TLS_CA".into()
            }
            Self::Docker { .. } => {
                "use a buildkitd of your own: unset BUILDKIT_HOST, and one is started in a container".into()
            }
            Self::State { .. } => "see whether this user may write there".into(),
        }
    }

    /// Why, in a line, for whoever knows the address.
    pub(super) fn reason(&self) -> String {
        let text = match self {
            Self::Helper { problem, .. }
            | Self::Tls { problem, .. }
            | Self::Docker { problem, .. }
            | Self::Start { problem, .. } => problem.clone(),
            Self::Connect { source, .. } | Self::State { source, .. } => source.to_string(),
            Self::Handshake { source, .. } => source.to_string(),
            Self::NoProgram { program, .. } => format!("`{program}` is not installed"),
            Self::BadAddress { .. } | Self::NoEngine { .. } | Self::Deadline { .. } => {
                self.to_string()
            }
        };
        let line = text.lines().next().unwrap_or_default();
        // The system's number for an error helps nobody.
        let line = line.split(" (os error").next().unwrap_or_default();
        let mut letters = line.chars();
        let first = letters.next().map(char::to_lowercase);
        first.into_iter().flatten().chain(letters).collect()
    }

    /// Is it what the user wrote, rather than the state of the world?
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::BadAddress { .. })
    }

    /// May it be different in a moment, as while a daemon starts?
    pub(super) fn is_passing(&self) -> bool {
        match self {
            // A daemon that we have started makes its socket in a moment.
            Self::Connect { source, by, .. } if source.kind() == io::ErrorKind::NotFound => {
                *by == ChosenBy::Local
            }
            Self::Connect { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
            ),
            Self::Helper { passing, .. } => *passing,
            Self::Handshake { source, .. } => source
                .status()
                .is_some_and(|status| status.code() == tonic::Code::Unavailable),
            Self::BadAddress { .. }
            | Self::NoEngine { .. }
            | Self::Tls { .. }
            | Self::NoProgram { .. }
            | Self::Start { .. }
            | Self::Deadline { .. }
            | Self::Docker { .. }
            | Self::State { .. } => false,
        }
    }
}

fn indented(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| format!("  tried: {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn said(stderr: &str) -> String {
    let lines = stderr.lines().map(|line| format!("\n  said:  {line}"));
    lines.collect()
}
