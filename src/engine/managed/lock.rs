//! One at a time: a lock between processes, freed by the system however its holder ends.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::engine::error::EngineError;
use crate::engine::settings::Surroundings;

/// How often a lock that another process holds is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// After this long it is said who is waited for.
const SAY_AFTER: Duration = Duration::from_secs(1);

/// Takes the lock `NAME` in `dir`; it is free again when the file is dropped.
pub(super) async fn take(
    dir: Option<&PathBuf>,
    name: &str,
    limit: Duration,
    around: &Surroundings,
) -> Result<File, EngineError> {
    let dir = dir.ok_or_else(|| EngineError::State {
        path: "~/.config/dagger".into(),
        source: std::io::Error::other("HOME is not set"),
    })?;
    let path = dir.join(name);
    let file = open(dir, &path).map_err(|source| EngineError::State {
        path: path.clone(),
        source,
    })?;
    let begun = Instant::now();
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(EngineError::State { path, source }),
            Err(TryLockError::WouldBlock) => {}
        }
        if begun.elapsed() > limit {
            return Err(EngineError::State {
                path,
                source: std::io::Error::new(
                    std::io::ErrorKind::TimedOut,
                    format!(
                        "another process has held the lock for {} s",
                        limit.as_secs()
                    ),
                ),
            });
        }
        if begun.elapsed() > SAY_AFTER && !said {
            said = true;
            around.note("another dagger is starting the engine; waiting for it");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn open(dir: &Path, path: &Path) -> std::io::Result<File> {
    std::fs::create_dir_all(dir)?;
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}
