//! The walk: every entry that is wanted, in the protocol's order.
//!
//! Depth first, siblings by the bytes of their names, a directory before what is in it. A directory
//! that is not wanted itself is still sent before the first wanted entry below it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, Stat as FileStat};

use super::filter::{Above, Decision, Filter};
use crate::proto::fsutil::Stat;
use crate::session::error::SessionError;
use crate::session::mode;

/// Attributes that are never sent: they mean something to one system only.
const FOREIGN_XATTRS: &[u8] = b"com.apple.";

/// Largest extended attribute, and largest list of their names (`xattr(7)`), in bytes.
const XATTR_BYTES: usize = 64 << 10;

/// An entry to be sent.
pub(super) struct Entry<'a> {
    /// Its directory, relative to the root; empty for the root.
    pub(super) directory: &'a [u8],
    /// Its name.
    pub(super) name: &'a [u8],
    /// What is sent of it.
    pub(super) stat: Stat,
}

/// Walks `root` and gives each wanted entry to `visit`.
///
/// # Errors
/// When the root or a wanted entry cannot be read. Entries that vanish meanwhile are passed over.
pub(super) fn walk(
    root: &Path,
    filter: &Filter,
    visit: &mut dyn FnMut(Entry<'_>) -> Result<(), SessionError>,
) -> Result<(), SessionError> {
    let directory = rustix::fs::open(
        root,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let directory =
        directory.map_err(|error| failed("read the directory", root.to_owned(), error))?;
    let mut walk = Walk {
        root,
        filter,
        visit,
        links: HashMap::new(),
        pending: Vec::new(),
        xattr: Vec::new(),
    };
    walk.directory(directory, b"", &Above::default())
}

struct Walk<'a> {
    root: &'a Path,
    filter: &'a Filter,
    visit: &'a mut dyn FnMut(Entry<'_>) -> Result<(), SessionError>,
    /// First path of files that have several names, by device and inode.
    links: HashMap<(u64, u64), Bytes>,
    /// Directories on the way down that were not sent so far, outermost first.
    pending: Vec<(Bytes, Stat)>,
    /// Room for the names of attributes, used again and again.
    xattr: Vec<u8>,
}

impl Walk<'_> {
    fn directory(
        &mut self,
        directory: OwnedFd,
        path: &[u8],
        above: &Above,
    ) -> Result<(), SessionError> {
        for name in self.names(&directory, path)? {
            let entry = join(path, &name);
            let stat = match rustix::fs::statat(&directory, &*name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(failed("look at", self.shown(&entry), error)),
            };
            let is_dir = stat.st_mode & 0o170_000 == 0o040_000;
            let (decision, below) = self.filter.decide(&text(&entry), is_dir, above);
            if decision == Decision::Skip {
                continue;
            }
            let depth = self.pending.len();
            if decision == Decision::Send {
                self.send_pending()?;
                let stat = self.stat(&directory, &name, &entry, &stat)?;
                (self.visit)(Entry {
                    directory: path,
                    name: &name,
                    stat,
                })?;
            } else {
                let stat = self.stat(&directory, &name, &entry, &stat)?;
                self.pending.push((entry.clone(), stat));
            }
            if is_dir {
                self.enter(&directory, &name, &entry, decision, &below)?;
            }
            self.pending.truncate(depth);
        }
        Ok(())
    }

    fn enter(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        path: &[u8],
        decision: Decision,
        below: &Above,
    ) -> Result<(), SessionError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(directory, name, flags, Mode::empty()) {
            Ok(inner) => self.directory(inner, path, below),
            Err(rustix::io::Errno::NOENT) => Ok(()),
            // What is excluded need not be readable.
            Err(rustix::io::Errno::ACCESS) if decision == Decision::Enter => Ok(()),
            Err(error) => Err(failed("read the directory", self.shown(path), error)),
        }
    }

    /// Sends the directories that lead to an entry.
    fn send_pending(&mut self) -> Result<(), SessionError> {
        for (path, stat) in &mut self.pending {
            // Sent ones stay in the list, so that its length is still the depth.
            if !stat.path.is_empty() {
                let slash = path.iter().rposition(|byte| *byte == b'/');
                let (directory, name) = match slash.and_then(|at| path.split_at_checked(at)) {
                    Some((directory, rest)) => (directory, rest.get(1..).unwrap_or_default()),
                    None => (&b""[..], &path[..]),
                };
                (self.visit)(Entry {
                    directory,
                    name,
                    stat: std::mem::take(stat),
                })?;
            }
        }
        Ok(())
    }

    /// Where an entry is on this machine.
    fn shown(&self, path: &[u8]) -> PathBuf {
        self.root.join(OsStr::from_bytes(path))
    }

    /// The names in a directory, in order of their bytes.
    fn names(&self, directory: &OwnedFd, path: &[u8]) -> Result<Vec<Box<[u8]>>, SessionError> {
        let failed = |error| failed("read the directory", self.shown(path), error);
        let mut names = Vec::new();
        for entry in Dir::read_from(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(Box::from(name));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn stat(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        path: &Bytes,
        file: &FileStat,
    ) -> Result<Stat, SessionError> {
        let go = mode::to_go(file.st_mode);
        let mut stat = Stat {
            path: path.clone(),
            mode: go,
            // Owner 0: a context does not depend on who built it.
            mod_time: file
                .st_mtime
                .saturating_mul(1_000_000_000)
                .saturating_add(i64::try_from(file.st_mtime_nsec).unwrap_or(0)),
            ..Stat::default()
        };
        if mode::is_regular(go) {
            stat.size = file.st_size;
        }
        if go & mode::SYMLINK != 0 {
            let target = rustix::fs::readlinkat(directory, name, Vec::new())
                .map_err(|error| failed("read the link", self.shown(path), error))?;
            stat.linkname = target.into_bytes().into();
        } else if go & mode::DEVICE != 0 {
            stat.devmajor = i64::from(rustix::fs::major(file.st_rdev));
            stat.devminor = i64::from(rustix::fs::minor(file.st_rdev));
        }
        if file.st_nlink > 1 && go & mode::DIR == 0 {
            match self.links.get(&(file.st_dev, file.st_ino)) {
                Some(first) => {
                    stat.linkname = first.clone();
                    stat.size = 0;
                }
                None => {
                    self.links.insert((file.st_dev, file.st_ino), path.clone());
                }
            }
        }
        self.xattrs(path, &mut stat);
        Ok(stat)
    }

    /// Extended attributes; a file system without them has none.
    fn xattrs(&mut self, path: &[u8], stat: &mut Stat) {
        let file = self.shown(path);
        self.xattr.resize(XATTR_BYTES, 0);
        let Ok(length) = rustix::fs::llistxattr(&file, &mut self.xattr[..]) else {
            return;
        };
        let list = self.xattr.get(..length).unwrap_or_default();
        for name in list.split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else {
                continue;
            };
            if name.to_bytes().starts_with(FOREIGN_XATTRS) {
                continue;
            }
            let Ok(key) = name.to_str() else { continue };
            let mut value = vec![0; XATTR_BYTES];
            if let Ok(length) = rustix::fs::lgetxattr(&file, name, &mut value[..]) {
                value.truncate(length);
                stat.xattrs.insert(key.to_owned(), value.into());
            }
        }
    }
}

fn join(directory: &[u8], name: &[u8]) -> Bytes {
    if directory.is_empty() {
        return Bytes::copy_from_slice(name);
    }
    [directory, b"/", name].concat().into()
}

/// A path as patterns see it: a byte that is not UTF-8 is U+FFFD, as it is in Go.
fn text(path: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(path) {
        return text.into();
    }
    let mut text = String::with_capacity(path.len() + 16);
    for chunk in path.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text.into()
}

fn failed(action: &'static str, path: PathBuf, error: rustix::io::Errno) -> SessionError {
    SessionError::Path {
        action,
        path,
        source: error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sync::filter::Wanted;
    use std::os::unix::fs::symlink;

    fn tree(paths: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            let file = root.path().join(path);
            if path.ends_with('/') {
                std::fs::create_dir_all(file).unwrap();
            } else {
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, path).unwrap();
            }
        }
        root
    }

    fn walked(root: &Path, wanted: &Wanted) -> Vec<Stat> {
        let filter = Filter::new(root, wanted).unwrap();
        let mut stats = Vec::new();
        walk(root, &filter, &mut |entry| {
            stats.push(entry.stat);
            Ok(())
        })
        .unwrap();
        stats
    }

    fn names(stats: &[Stat]) -> Vec<Cow<'_, str>> {
        stats.iter().map(|stat| text(&stat.path)).collect()
    }

    #[test]
    fn slash_sorts_before_everything() {
        let root = tree(&["a/b", "a.txt", "a-b", "A", "ä", "empty/"]);
        let stats = walked(root.path(), &Wanted::default());
        assert_eq!(
            names(&stats),
            ["A", "a", "a/b", "a-b", "a.txt", "empty", "ä"]
        );
    }

    #[test]
    fn parents_of_a_wanted_file_come_with_it_and_only_then() {
        let root = tree(&["a/b/c", "a/x/y", "d/e"]);
        let wanted = Wanted {
            include: vec!["a/b/c".into(), "d/zzz".into()],
            ..Wanted::default()
        };
        assert_eq!(names(&walked(root.path(), &wanted)), ["a", "a/b", "a/b/c"]);
        let wanted = Wanted {
            exclude: vec!["a".into(), "!a/b/c".into()],
            ..Wanted::default()
        };
        assert_eq!(
            names(&walked(root.path(), &wanted)),
            ["a", "a/b", "a/b/c", "d", "d/e"]
        );
    }

    #[test]
    fn a_later_name_of_a_file_refers_to_the_first_that_was_sent() {
        let root = tree(&["a", "z"]);
        for name in ["b", "c"] {
            std::fs::hard_link(root.path().join("a"), root.path().join(name)).unwrap();
        }
        let links = |wanted: &Wanted| -> Vec<_> {
            walked(root.path(), wanted)
                .into_iter()
                .map(|stat| (stat.path, stat.linkname, stat.size))
                .collect()
        };
        let expected = |rows: &[(&str, &str, i64)]| -> Vec<_> {
            rows.iter()
                .map(|(a, b, c)| ((*a).to_owned().into(), (*b).to_owned().into(), *c))
                .collect()
        };
        assert_eq!(
            links(&Wanted::default()),
            expected(&[("a", "", 1), ("b", "a", 0), ("c", "a", 0), ("z", "", 1)])
        );
        let wanted = Wanted {
            exclude: vec!["a".into()],
            ..Wanted::default()
        };
        assert_eq!(
            links(&wanted),
            expected(&[("b", "", 1), ("c", "b", 0), ("z", "", 1)])
        );
    }

    #[test]
    fn links_keep_their_targets_and_owners_are_root() {
        let root = tree(&["a"]);
        symlink("../somewhere", root.path().join("l")).unwrap();
        let stats = walked(root.path(), &Wanted::default());
        assert_eq!(stats[1].linkname, "../somewhere".as_bytes());
        assert_eq!(
            (stats[1].mode & mode::SYMLINK, stats[1].size),
            (mode::SYMLINK, 0)
        );
        assert!(stats.iter().all(|stat| (stat.uid, stat.gid) == (0, 0)));
    }

    #[test]
    fn a_name_that_is_not_utf8_is_sent_as_it_is_and_matched_as_go_does() {
        let root = tree(&["a"]);
        let name = b"b\xe9\xc3.log";
        std::fs::write(root.path().join(OsStr::from_bytes(name)), "").unwrap();
        symlink(OsStr::from_bytes(name), root.path().join("c")).unwrap();
        let stats = walked(root.path(), &Wanted::default());
        assert_eq!(stats[1].path, name.as_slice());
        assert_eq!(stats[2].linkname, name.as_slice());
        let wanted = Wanted {
            exclude: vec!["b??.log".into()],
            ..Wanted::default()
        };
        assert_eq!(names(&walked(root.path(), &wanted)), ["a", "c"]);
    }

    #[test]
    fn a_missing_root_is_named() {
        let filter = Filter::new(Path::new("/nowhere"), &Wanted::default()).unwrap();
        let error = walk(Path::new("/nowhere"), &filter, &mut |_| Ok(())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the directory `/nowhere`: No such file or directory (os error 2)"
        );
    }
}
