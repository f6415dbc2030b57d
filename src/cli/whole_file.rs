//! Files that others wait for: each is there whole, or not at all.

use std::io;
use std::path::Path;

/// Writes `text` to `path`, in place of what is there.
///
/// # Errors
/// When it cannot be written; then what was there still is.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    // A device, e.g. /dev/stderr, is written and not replaced.
    if path.metadata().is_ok_and(|meta| !meta.is_file()) {
        return std::fs::write(path, text);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, path));
    written.inspect_err(|_| {
        // Gone already, or there is nothing more to be done about it.
        let _ = std::fs::remove_file(&part);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("report");
        for text in ["one", "two"] {
            write(&file, text).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
        write(&dir.path().join("gone/report"), "").unwrap_err();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        // The last name of this one is a directory's.
        write(dir.path(), "").unwrap_err();
    }

    #[test]
    fn a_device_stays_one() {
        write(Path::new("/dev/null"), "text").unwrap();
        assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
    }
}
