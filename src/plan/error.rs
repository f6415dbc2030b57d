//! Why there is nothing to build.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why there is nothing to build.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The context cannot be read.
    #[error("cannot read the context `{}`", path.display())]
    Context {
        /// What was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The context is a file.
    #[error("the context `{}` is not a directory", path.display())]
    NotADirectory {
        /// What was named.
        path: PathBuf,
    },
    /// There is no Dockerfile.
    #[error("no Dockerfile at `{}`", path.display())]
    NoDockerfile {
        /// Where it was looked for.
        path: PathBuf,
        /// A file that may have been meant.
        near: Option<String>,
    },
    /// There is no plan at the place that was named.
    #[error("no plan file at `{}`", path.display())]
    NoPlan {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There are two plans.
    #[error("there are two plans: `{}` and `{}`", one.display(), other.display())]
    TwoPlans {
        /// The one.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// The plan cannot be read.
    #[error("cannot read the plan `{}`", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in a plan file is wrong.
    #[error("{0}")]
    File(Box<super::file::Fault>),
    /// The plan has no such action.
    #[error("the plan `{}` has no action `{name}`", file.display())]
    NoAction {
        /// What was asked for.
        name: String,
        /// The plan.
        file: PathBuf,
        /// An action that may have been meant.
        near: Option<String>,
    },
    /// The Dockerfile's name cannot be sent.
    #[error("the Dockerfile's name `{}` is not UTF-8", path.display())]
    Name {
        /// What was named.
        path: PathBuf,
    },
}

impl PlanError {
    /// What to do next.
    pub fn help(&self) -> String {
        match self {
            Self::Context { .. } => {
                "name a directory that this user can read: `dagger up DIR`".into()
            }
            Self::NotADirectory { path } => {
                format!(
                    "name its directory, and the file with `--file {}`",
                    path.display()
                )
            }
            Self::NoDockerfile {
                near: Some(near), ..
            } => format!("did you mean `--file {near}`?"),
            Self::NoDockerfile { near: None, .. } => {
                "create one, or name it with `--file PATH`".into()
            }
            Self::Name { .. } => "rename it".into(),
            Self::NoPlan { .. } => format!(
                "name another with `--plan FILE`, or create one of {}",
                super::file::NAMES.join(", ")
            ),
            Self::TwoPlans { .. } => "say which with `--plan FILE`".into(),
            Self::Read { .. } => "make it a text file that this user can read".into(),
            Self::File(fault) => fault.help.clone(),
            Self::NoAction {
                near: Some(near), ..
            } => format!("did you mean `{near}`?"),
            Self::NoAction { near: None, .. } => "`dagger plan graph` lists the actions".into(),
        }
    }
}
