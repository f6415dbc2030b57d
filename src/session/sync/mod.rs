//! File sync: the daemon reads a directory of ours (`moby.filesync.v1.FileSync/DiffCopy`, fsutil).
//!
//! Lives here: which entries are sent (`patterns`, `filter`, `follow`), in which order (`walk`), and
//! the conversation about them (`sender`). Start at [`send`].

mod asked;
mod filter;
mod follow;
mod paths;
mod patterns;
mod sender;
#[cfg(test)]
mod tests;
mod walk;

pub(super) use filter::Wanted;
pub(super) use patterns::Patterns;
pub(super) use sender::send;
