//! File send: the daemon writes a result to us (`moby.filesync.v1.FileSend/DiffCopy`).
//!
//! Lives here: a directory received by fsutil's protocol, and a tar file received as bytes.

mod directory;
mod tar;

pub(super) use directory::directory;
pub(super) use tar::tar;
