//! The daemon's blobs by digest (`containerd.services.content.v1.Content/Read`): logs and traces of the
//! builds in its history.

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tonic::Request;
use tracing::Instrument;

use super::call::{CallSpan, Method};
use super::client::Client;
use super::error::BuildkitError;
use crate::proto::content::{ReadContentRequest, ReadContentResponse};
use crate::proto::control::Descriptor;

/// The longest blob that is read into memory, in bytes.
const BLOB_BYTES: u64 = 256 << 20;

const READ: Method = Method {
    service: "containerd.services.content.v1.Content",
    name: "Read",
    full: "containerd.services.content.v1.Content/Read",
    path: "/containerd.services.content.v1.Content/Read",
};

/// What the daemon says of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// What it holds.
    pub media_type: String,
    /// `sha256:...` of it.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
}

impl From<Descriptor> for Blob {
    fn from(descriptor: Descriptor) -> Self {
        Self {
            media_type: descriptor.media_type,
            digest: descriptor.digest,
            bytes: u64::try_from(descriptor.size).unwrap_or(0),
        }
    }
}

/// A blob that was not read.
#[derive(Debug, Error)]
pub enum BlobError {
    /// The daemon did not give it.
    #[error(transparent)]
    Call(#[from] BuildkitError),
    /// It is longer than it may be.
    #[error("the blob {digest} is longer than {BLOB_BYTES} bytes")]
    TooLong {
        /// Its digest.
        digest: String,
    },
    /// What came is something else.
    #[error("the daemon sent something else than the blob {digest}")]
    Changed {
        /// The digest that was asked for.
        digest: String,
    },
}

impl Client {
    /// Reads a blob, and checks it against its digest. Its call has no trace at the daemon: what is
    /// read is often a trace, and would grow by it.
    ///
    /// # Errors
    /// When the daemon does not have it, or was lost; when what came is something else.
    pub async fn read_blob(&self, blob: &Blob) -> Result<Vec<u8>, BlobError> {
        let too_long = || BlobError::TooLong {
            digest: blob.digest.clone(),
        };
        let mut call = CallSpan::open(READ, self.address());
        let span = call.span().clone();
        let request = Request::new(ReadContentRequest {
            digest: blob.digest.clone(),
            ..ReadContentRequest::default()
        });
        let mut parts = self
            .open_untraced::<_, ReadContentResponse>(READ, &mut call, request)
            .instrument(span)
            .await?;
        let mut data = Vec::new();
        loop {
            let result = parts.message().await;
            if !matches!(result, Ok(Some(_))) {
                call.end(&result);
            }
            let part =
                result.map_err(|status| BuildkitError::new(self.address(), READ.full, status))?;
            let Some(part) = part else { break };
            if u64::try_from(data.len() + part.data.len()).unwrap_or(u64::MAX) > BLOB_BYTES {
                return Err(too_long());
            }
            data.extend_from_slice(&part.data);
        }
        let digest = Sha256::digest(&data);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if blob.digest == format!("sha256:{hex}") {
            Ok(data)
        } else {
            Err(BlobError::Changed {
                digest: blob.digest.clone(),
            })
        }
    }
}
