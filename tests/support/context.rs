//! Build contexts.

use std::path::{Path, PathBuf};

use super::bed::bed;

/// A directory to build, gone with the value.
pub(crate) struct Context {
    dir: tempfile::TempDir,
}

impl Context {
    /// A context with this Dockerfile and the base's root file system as `rootfs.tar`.
    pub(crate) fn new(dockerfile: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("dagger-ctx")
            .tempdir()
            .expect("a temporary directory");
        std::fs::hard_link(bed().rootfs(), dir.path().join("rootfs.tar"))
            .or_else(|_| std::fs::copy(bed().rootfs(), dir.path().join("rootfs.tar")).map(drop))
            .expect("rootfs.tar");
        let context = Self { dir };
        context.write("Dockerfile", dockerfile);
        context
    }

    /// Three stages with RUN steps. `salt` makes them steps that were never run before.
    pub(crate) fn three_stages(salt: &str) -> Self {
        Self::new(&format!(
            "FROM scratch AS base\nADD rootfs.tar /\nENV PATH=/bin:/usr/bin SALT={salt}\n\n\
             FROM base AS build\nWORKDIR /src\nCOPY hello.txt .\nRUN tr a-z A-Z <hello.txt >loud.txt\n\
             RUN echo built {salt}; sha256sum loud.txt >sums.txt\n\n\
             FROM base AS release\nCOPY --from=build /src/loud.txt /src/sums.txt /srv/\nRUN cat /srv/loud.txt\n"
        ))
        .with("hello.txt", "hello\n")
    }

    /// With one more file.
    pub(crate) fn with(self, path: &str, text: &str) -> Self {
        self.write(path, text);
        self
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A path in it.
    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }
}
