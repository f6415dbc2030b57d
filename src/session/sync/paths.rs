//! The paths of the files that may be asked for, by id, in little room.
//!
//! Ids count all entries, but only regular files can be asked for. A path is kept as its directory's
//! number and its name's place in one text, so that 200,000 files take a few MiB.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Paths by id.
#[derive(Debug, Default)]
pub(super) struct Paths {
    directories: Vec<Box<[u8]>>,
    names: Vec<u8>,
    /// Sorted by id, as ids only grow.
    files: Vec<File>,
}

#[derive(Clone, Copy, Debug)]
struct File {
    id: u32,
    directory: u32,
    /// Where the name begins; it ends where the next one begins.
    name: u32,
    asked: bool,
}

impl Paths {
    /// Notes that `id` is the file `name` in `directory` (both relative, `directory` without a
    /// trailing slash, empty for the root).
    ///
    /// `None`: the names take more than 4 GiB.
    pub(super) fn add(&mut self, id: u32, directory: &[u8], name: &[u8]) -> Option<()> {
        if self
            .directories
            .last()
            .is_none_or(|last| **last != *directory)
        {
            self.directories.push(directory.into());
        }
        let file = File {
            id,
            directory: u32::try_from(self.directories.len() - 1).ok()?,
            name: u32::try_from(self.names.len()).ok()?,
            asked: false,
        };
        self.names.extend_from_slice(name);
        self.files.push(file);
        Some(())
    }

    /// Notes that a file is asked for; false if there is none, or it was before.
    pub(super) fn ask(&mut self, id: u32) -> bool {
        let index = self.index(id);
        let file = index.and_then(|index| self.files.get_mut(index));
        file.is_some_and(|file| !std::mem::replace(&mut file.asked, true))
    }

    /// Where a file stands among the files.
    fn index(&self, id: u32) -> Option<usize> {
        self.files.binary_search_by_key(&id, |file| file.id).ok()
    }

    /// The path of a file.
    pub(super) fn path(&self, id: u32) -> Option<PathBuf> {
        let index = self.index(id)?;
        let file = self.files.get(index)?;
        let (directory, start) = (file.directory, file.name);
        let end = self
            .files
            .get(index + 1)
            .map_or(self.names.len(), |next| next.name as usize);
        let name = self.names.get(start as usize..end)?;
        let directory = self.directories.get(directory as usize)?;
        // An empty directory adds nothing.
        Some(Path::new(OsStr::from_bytes(directory)).join(OsStr::from_bytes(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_can_be_asked_for_once() {
        let mut paths = Paths::default();
        for (id, directory, name) in [(0, "", "a"), (2, "d", "b"), (3, "d", "c"), (5, "", "z")] {
            paths
                .add(id, directory.as_bytes(), name.as_bytes())
                .unwrap();
        }
        let asked = [0, 1, 2, 3, 5, 3, 9].map(|id| paths.ask(id));
        assert_eq!(asked, [true, false, true, true, true, false, false]);
        let found = [0, 1, 2, 3, 5].map(|id| paths.path(id));
        let expected = [Some("a"), None, Some("d/b"), Some("d/c"), Some("z")];
        assert_eq!(found, expected.map(|path| path.map(PathBuf::from)));
    }
}
