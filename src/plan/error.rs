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
        }
    }
}
