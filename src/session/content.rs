//! Content stores: blobs by digest in a directory, as an OCI layout has them.
//!
//! The daemon reads sources and caches here, and writes caches and images. A blob that is written waits
//! under `ingest/` until its digest was checked, then it takes its place. Calls of
//! `containerd.services.content.v1`.

mod ingest;

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use prost_types::Timestamp;

use super::callback::Moved;
use super::error::SessionError;
use super::grpc::{self, Requests, Responder};
use crate::proto::content::{
    Info, InfoRequest, InfoResponse, ReadContentRequest, ReadContentResponse, Status,
    StatusRequest, StatusResponse, WriteAction, WriteContentRequest, WriteContentResponse,
};
use ingest::Ingest;

/// Bytes of a blob in one message.
const PIECE: usize = 256 << 10;

/// A directory with `blobs/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Where it is.
    pub root: PathBuf,
    /// May the daemon write to it?
    pub writable: bool,
}

impl Store {
    /// Where a blob is, or would be.
    fn blob(&self, digest: &str) -> Result<PathBuf, SessionError> {
        let (algorithm, hex) = digest.split_once(':').unwrap_or_default();
        let length = match algorithm {
            "sha256" => 64,
            "sha384" => 96,
            "sha512" => 128,
            _ => 0,
        };
        let plain = hex
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if length == 0 || hex.len() != length || !plain {
            return Err(SessionError::Protocol(format!("{digest:?} is no digest")));
        }
        Ok(self.root.join("blobs").join(algorithm).join(hex))
    }

    fn has(&self, digest: &str) -> bool {
        self.blob(digest).is_ok_and(|path| path.is_file())
    }

    pub(super) fn info(&self, request: InfoRequest) -> Result<InfoResponse, SessionError> {
        let path = self.blob(&request.digest)?;
        let meta = path
            .metadata()
            .map_err(|error| missing(&request.digest, &path, error))?;
        let at = meta.modified().ok().map(Timestamp::from);
        Ok(InfoResponse {
            info: Some(Info {
                digest: request.digest,
                size: i64::try_from(meta.len()).unwrap_or(i64::MAX),
                created_at: at,
                updated_at: at,
                ..Info::default()
            }),
        })
    }

    /// Sends a blob, or a part of it.
    pub(super) async fn read(
        &self,
        request: ReadContentRequest,
        responder: &Responder,
    ) -> Result<Moved, SessionError> {
        let (store, responder) = (self.clone(), responder.clone());
        blocking(move || {
            let path = store.blob(&request.digest)?;
            let failed = |error| missing(&request.digest, &path, error);
            let mut file = std::fs::File::open(&path).map_err(failed)?;
            let size = file.metadata().map_err(failed)?.len();
            let begin = u64::try_from(request.offset).unwrap_or(u64::MAX);
            let wanted = u64::try_from(request.size).unwrap_or(0);
            if begin > size {
                return Err(SessionError::Range(format!(
                    "{} has {size} bytes, asked for from {begin}",
                    request.digest
                )));
            }
            file.seek(SeekFrom::Start(begin)).map_err(failed)?;
            let wanted = if wanted == 0 { size - begin } else { wanted };
            let mut part = file.take(wanted);
            let mut moved = Moved {
                files: 1,
                entries: 1,
                ..Moved::default()
            };
            loop {
                let mut data = Vec::new();
                part.by_ref()
                    .take(PIECE as u64)
                    .read_to_end(&mut data)
                    .map_err(failed)?;
                if data.is_empty() {
                    return Ok(moved);
                }
                let offset = i64::try_from(begin + moved.bytes).unwrap_or(i64::MAX);
                moved.bytes += data.len() as u64;
                let mut out = BytesMut::new();
                let data = data.into();
                grpc::encode(&ReadContentResponse { offset, data }, &mut out);
                responder.send_blocking(out.freeze())?;
            }
        })
        .await
    }

    pub(super) fn status(&self, request: StatusRequest) -> Result<StatusResponse, SessionError> {
        let offset = Ingest::written(&self.root, &request.r#ref)?;
        Ok(StatusResponse {
            status: Some(Status {
                r#ref: request.r#ref,
                offset,
                ..Status::default()
            }),
        })
    }

    pub(super) fn abort(&self, name: &str) -> Result<(), SessionError> {
        self.check_writable()?;
        Ingest::abort(&self.root, name)
    }

    fn check_writable(&self) -> Result<(), SessionError> {
        if self.writable {
            return Ok(());
        }
        let shown = self.root.display();
        Err(SessionError::Denied(format!(
            "`{shown}` is shared for reading only"
        )))
    }

    /// Takes a blob, message by message; each is answered.
    pub(super) async fn write(
        &self,
        mut requests: Requests,
        responder: &Responder,
    ) -> Result<Moved, SessionError> {
        self.check_writable()?;
        let mut moved = Moved {
            entries: 1,
            ..Moved::default()
        };
        let mut ingest: Option<Ingest> = None;
        let (mut total, mut expected) = (0, String::new());
        while let Some(message) = requests.next::<WriteContentRequest>().await? {
            if !message.expected.is_empty() {
                expected.clone_from(&message.expected);
                if self.has(&expected) {
                    return Err(SessionError::Exists(expected));
                }
            }
            total = if message.total > 0 {
                message.total
            } else {
                total
            };
            moved.bytes += message.data.len() as u64;
            let (store, digest) = (self.clone(), expected.clone());
            let action = message.action();
            let taken = blocking(move || store.take(ingest, message, total, &digest)).await?;
            let mut out = BytesMut::new();
            grpc::encode(&taken.1, &mut out);
            responder.send(out.freeze()).await?;
            ingest = taken.0;
            if action == WriteAction::Commit {
                moved.files = 1;
                return Ok(moved);
            }
        }
        Ok(moved)
    }

    /// One message of a blob.
    fn take(
        &self,
        ingest: Option<Ingest>,
        message: WriteContentRequest,
        total: i64,
        expected: &str,
    ) -> Result<(Option<Ingest>, WriteContentResponse), SessionError> {
        let mut ingest = match ingest {
            Some(ingest) => ingest,
            None => Ingest::open(&self.root, &message.r#ref)?,
        };
        if message.action() != WriteAction::Stat {
            ingest.write_at(message.offset, &message.data)?;
        }
        let mut response = WriteContentResponse {
            action: message.action,
            offset: ingest.offset(),
            total,
            ..WriteContentResponse::default()
        };
        if message.action() != WriteAction::Commit {
            return Ok((Some(ingest), response));
        }
        let digest = ingest.digest();
        if !expected.is_empty() && digest != expected {
            return Err(SessionError::Mismatch(format!(
                "a blob that should be {expected} is {digest}"
            )));
        }
        if total > 0 && total != ingest.offset() {
            return Err(SessionError::Mismatch(format!(
                "{digest} should have {total} bytes and has {}",
                ingest.offset()
            )));
        }
        ingest.commit(&self.blob(&digest)?)?;
        response.digest = digest;
        Ok((None, response))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SessionError> + Send + 'static,
) -> Result<T, SessionError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| SessionError::Protocol(error.to_string()))?
}

fn missing(digest: &str, path: &Path, source: io::Error) -> SessionError {
    if source.kind() == io::ErrorKind::NotFound {
        return SessionError::Absent(format!("content {digest}: not found"));
    }
    SessionError::Path {
        action: "read",
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("s");
        (
            dir,
            Store {
                root,
                writable: true,
            },
        )
    }

    fn message(action: WriteAction, offset: i64, data: &'static [u8]) -> WriteContentRequest {
        WriteContentRequest {
            action: action.into(),
            r#ref: "../../x".into(),
            offset,
            data: data.into(),
            ..WriteContentRequest::default()
        }
    }

    #[test]
    fn a_blob_takes_its_place_when_its_digest_is_right() {
        let (_dir, store) = store();
        let digest = format!("sha256:{:x}", Sha256::digest(b"abc"));
        let begun = store
            .take(None, message(WriteAction::Stat, 0, b""), 3, &digest)
            .unwrap();
        let more = store
            .take(begun.0, message(WriteAction::Write, 0, b"ab"), 3, &digest)
            .unwrap();
        assert_eq!(more.1.offset, 2);
        assert!(!store.has(&digest));
        let done = store
            .take(more.0, message(WriteAction::Commit, 2, b"c"), 3, &digest)
            .unwrap();
        assert_eq!(done.1.digest, digest);
        assert!(store.has(&digest));
        assert_eq!(store.root.join("ingest").read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_wrong_blob_is_not_kept() {
        let (_dir, store) = store();
        let other = format!("sha256:{:x}", Sha256::digest(b"x"));
        let result = store.take(None, message(WriteAction::Commit, 0, b"abc"), 0, &other);
        assert!(matches!(result, Err(SessionError::Mismatch(_))));
        assert!(!store.has(&other));
    }

    #[test]
    fn a_hole_is_refused() {
        let (_dir, store) = store();
        let result = store.take(None, message(WriteAction::Write, 5, b"abc"), 0, "");
        assert!(matches!(result, Err(SessionError::Range(_))));
    }

    #[test]
    fn only_digests_name_blobs() {
        let (_dir, store) = store();
        let short = "sha256:00";
        for digest in ["", "x", short, "sha256:../../../etc/passwd", "md5:00"] {
            assert!(store.blob(digest).is_err(), "{digest}");
        }
    }
}
