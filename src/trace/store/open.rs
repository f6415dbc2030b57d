//! The file: made, opened, migrated; shared by the threads of a process.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::error::StoreError;
use super::schema;

/// How long a writer waits for the others.
const BUSY: Duration = Duration::from_secs(5);

/// An open store. Clones are cheap and share one connection.
#[derive(Clone, Debug)]
pub struct Store {
    path: Arc<PathBuf>,
    connection: Arc<Mutex<Connection>>,
}

impl Store {
    /// Opens the store of this state directory; makes it if there is none.
    ///
    /// # Errors
    /// When it cannot be made or opened, or a newer version has written it.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let create = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Create { path, source }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state_dir)
            .map_err(create(state_dir))?;
        let path = file(state_dir);
        // Made here, so that nobody else may ever read it: names and arguments are in it.
        let made = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(create(&path)(error));
            }
            _ => {}
        }
        Self::at(path)
    }

    /// Opens the store of this state directory; `None` if nothing was ever recorded.
    ///
    /// # Errors
    /// When it is there and cannot be opened, or a newer version has written it.
    pub fn open_existing(state_dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = file(state_dir);
        match fs::metadata(&path) {
            Ok(_) => Self::at(path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Create { path, source }),
        }
    }

    fn at(path: PathBuf) -> Result<Self, StoreError> {
        let until = Instant::now() + BUSY;
        loop {
            // While a new file becomes one with a log beside it, SQLite refuses others at once: it does not
            // wait as it does for writers.
            match Self::try_at(path.clone()) {
                Err(error) if error.is_busy() && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                opened => return opened,
            }
        }
    }

    fn try_at(path: PathBuf) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Sqlite {
            doing: "open",
            path: path.clone(),
            source,
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        let set = |name: &str, value: &str| {
            // Some of them answer with a row, which is of no use here.
            connection.pragma_update_and_check(None, name, value, |_| Ok(()))
        };
        set("journal_mode", "WAL").map_err(failed)?;
        // With WAL a crash of the machine may lose the last runs, never the file.
        connection
            .pragma_update(None, "synchronous", "NORMAL")
            .map_err(failed)?;
        connection
            .pragma_update(None, "foreign_keys", "ON")
            .map_err(failed)?;
        schema::migrate(&mut connection).map_err(|error| match error {
            Ok(found) => StoreError::Newer {
                path: path.clone(),
                found,
                known: schema::VERSION,
            },
            Err(source) => failed(source),
        })?;
        Ok(Self {
            path: Arc::new(path),
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// The same store over a connection of its own: its readers do not wait for the others.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn reopened(&self) -> Result<Self, StoreError> {
        Self::at(self.path.as_ref().clone())
    }

    /// From now on what this connection has written survives also a crash of the machine.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn make_durable(&self) -> Result<(), StoreError> {
        self.with("write to", |connection| {
            connection.pragma_update(None, "synchronous", "FULL")
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number that changes when another process has written (live views poll it).
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn version(&self) -> Result<i64, StoreError> {
        self.with("read", |connection| {
            connection.pragma_query_value(None, "data_version", |row| row.get(0))
        })
    }

    pub(super) fn with<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        work(&mut self.lock()).map_err(|source| StoreError::Sqlite {
            doing,
            path: self.path.as_ref().clone(),
            source,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic rolls its transaction back: the connection is whole.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn file(state_dir: &Path) -> PathBuf {
    state_dir.join("traces.db")
}
