//! What this room reads of others, for the targets in `fuzz/` alone: no part of the interface.

use super::auth::names;
use super::sync::Patterns;

/// Does this text of Docker's `config.json` name someone for `host`?
pub fn docker_config(text: &[u8], host: &str) -> bool {
    names(text, host)
}

/// Is `path` matched by patterns as the daemon sends them? `None`: one of them is broken.
pub fn patterns(texts: &[String], path: &str) -> Option<bool> {
    let patterns = Patterns::new(texts).ok()?;
    Some(patterns.matches(path, None).0)
}
