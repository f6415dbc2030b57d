//! The engines that `dagger` keeps: a container, or a daemon of this machine.
//!
//! Lives here: bringing them up once however many ask, and what `dagger engine` does with them.
//! Elsewhere: connecting to them (the other files of `engine`).

pub(super) mod container;
pub(super) mod local;
mod lock;
mod manage;

pub use manage::{EngineStatus, Log, State, logs, start, status, stop};
