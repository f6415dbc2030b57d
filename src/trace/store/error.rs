//! Why the store could not be used.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why the store could not be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory or the file cannot be made.
    #[error("cannot create the trace store `{}`", path.display())]
    Create {
        /// The file or its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("cannot {doing} the trace store `{}`", path.display())]
    Sqlite {
        /// What was tried, e.g. `write to`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A later version of this program has written it.
    #[error("the trace store `{}` has version {found}; this dagger knows {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
}

impl StoreError {
    /// Does another hold it just now?
    pub(super) fn is_busy(&self) -> bool {
        let Self::Sqlite { source, .. } = self else {
            return false;
        };
        matches!(
            source.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
        )
    }

    /// What to do next.
    pub fn help(&self) -> String {
        match self {
            Self::Create { .. } => {
                "make that directory writable, or set XDG_STATE_HOME to another".into()
            }
            Self::Sqlite { path, source, .. } => match source.sqlite_error_code() {
                Some(
                    rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase,
                ) => format!(
                    "the file is damaged: move it away (`mv {0} {0}.damaged`), a new one is made",
                    path.display()
                ),
                Some(rusqlite::ErrorCode::DiskFull) => {
                    "free some space, or `dagger trace prune`".into()
                }
                Some(rusqlite::ErrorCode::SystemIoFailure) => {
                    "if the disk is full, free some space; else see the system's log".into()
                }
                Some(rusqlite::ErrorCode::DatabaseBusy) => {
                    "another dagger holds it for long; try again".into()
                }
                Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => {
                    "make it readable and writable for you, or set XDG_STATE_HOME to another directory".into()
                }
                _ => "see whether the file and its directory are yours".into(),
            },
            Self::Newer { .. } => "use the newer dagger, or set XDG_STATE_HOME to another directory".into(),
        }
    }
}
