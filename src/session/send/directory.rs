//! A directory: fsutil's protocol with the daemon as the sender.
//!
//! Every entry is announced (STAT); of each regular file we ask for the content (REQ), which comes in
//! pieces (DATA) and ends with an empty one. Files are written under another name and take their own
//! when they are whole. Nothing outside the directory is touched, whatever paths come.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use crate::proto::fsutil::{Packet, Stat, packet::PacketType};
use crate::session::callback::Moved;
use crate::session::error::SessionError;
use crate::session::grpc::{self, Requests, Responder};
use crate::session::mode;

/// Packets that wait to be written. Full: the daemon waits.
const PACKETS: usize = 64;

/// What becomes of entries that are there and not in the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Rest {
    Kept,
    Deleted,
}

/// Receives the result into `root`, over what is there.
///
/// # Errors
/// When something cannot be written, or the daemon breaks the protocol or off.
pub(in crate::session) async fn directory(
    root: &Path,
    rest: Rest,
    mut requests: Requests,
    responder: &Responder,
) -> Result<Moved, SessionError> {
    let (packets, mut received) = tokio::sync::mpsc::channel::<Packet>(PACKETS);
    let (target, answers) = (root.to_owned(), responder.clone());
    let mut writer = tokio::task::spawn_blocking(move || {
        let mut receiver = Receiver::new(target, rest)?;
        while let Some(packet) = received.blocking_recv() {
            let mut out = BytesMut::new();
            let done = receiver.packet(packet, &mut out)?;
            if !out.is_empty() {
                answers.send_blocking(out.freeze())?;
            }
            if done {
                return Ok(receiver.moved);
            }
        }
        Err(SessionError::Cancelled)
    });
    let relay = async {
        while let Some(packet) = requests.next::<Packet>().await? {
            if packets.send(packet).await.is_err() {
                break;
            }
        }
        drop(packets);
        Ok::<_, SessionError>(())
    };
    tokio::pin!(relay);
    let written = tokio::select! {
        written = &mut writer => written,
        relayed = &mut relay => match relayed {
            Ok(()) => writer.await,
            Err(error) => return Err(error),
        },
    };
    let written = written.map_err(|error| SessionError::Protocol(error.to_string()))?;
    if let Err(error) = &written {
        let text = error.to_string().into_bytes();
        let mut out = BytesMut::new();
        grpc::encode(
            &Packet {
                r#type: PacketType::PacketErr.into(),
                data: text.into(),
                ..Packet::default()
            },
            &mut out,
        );
        // The daemon may have gone already; our own error is what is told.
        let _ = responder.send(out.freeze()).await;
    }
    written
}

/// The tree as far as it has come.
struct Receiver {
    root: PathBuf,
    /// What came, if the rest is to be deleted.
    seen: Option<HashSet<PathBuf>>,
    next_id: u32,
    /// Directories of this transfer: only in them is anything made.
    directories: HashSet<PathBuf>,
    /// Files that were asked for.
    files: HashMap<u32, Arriving>,
    /// Done when all files are there: a link needs its target, a directory keeps its time only if
    /// nothing is made in it any more.
    hardlinks: Vec<(PathBuf, PathBuf)>,
    directory_stats: Vec<(PathBuf, Stat)>,
    announced: bool,
    finished: bool,
    moved: Moved,
}

/// A file whose content is on its way.
struct Arriving {
    path: PathBuf,
    stat: Stat,
    /// Opened with the first piece, so that few are open at once.
    part: Option<(PathBuf, File)>,
}

impl Receiver {
    fn new(root: PathBuf, rest: Rest) -> Result<Self, SessionError> {
        fs::create_dir_all(&root).map_err(|source| failed("make the directory", &root, source))?;
        Ok(Self {
            directories: HashSet::from([PathBuf::new()]),
            root,
            seen: (rest == Rest::Deleted).then(HashSet::new),
            next_id: 0,
            files: HashMap::new(),
            hardlinks: Vec::new(),
            directory_stats: Vec::new(),
            announced: false,
            finished: false,
            moved: Moved::default(),
        })
    }

    /// Takes one packet; answers go to `out`. True when the transfer is over.
    fn packet(&mut self, packet: Packet, out: &mut BytesMut) -> Result<bool, SessionError> {
        match packet.r#type() {
            PacketType::PacketStat => match packet.stat {
                Some(stat) => self.announce(stat, out)?,
                None => self.announced = true,
            },
            PacketType::PacketData => self.data(packet.id, &packet.data)?,
            PacketType::PacketFin if self.finished => return Ok(true),
            PacketType::PacketFin => {
                return Err(SessionError::Protocol(
                    "an end before all files were there".into(),
                ));
            }
            PacketType::PacketErr => {
                return Err(SessionError::Peer(
                    String::from_utf8_lossy(&packet.data).into_owned(),
                ));
            }
            PacketType::PacketReq => {
                return Err(SessionError::Protocol(
                    "a request in a transfer to us".into(),
                ));
            }
        }
        if self.announced && self.files.is_empty() && !self.finished {
            self.complete()?;
            self.finished = true;
            grpc::encode(
                &Packet {
                    r#type: PacketType::PacketFin.into(),
                    ..Packet::default()
                },
                out,
            );
        }
        Ok(false)
    }

    fn announce(&mut self, stat: Stat, out: &mut BytesMut) -> Result<(), SessionError> {
        let id = self.next_id;
        self.next_id = id
            .checked_add(1)
            .ok_or_else(|| SessionError::Protocol("more than 4 billion entries".into()))?;
        self.moved.entries += 1;
        let inside = safe(&stat.path)?;
        let parent = inside.parent().unwrap_or(Path::new(""));
        if !self.directories.contains(parent) {
            return Err(SessionError::Protocol(format!(
                "`{}` comes before its directory",
                stat.path.escape_ascii()
            )));
        }
        let path = self.root.join(&inside);
        if let Some(seen) = &mut self.seen {
            seen.insert(path.clone());
        }
        if stat.mode & mode::DIR != 0 {
            let there = path.symlink_metadata();
            if !there.as_ref().is_ok_and(fs::Metadata::is_dir) {
                remove(&path)?;
                fs::create_dir(&path)
                    .map_err(|source| failed("make the directory", &path, source))?;
            }
            // Writable for us until all is in it; its own mode comes at the end.
            chmod(&path, mode::permissions(stat.mode) | 0o700)?;
            self.directories.insert(inside);
            self.directory_stats.push((path, unnamed(stat)));
        } else if !stat.linkname.is_empty() && stat.mode & mode::SYMLINK == 0 {
            self.hardlinks
                .push((self.root.join(safe(&stat.linkname)?), path));
        } else if stat.mode & mode::SYMLINK != 0 {
            remove(&path)?;
            symlink(OsStr::from_bytes(&stat.linkname), &path)
                .map_err(|source| failed("make the link", &path, source))?;
            set_times(&path, &stat)?;
        } else if mode::is_regular(stat.mode) {
            self.files.insert(
                id,
                Arriving {
                    path,
                    stat: unnamed(stat),
                    part: None,
                },
            );
            grpc::encode(
                &Packet {
                    r#type: PacketType::PacketReq.into(),
                    id,
                    ..Packet::default()
                },
                out,
            );
        } else {
            remove(&path)?;
            special(&path, &stat)?;
            finish(&path, &stat)?;
        }
        Ok(())
    }

    fn data(&mut self, id: u32, data: &[u8]) -> Result<(), SessionError> {
        let unasked =
            || SessionError::Protocol(format!("content of file {id}, which was not asked for"));
        let arriving = self.files.get_mut(&id).ok_or_else(unasked)?;
        let (part, file) = arriving.open()?;
        if !data.is_empty() {
            self.moved.bytes += data.len() as u64;
            return file
                .write_all(data)
                .map_err(|source| failed("write", part, source));
        }
        let mut arriving = self.files.remove(&id).ok_or_else(unasked)?;
        if let Some((part, file)) = arriving.part.take() {
            drop(file);
            finish(&part, &arriving.stat)?;
            if arriving
                .path
                .symlink_metadata()
                .is_ok_and(|meta| meta.is_dir())
            {
                remove(&arriving.path)?;
            }
            fs::rename(&part, &arriving.path)
                .map_err(|source| failed("write", &arriving.path, source))?;
        }
        self.moved.files += 1;
        Ok(())
    }

    /// What can only be done when all files are there.
    fn complete(&mut self) -> Result<(), SessionError> {
        for (target, path) in self.hardlinks.drain(..) {
            remove(&path)?;
            fs::hard_link(&target, &path)
                .map_err(|source| failed("make the link", &path, source))?;
        }
        if let Some(seen) = &self.seen {
            prune(&self.root, seen)?;
        }
        for (path, stat) in self.directory_stats.drain(..).rev() {
            finish(&path, &stat)?;
        }
        Ok(())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        for arriving in self.files.values() {
            if let Some((part, _)) = &arriving.part {
                // Gone already, or there is nothing more to be done about it.
                let _ = fs::remove_file(part);
            }
        }
    }
}

impl Arriving {
    fn open(&mut self) -> Result<(&Path, &mut File), SessionError> {
        if self.part.is_none() {
            let mut name = self.path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}.part", std::process::id()));
            let part = self.path.with_file_name(name);
            let file = File::create(&part).map_err(|source| failed("create", &part, source))?;
            self.part = Some((part, file));
        }
        match &mut self.part {
            Some((part, file)) => Ok((part, file)),
            None => Err(SessionError::Cancelled),
        }
    }
}

/// What is kept of an entry that is not done yet. Its names are parts of what came from the connection, and
/// would keep all of that.
fn unnamed(stat: Stat) -> Stat {
    Stat {
        path: Bytes::new(),
        linkname: Bytes::new(),
        ..stat
    }
}

/// The path, if it stays inside and is written in its shortest form.
fn safe(path: &[u8]) -> Result<PathBuf, SessionError> {
    let whole =
        |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
    if path.split(|byte| *byte == b'/').all(whole) {
        Ok(OsStr::from_bytes(path).into())
    } else {
        Err(SessionError::Protocol(format!(
            "the path \"{}\" leads out of the output, or is not clean",
            path.escape_ascii()
        )))
    }
}

/// Deletes what is under `directory` and not in `seen`.
fn prune(directory: &Path, seen: &HashSet<PathBuf>) -> Result<(), SessionError> {
    let cannot = |source| failed("list", directory, source);
    for entry in fs::read_dir(directory).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let path = entry.path();
        if !seen.contains(&path) {
            remove(&path)?;
        } else if entry.file_type().map_err(cannot)?.is_dir() {
            prune(&path, seen)?;
        }
    }
    Ok(())
}

/// Makes room for an entry: what is there goes, if it is not what is wanted.
fn remove(path: &Path) -> Result<(), SessionError> {
    let Ok(meta) = path.symlink_metadata() else {
        return Ok(());
    };
    let removed = if meta.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    removed.map_err(|source| failed("replace", path, source))
}

fn special(path: &Path, stat: &Stat) -> Result<(), SessionError> {
    let kind = match stat.mode {
        m if m & mode::FIFO != 0 => FileType::Fifo,
        m if m & mode::CHAR_DEVICE != 0 => FileType::CharacterDevice,
        m if m & mode::DEVICE != 0 => FileType::BlockDevice,
        other => {
            return Err(SessionError::Protocol(format!(
                "`{}` is of an unknown kind ({other:#x})",
                stat.path.escape_ascii()
            )));
        }
    };
    let number = |part: i64| u32::try_from(part).unwrap_or(0);
    let device = rustix::fs::makedev(number(stat.devmajor), number(stat.devminor));
    rustix::fs::mknodat(
        CWD,
        path,
        kind,
        Mode::from_raw_mode(mode::permissions(stat.mode)),
        device,
    )
    .map_err(|error| failed("make the device", path, error.into()))
}

/// Mode, attributes and time of an entry that is no link.
fn finish(path: &Path, stat: &Stat) -> Result<(), SessionError> {
    for (name, value) in &stat.xattrs {
        // A file system that knows no attributes, or not these, has none: so does fsutil.
        let _ = rustix::fs::lsetxattr(path, name.as_str(), value, XattrFlags::empty());
    }
    chmod(path, mode::permissions(stat.mode))?;
    set_times(path, stat)
}

fn chmod(path: &Path, bits: u32) -> Result<(), SessionError> {
    fs::set_permissions(path, Permissions::from_mode(bits))
        .map_err(|source| failed("set the mode of", path, source))
}

fn set_times(path: &Path, stat: &Stat) -> Result<(), SessionError> {
    let time = Timespec {
        tv_sec: stat.mod_time.div_euclid(1_000_000_000),
        tv_nsec: stat.mod_time.rem_euclid(1_000_000_000),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| failed("set the time of", path, error.into()))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> SessionError {
    SessionError::Path {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn stat(path: &str, mode: u32) -> Packet {
        let stat = Stat {
            path: path.to_owned().into(),
            mode,
            mod_time: 1_500_000_000,
            ..Stat::default()
        };
        Packet {
            stat: Some(stat),
            ..Packet::default()
        }
    }

    fn link(path: &str, target: &str, mode: u32) -> Packet {
        let mut packet = stat(path, mode);
        packet.stat.as_mut().unwrap().linkname = target.to_owned().into();
        packet
    }

    fn data(id: u32, data: &'static [u8]) -> Packet {
        Packet {
            r#type: PacketType::PacketData.into(),
            id,
            data: Bytes::from_static(data),
            ..Packet::default()
        }
    }

    fn fin() -> Packet {
        Packet {
            r#type: PacketType::PacketFin.into(),
            ..Packet::default()
        }
    }

    fn received(root: &Path, packets: Vec<Packet>) -> Result<bool, SessionError> {
        received_with(root, Rest::Kept, packets)
    }

    fn received_with(root: &Path, rest: Rest, packets: Vec<Packet>) -> Result<bool, SessionError> {
        let mut receiver = Receiver::new(root.to_owned(), rest)?;
        let mut done = false;
        for packet in packets {
            done = receiver.packet(packet, &mut BytesMut::new())?;
        }
        Ok(done)
    }

    #[test]
    fn a_tree_arrives_whole() {
        let root = tempfile::tempdir().unwrap();
        let done = received(
            root.path(),
            vec![
                stat("d", mode::DIR | 0o755),
                stat("d/f", 0o640),
                link("d/l", "../../etc/passwd", mode::SYMLINK | 0o777),
                link("h", "d/f", 0o640),
                stat("locked", mode::DIR | 0o500),
                stat("locked/e", mode::to_go(0o104_755)),
                data(1, b"ab"),
                Packet::default(),
                data(1, b"c"),
                data(5, b""),
                data(1, b""),
                fin(),
            ],
        );
        assert!(done.unwrap());
        let read = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
        let bits = |path: &str| {
            root.path()
                .join(path)
                .metadata()
                .unwrap()
                .permissions()
                .mode()
                & 0o7777
        };
        assert_eq!(
            (read("d/f"), read("h"), read("locked/e")),
            ("abc".into(), "abc".into(), String::new())
        );
        assert_eq!(
            (bits("d/f"), bits("locked"), bits("locked/e")),
            (0o640, 0o500, 0o4755)
        );
        assert_eq!(
            fs::read_link(root.path().join("d/l")).unwrap(),
            Path::new("../../etc/passwd")
        );
    }

    #[test]
    fn a_mirror_has_nothing_else_and_deletes_through_no_link() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir_all(root.join("d/old")).unwrap();
        fs::write(outside.path().join("safe"), "").unwrap();
        fs::write(root.join("d/old/file"), "").unwrap();
        symlink("..", root.join("link")).unwrap();
        let packets = || {
            let dir = stat("d", mode::DIR | 0o755);
            vec![
                dir,
                stat("d/f", 0o644),
                Packet::default(),
                data(1, b""),
                fin(),
            ]
        };
        assert!(received_with(&root, Rest::Kept, packets()).unwrap());
        assert!(root.join("d/old/file").exists());
        assert!(received_with(&root, Rest::Deleted, packets()).unwrap());
        assert!(!root.join("d/old").exists() && !root.join("link").exists());
        assert!(root.join("d/f").exists() && outside.path().join("safe").exists());
    }

    #[test]
    fn no_path_leads_out() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        for path in ["../x", "/x", "a/../../x", "", ".", "a//b", "a\0b"] {
            assert!(
                received(&root, vec![stat(path, 0o644)]).is_err(),
                "{path:?}"
            );
        }
        let through = vec![link("l", "..", mode::SYMLINK), stat("l/x", 0o644)];
        assert!(received(&root, through).is_err(), "a link is no directory");
        let hard = vec![link("l", "../x", 0o644)];
        assert!(received(&root, hard).is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_that_stands_where_a_directory_belongs_is_replaced() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir(&root).unwrap();
        symlink("..", root.join("d")).unwrap();
        let packets = vec![
            stat("d", mode::DIR | 0o755),
            stat("d/f", 0o644),
            Packet::default(),
            data(1, b""),
            fin(),
        ];
        assert!(received(&root, packets).unwrap());
        assert!(root.join("d/f").exists() && !outside.path().join("f").exists());
    }

    #[test]
    fn a_transfer_that_breaks_off_leaves_no_parts() {
        let root = tempfile::tempdir().unwrap();
        let error = Packet {
            r#type: PacketType::PacketErr.into(),
            data: Bytes::from_static(b"no"),
            ..Packet::default()
        };
        let result = received(root.path(), vec![stat("f", 0o644), data(0, b"x"), error]);
        assert!(matches!(result, Err(SessionError::Peer(text)) if text == "no"));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_breaks_the_protocol_is_refused() {
        let root = tempfile::tempdir().unwrap();
        for packets in [
            vec![data(0, b"x")],
            vec![fin()],
            vec![stat("a/b", 0o644)],
            vec![stat("f", 0o644), fin()],
        ] {
            assert!(matches!(
                received(root.path(), packets),
                Err(SessionError::Protocol(_))
            ));
        }
    }
}
