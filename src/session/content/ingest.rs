//! A blob while it is written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::session::error::SessionError;

/// A blob while it is written; gone unless it is committed.
pub(super) struct Ingest {
    path: PathBuf,
    file: File,
    hash: Sha256,
    written: u64,
    done: bool,
}

impl Ingest {
    /// Begins the blob with this name anew.
    pub(super) fn open(root: &Path, name: &str) -> Result<Self, SessionError> {
        if name.is_empty() {
            return Err(SessionError::Protocol(
                "a blob to be written has no name".into(),
            ));
        }
        let path = place(root, name);
        let parent = path.parent().unwrap_or(root);
        fs::create_dir_all(parent)
            .map_err(|source| failed("make the directory", parent, source))?;
        let file = File::create(&path).map_err(|source| failed("create", &path, source))?;
        Ok(Self {
            path,
            file,
            hash: Sha256::new(),
            written: 0,
            done: false,
        })
    }

    /// How much of the blob with this name is there.
    pub(super) fn written(root: &Path, name: &str) -> Result<i64, SessionError> {
        match place(root, name).metadata() {
            Ok(meta) => Ok(i64::try_from(meta.len()).unwrap_or(i64::MAX)),
            Err(_) => Err(SessionError::Absent(format!(
                "nothing is written as {name:?}"
            ))),
        }
    }

    pub(super) fn abort(root: &Path, name: &str) -> Result<(), SessionError> {
        let path = place(root, name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn offset(&self) -> i64 {
        i64::try_from(self.written).unwrap_or(i64::MAX)
    }

    /// Appends; a blob may be begun again at 0, but has no holes.
    pub(super) fn write_at(&mut self, offset: i64, data: &[u8]) -> Result<(), SessionError> {
        if data.is_empty() {
            return Ok(());
        }
        if offset == 0 && self.written > 0 {
            self.restart()?;
        }
        if offset != self.offset() {
            return Err(SessionError::Range(format!(
                "a piece for {offset} where {} comes next",
                self.written
            )));
        }
        self.file
            .write_all(data)
            .map_err(|source| failed("write", &self.path, source))?;
        self.hash.update(data);
        self.written += data.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), SessionError> {
        self.file =
            File::create(&self.path).map_err(|source| failed("create", &self.path, source))?;
        self.hash = Sha256::new();
        self.written = 0;
        Ok(())
    }

    pub(super) fn digest(&self) -> String {
        format!("sha256:{:x}", self.hash.clone().finalize())
    }

    /// Puts the blob in its place.
    pub(super) fn commit(mut self, blob: &Path) -> Result<(), SessionError> {
        let parent = blob.parent().unwrap_or(blob);
        fs::create_dir_all(parent)
            .map_err(|source| failed("make the directory", parent, source))?;
        fs::rename(&self.path, blob).map_err(|source| failed("write", blob, source))?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if !self.done {
            // Gone already, or there is nothing more to be done about it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Where the blob with this name waits. Names are the daemon's, so they are no paths.
fn place(root: &Path, name: &str) -> PathBuf {
    let hash = Sha256::digest(name.as_bytes());
    root.join("ingest").join(format!("{hash:x}"))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> SessionError {
    SessionError::Path {
        action,
        path: path.to_owned(),
        source,
    }
}
