//! The command line: one file a command; results become text and an exit code.

pub mod trace_verify;
