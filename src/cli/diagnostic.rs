//! What ends a command early: its exit code, and how it is told.

use std::error::Error;
use std::io::{self, Write};

use thiserror::Error;

use super::trace_verify::VerifyError;
use crate::buildkit::BuildkitError;
use crate::engine::EngineError;
use crate::plan::PlanError;
use crate::solve::SolveError;
use crate::telemetry::SettingsError;
use crate::trace::store::StoreError;

/// What ends a command early.
#[derive(Debug, Error)]
pub enum Failure {
    /// A flag's value makes no sense.
    #[error("{message}")]
    Usage {
        /// What was given and what is wrong with it.
        message: String,
        /// What to write instead.
        help: String,
    },
    /// A variable's value makes no sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is nothing to build.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// There is no engine.
    #[error(transparent)]
    Engine(Box<EngineError>),
    /// The build did not end well.
    #[error(transparent)]
    Build(#[from] SolveError),
    /// The engine refused a call that is no build.
    #[error(transparent)]
    Call(#[from] BuildkitError),
    /// Verification could not be done.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The local trace store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Spans could not be sent to where they belong.
    #[error("{message}")]
    Waiting {
        /// How many wait, where and why.
        message: String,
        /// What to do then.
        help: String,
    },
    /// The command that was run in a span ended with this code.
    #[error("`{program}` ended with {code}")]
    Exited {
        /// The command's name.
        program: String,
        /// Its exit code.
        code: u8,
    },
    /// What was looked for is not there.
    #[error("there is no {what} among {among} spans")]
    NothingFound {
        /// What it is.
        what: String,
        /// How many spans were looked at.
        among: usize,
    },
    /// The command could not be run.
    #[error("cannot run `{program}`")]
    NotRun {
        /// The command.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The user stopped it.
    #[error("interrupted")]
    Interrupted,
    /// The process could not set itself up.
    #[error("cannot start")]
    System(#[from] io::Error),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl Failure {
    /// The process's exit code (see `docs/design.md`).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Build(SolveError::Failed(_) | SolveError::Layout { .. }) => 1,
            Self::Usage { .. } | Self::Settings(_) | Self::Plan(_) => 2,
            Self::Build(SolveError::Session(_)) => 2,
            Self::Engine(error) if error.is_usage() => 2,
            Self::Engine(_) | Self::Call(_) => 3,
            Self::Build(SolveError::Engine(_) | SolveError::Lost { .. }) => 3,
            Self::Verify(error) => error.exit_code(),
            Self::Store(_) | Self::Waiting { .. } => 4,
            Self::Build(SolveError::Cancelled) | Self::Interrupted => 130,
            Self::Exited { code, .. } => *code,
            Self::NotRun { .. } => 127,
            Self::System(_) | Self::NothingFound { .. } => 1,
        }
    }

    /// Has the build's display told it already?
    pub(super) fn is_told(&self) -> bool {
        matches!(
            self,
            Self::Build(SolveError::Failed(_) | SolveError::Cancelled) | Self::Exited { .. }
        )
    }

    pub(super) fn help(&self) -> Option<String> {
        match self {
            Self::Usage { help, .. } | Self::Waiting { help, .. } => Some(help.clone()),
            Self::Settings(error) => Some(error.help()),
            Self::Plan(error) => Some(error.help()).filter(|help| !help.is_empty()),
            Self::Engine(error) => Some(error.help()),
            Self::Verify(error) => Some(error.help()),
            Self::Store(error) => Some(error.help()),
            Self::NotRun { .. } => Some("is it installed, and in PATH?".into()),
            Self::Build(SolveError::Engine(_) | SolveError::Lost { .. }) => Some(
                "see the daemon's log; what it had done is cached, so run the build again".into(),
            ),
            Self::Build(_)
            | Self::Call(_)
            | Self::System(_)
            | Self::Interrupted
            | Self::Exited { .. } => None,
            Self::NothingFound { .. } => Some("docs/selectors.md says what each part means".into()),
        }
    }

    /// Tells it in three lines: what was tried, why it failed, what to do next.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn print(&self, out: &mut dyn Write, colour: bool) -> io::Result<()> {
        let (red, bold, off) = if colour {
            ("\x1b[1;31m", "\x1b[1m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        writeln!(out, "{red}error:{off} {self}")?;
        if let Some(cause) = root_cause(self) {
            writeln!(out, "  {bold}cause:{off} {cause}")?;
        }
        if let Some(help) = self.help() {
            writeln!(out, "  {bold}help:{off}  {help}")?;
        }
        Ok(())
    }
}

/// The innermost source, without the number that the system adds to its words.
fn root_cause(error: &dyn Error) -> Option<String> {
    let mut source = error.source()?;
    while let Some(next) = source.source() {
        source = next;
    }
    let text = source.to_string();
    let plain = text
        .split_once(" (os error")
        .map_or(text.as_str(), |(words, _)| words);
    let mut letters = plain.chars();
    let first = letters.next()?;
    // The system's words begin with a capital, ours do not.
    Some(first.to_lowercase().chain(letters).collect())
}
