//! Which plan a run was of: the SHA-256 of its file, as it was when the run began.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use tracing::debug;

use crate::telemetry::Handle;

/// Takes down the digest of a plan file or a Dockerfile. One that cannot be read is refused elsewhere.
pub(super) fn note(telemetry: &Handle, file: &Path) {
    match std::fs::read(file) {
        Ok(bytes) => telemetry.describe_plan(of(&bytes)),
        Err(error) => debug!(%error, "the plan has no digest"),
    }
}

fn of(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_what_sha256sum_says() {
        let of_nothing = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(super::of(b""), of_nothing);
    }
}
