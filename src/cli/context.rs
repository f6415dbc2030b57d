//! What a Dockerfile is built from: a directory, an URL that the daemon reads itself, standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::diagnostic::Failure;
use super::env::Env;
use crate::plan::Dockerfile;
use crate::solve::{DockerfileOptions, Solve};

/// Bytes of a Dockerfile that comes by standard input; more is something else.
const DOCKERFILE_BYTES: u64 = 1 << 20;

/// Standard input, as `docker build` names it.
const STDIN: &str = "-";

/// What is built.
#[derive(Debug)]
pub(super) struct Context {
    source: Source,
    /// Holds what came by standard input, until the build is over.
    _stdin: Option<tempfile::TempDir>,
}

#[derive(Debug)]
enum Source {
    Local(Dockerfile),
    Remote {
        url: String,
        /// The Dockerfile, as seen from the context's root.
        file: Option<String>,
    },
}

/// Is it standard input, or an URL that the daemon reads itself?
pub(super) fn is_no_directory(what: &str) -> bool {
    what == STDIN || is_url(what)
}

/// Is it a git repository or an archive elsewhere?
pub(super) fn is_url(what: &str) -> bool {
    let schemes = ["http://", "https://", "git://", "ssh://"];
    schemes.iter().any(|scheme| what.starts_with(scheme))
        || what.starts_with("git@")
        || what.starts_with("github.com/")
}

impl Context {
    /// Finds what `what` names, and the Dockerfile `file` for it.
    ///
    /// # Errors
    /// When it is not there, or standard input is no Dockerfile.
    pub(super) fn find(env: &Env, what: &str, file: Option<&Path>) -> Result<Self, Failure> {
        if is_url(what) {
            let file = file.map(|file| file.display().to_string());
            return Ok(Self {
                source: Source::Remote {
                    url: what.to_owned(),
                    file,
                },
                _stdin: None,
            });
        }
        let by_stdin = file == Some(Path::new(STDIN));
        if what != STDIN && !by_stdin {
            let dockerfile = Dockerfile::find(&env.cwd, Path::new(what), file)?;
            return Ok(Self {
                source: Source::Local(dockerfile),
                _stdin: None,
            });
        }
        if what == STDIN && file.is_some() {
            return Err(Failure::Usage {
                message: "standard input is either the Dockerfile or what is built".into(),
                help: "write `--file - DIR` for a Dockerfile from there, or `-` alone".into(),
            });
        }
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("Dockerfile");
        std::fs::write(&path, dockerfile(std::io::stdin().lock())?)?;
        // Without a directory there is nothing to copy from; an empty one is.
        let context = if what == STDIN {
            let empty = dir.path().join("context");
            std::fs::create_dir(&empty)?;
            empty
        } else {
            PathBuf::from(what)
        };
        Ok(Self {
            source: Source::Local(Dockerfile::find(&env.cwd, &context, Some(&path))?),
            _stdin: Some(dir),
        })
    }

    /// The solve that builds it, without exports.
    pub(super) fn solve(&self, options: &DockerfileOptions) -> Solve {
        match &self.source {
            Source::Local(dockerfile) => options.solve(dockerfile),
            Source::Remote { url, file } => options.solve_remote(url, file.as_deref()),
        }
    }

    /// The Dockerfile, if it is on this machine.
    pub(super) fn file(&self) -> Option<PathBuf> {
        match &self.source {
            Source::Local(found) => Some(found.directory.join(&found.filename)),
            Source::Remote { .. } => None,
        }
    }

    /// Where the build is from, for the daemon's cache of directories.
    pub(super) fn directory(&self, env: &Env) -> PathBuf {
        match &self.source {
            Source::Local(dockerfile) => dockerfile.context.clone(),
            Source::Remote { .. } => env.cwd.clone(),
        }
    }
}

/// Reads a Dockerfile.
fn dockerfile(input: impl Read) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    input.take(DOCKERFILE_BYTES + 1).read_to_end(&mut text)?;
    let wrong = |message: &str, help: &str| {
        Err(Failure::Usage {
            message: message.to_owned(),
            help: help.to_owned(),
        })
    };
    if text.iter().all(u8::is_ascii_whitespace) {
        return wrong(
            "standard input is empty",
            "send a Dockerfile there, e.g. `dagger up - <Dockerfile`",
        );
    }
    // An archive: a tar has zeros, and the compressed kinds are no text either.
    if text.contains(&0) || std::str::from_utf8(&text).is_err() {
        return wrong(
            "standard input is no Dockerfile",
            "an archive is not taken there: unpack it, and name the directory",
        );
    }
    if text.len() as u64 > DOCKERFILE_BYTES {
        return wrong(
            "standard input is more than 1 MiB, which no Dockerfile is",
            "name a file by `--file`",
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_and_nothing_are_no_dockerfile() {
        assert!(dockerfile(&b"FROM scratch\n"[..]).is_ok());
        for wrong in [&b""[..], b" \n", b"x\0y", b"\x1f\x8b\x08"] {
            assert!(dockerfile(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn repositories_and_archives_are_read_by_the_daemon() {
        for url in [
            "https://x/y.git#v1:dir",
            "git@host:x/y",
            "github.com/x/y",
            "http://x/y.tar.gz",
        ] {
            assert!(is_no_directory(url), "{url}");
        }
        assert!(!is_no_directory("./github.com") && !is_no_directory("api"));
    }
}
