//! A small file system of its own: it can be full, or read-only.

use std::path::Path;
use std::process::Command;

/// Gone with the value.
pub(crate) struct Mount {
    dir: tempfile::TempDir,
}

impl Mount {
    /// A file system of this size.
    pub(crate) fn new(kib: u32) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mount = Self { dir };
        mount.run(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"],
        );
        mount
    }

    /// Nothing can be written to it from now on.
    pub(crate) fn make_read_only(&self) {
        self.run("mount", &["-o", "remount,ro"]);
    }

    /// Fills it but for so many KiB.
    pub(crate) fn fill(&self, left_kib: u64) {
        let free = rustix::fs::statvfs(self.path()).expect("its numbers");
        let bytes = (free.f_bavail * free.f_frsize).saturating_sub(left_kib << 10);
        let bytes = usize::try_from(bytes).expect("it fits");
        let written = std::fs::write(self.path().join("ballast"), vec![1; bytes]);
        // Who writes there meanwhile may have taken the last of it.
        let full = |error: &std::io::Error| error.kind() == std::io::ErrorKind::StorageFull;
        assert!(
            written.is_ok() || (left_kib == 0 && written.as_ref().is_err_and(full)),
            "{written:?}"
        );
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    fn run(&self, program: &str, args: &[&str]) {
        let mut command = Command::new(program);
        let status = command.args(args).arg(self.path()).status();
        assert!(
            status.expect("it can be run").success(),
            "{command:?}: are you root?"
        );
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.run("umount", &["-l"]);
    }
}
