//! A file: bytes into a temporary file beside it, which takes its name when all is there.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::proto::control::BytesMessage;
use crate::session::callback::Moved;
use crate::session::error::SessionError;
use crate::session::grpc::Requests;

/// Takes the chunks of a file, on a thread that may wait.
pub(super) trait Target: Send {
    fn write(&mut self, chunk: &[u8]) -> Result<(), SessionError>;
    fn finish(self) -> Result<(), SessionError>;
}

/// Receives the file; a transfer that breaks off leaves nothing.
pub(in crate::session) async fn file(
    path: &Path,
    requests: Requests,
) -> Result<Moved, SessionError> {
    let path = path.to_owned();
    receive(requests, move || Part::new(path)).await
}

/// Receives a file into what `open` makes.
pub(super) async fn receive<T: Target>(
    mut requests: Requests,
    open: impl FnOnce() -> Result<T, SessionError> + Send + 'static,
) -> Result<Moved, SessionError> {
    let (chunks, mut received) = tokio::sync::mpsc::channel::<bytes::Bytes>(CHUNKS);
    let writer = tokio::task::spawn_blocking(move || {
        let mut target = open()?;
        while let Some(chunk) = received.blocking_recv() {
            if chunk.is_empty() {
                return target.finish();
            }
            target.write(&chunk)?;
        }
        // The sender went without the mark of the end.
        Err(SessionError::Cancelled)
    });
    let mut moved = Moved {
        files: 1,
        entries: 1,
        ..Moved::default()
    };
    let relayed: Result<(), SessionError> = async {
        while let Some(message) = requests.next::<BytesMessage>().await? {
            moved.bytes += message.data.len() as u64;
            if !message.data.is_empty() && chunks.send(message.data).await.is_err() {
                return Ok(());
            }
        }
        // An empty chunk is the mark of the end; a writer that failed has its own error.
        let _ = chunks.send(bytes::Bytes::new()).await;
        Ok(())
    }
    .await;
    drop(chunks);
    let written = writer
        .await
        .map_err(|error| SessionError::Protocol(error.to_string()))?;
    relayed?;
    written.map(|()| moved)
}

/// Chunks that wait to be written. Full: the daemon waits.
const CHUNKS: usize = 16;

/// The file while it is not whole; removed unless it is finished.
struct Part {
    target: PathBuf,
    path: PathBuf,
    file: Option<File>,
}

impl Part {
    fn new(target: PathBuf) -> Result<Self, SessionError> {
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|source| failed("make the directory", parent, source))?;
        }
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = target.with_file_name(name);
        let file = File::create(&path).map_err(|source| failed("create", &path, source))?;
        Ok(Self {
            target,
            path,
            file: Some(file),
        })
    }
}

impl Target for Part {
    fn write(&mut self, chunk: &[u8]) -> Result<(), SessionError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.write_all(chunk)
            .map_err(|source| failed("write", &self.path, source))
    }

    fn finish(mut self) -> Result<(), SessionError> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let done = file
            .sync_all()
            .and_then(|()| std::fs::rename(&self.path, &self.target));
        if done.is_err() {
            // `drop` has nothing left to do for a taken file.
            let _ = std::fs::remove_file(&self.path);
        }
        done.map_err(|source| failed("write", &self.target, source))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Gone already, or there is nothing more to be done about it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> SessionError {
    SessionError::Path {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_not_finished_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("sub/out.tar");
        let mut part = Part::new(target.clone()).unwrap();
        part.write(b"half").unwrap();
        drop(part);
        assert_eq!(
            std::fs::read_dir(target.parent().unwrap()).unwrap().count(),
            0
        );
        let mut part = Part::new(target.clone()).unwrap();
        part.write(b"whole").unwrap();
        part.finish().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"whole");
        assert_eq!(
            std::fs::read_dir(target.parent().unwrap()).unwrap().count(),
            1
        );
    }
}
