//! File send: the daemon writes a result to us (`moby.filesync.v1.FileSend/DiffCopy`).
//!
//! Lives here: a directory received by fsutil's protocol, and a file received as bytes, kept or passed
//! on.

mod directory;
mod file;
mod pipe;

pub(super) use directory::{Rest, directory};
pub(super) use file::file;
pub(super) use pipe::pipe;
pub use pipe::{Pipe, Sink};
