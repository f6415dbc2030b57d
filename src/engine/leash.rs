//! Helper processes that cannot outlive `dagger`, not even when it is killed.
//!
//! The kernel sends a signal to a process whose parent thread has ended, if the process asked for it
//! (prctl(2), `PR_SET_PDEATHSIG`); the wish survives execve(2). So the program is started once more
//! under the name [`WORD`], asks, and becomes the helper.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// The first argument that makes the program a leash. No user types it.
pub const WORD: &str = "__leash";

/// Becomes the helper; returns only if that failed.
///
/// `args`: the parent's process id, the helper's program, its arguments.
pub fn become_helper(mut args: impl Iterator<Item = OsString>) -> io::Error {
    let usage = || io::Error::new(io::ErrorKind::InvalidInput, "it is not for typing");
    let parent = args.next().and_then(|text| text.to_str()?.parse().ok());
    let (Some(parent), Some(program)) = (parent.and_then(Pid::from_raw), args.next()) else {
        return usage();
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // It may have ended before the wish was heard.
    if getppid() != Some(parent) {
        return io::Error::other("the caller is gone");
    }
    Command::new(program).args(args).exec()
}
