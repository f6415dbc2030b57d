//! Secrets: read when the daemon asks, never kept, never shown.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::error::SessionError;

/// Largest secret, in bytes (`session/secrets/secretsprovider`).
const SECRET_BYTES: u64 = 500 << 10;

/// How long a command may take to print its secret.
const COMMAND: Duration = Duration::from_secs(60);

/// Where a secret comes from. Its text shows no value.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The content of a file, as it is when a step asks.
    File(PathBuf),
    /// A value that was read before, e.g. from the environment.
    Value(Bytes),
    /// What a shell command prints, run when a step asks.
    Command(String),
}

/// Where the value of a secret was read, so that it can be read there again; never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A variable of the environment.
    Variable(String),
    /// A file.
    File(PathBuf),
    /// A command, which is not run again.
    Command,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Value(_) => f.write_str("Value(..)"),
            Self::Command(_) => f.write_str("Command(..)"),
        }
    }
}

impl Secret {
    /// The secret itself.
    pub(super) async fn read(&self, id: &str) -> Result<Bytes, SessionError> {
        let (data, length) = match self {
            Self::Value(value) => (value.clone(), value.len() as u64),
            Self::File(path) => {
                let failed = |source| SessionError::Path {
                    action: "read the secret's file",
                    path: path.clone(),
                    source,
                };
                let file = tokio::fs::File::open(path).await.map_err(failed)?;
                read(file).await.map_err(failed)?
            }
            Self::Command(command) => printed(id, command).await?,
        };
        if length > SECRET_BYTES {
            return Err(SessionError::Limit(format!(
                "the secret `{id}` is larger than {SECRET_BYTES} bytes"
            )));
        }
        Ok(data)
    }
}

/// As much as a secret may have, and one byte more to tell that there is more.
async fn read(from: impl tokio::io::AsyncRead + Unpin) -> io::Result<(Bytes, u64)> {
    let mut data = Vec::new();
    from.take(SECRET_BYTES + 1).read_to_end(&mut data).await?;
    let length = data.len() as u64;
    Ok((data.into(), length))
}

/// What a command prints; why it failed is not told in its own words, which may hold the secret.
async fn printed(id: &str, command: &str) -> Result<(Bytes, u64), SessionError> {
    let failed =
        |why: String| SessionError::Helper(format!("the command of the secret `{id}` {why}"));
    let work = async {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(format!("cannot be run: {error}")))?;
        let out = child.stdout.take().ok_or(SessionError::Cancelled)?;
        let read = read(out).await;
        let ended = child.wait().await;
        let status = ended.map_err(|error| failed(format!("was lost: {error}")))?;
        if !status.success() {
            return Err(failed(format!("failed: {status}")));
        }
        read.map_err(|error| failed(format!("cannot be read: {error}")))
    };
    let late = || failed(format!("took longer than {} s", COMMAND.as_secs()));
    tokio::time::timeout(COMMAND, work)
        .await
        .unwrap_or_else(|_| Err(late()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let shown = format!(
            "{:?} {:?}",
            Secret::Value(Bytes::from_static(b"hunter2")),
            Secret::Command("echo hunter2".into())
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[tokio::test]
    async fn each_kind_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a\n").unwrap();
        for (secret, value) in [
            (Secret::File(file.path().into()), "a\n"),
            (Secret::Value(Bytes::from_static(b"b")), "b"),
            (Secret::Command("printf c".into()), "c"),
        ] {
            assert_eq!(secret.read("x").await.unwrap(), value);
        }
    }

    #[tokio::test]
    async fn a_failure_does_not_tell_what_was_printed() {
        let secret = Secret::Command("echo hunter2 >&2; echo hunter2; exit 3".into());
        let error = secret.read("x").await.unwrap_err().to_string();
        assert_eq!(
            error,
            "the command of the secret `x` failed: exit status: 3"
        );
    }

    #[tokio::test]
    async fn a_secret_has_a_largest_size() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SECRET_BYTES + 1).unwrap();
        let error = Secret::File(file.path().into()).read("x").await;
        assert!(matches!(error, Err(SessionError::Limit(_))));
    }
}
