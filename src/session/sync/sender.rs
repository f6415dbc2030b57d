//! The conversation: entries go out while the daemon already asks for contents.
//!
//! One thread walks, some read files, both write encoded messages to one answer; the daemon's requests
//! are read in the call's own task, so that no side ever waits for the other to stop talking.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};
use tokio::task::JoinSet;

use super::asked::{Asked, Closing};
use super::filter::{Filter, Wanted};
use super::paths::Paths;
use super::walk;
use crate::proto::fsutil::{Packet, packet::PacketType};
use crate::session::callback::Moved;
use crate::session::error::SessionError;
use crate::session::grpc::{self, Requests, Responder};

/// Threads that read files. The daemon's writing is the slower side, so more do not help.
const READERS: usize = 2;

/// Encoded messages are sent when so many bytes have come together.
const BATCH_BYTES: usize = 32 << 10;

/// Content in one message at most, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// What the threads of one transfer share.
struct Transfer {
    root: PathBuf,
    paths: Mutex<Paths>,
    responder: Responder,
    entries: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
}

/// Sends what is wanted of `root` to the daemon, until it has all it asked for.
///
/// # Errors
/// When something wanted cannot be read, or the daemon ends the transfer with an error.
pub(in crate::session) async fn send(
    root: &Path,
    wanted: Wanted,
    mut requests: Requests,
    responder: Responder,
) -> Result<Moved, SessionError> {
    let transfer = Arc::new(Transfer {
        root: root.to_owned(),
        paths: Mutex::default(),
        responder: responder.clone(),
        entries: AtomicU64::new(0),
        files: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    });
    let asked = Arc::new(Asked::default());
    // However this ends, no reader waits for more.
    let _closing = Closing(&asked);
    let mut threads = JoinSet::new();
    for _ in 0..READERS {
        let (transfer, asked) = (transfer.clone(), asked.clone());
        threads.spawn_blocking(move || transfer.read_files(&asked));
    }
    let walker = transfer.clone();
    threads.spawn_blocking(move || walker.walk(&wanted));

    let conversation = async {
        loop {
            let Some(packet) = requests.next::<Packet>().await? else {
                return Err(SessionError::Cancelled);
            };
            match packet.r#type() {
                PacketType::PacketReq => {
                    if !transfer.paths().ask(packet.id) {
                        return Err(SessionError::Protocol(format!(
                            "file {} was asked for, but there is no such file",
                            packet.id
                        )));
                    }
                    asked.push(packet.id);
                }
                PacketType::PacketFin => return Ok(()),
                PacketType::PacketErr => {
                    return Err(SessionError::Peer(
                        String::from_utf8_lossy(&packet.data).into_owned(),
                    ));
                }
                PacketType::PacketStat | PacketType::PacketData => {
                    return Err(SessionError::Protocol(
                        "the daemon sends files in a transfer from us".into(),
                    ));
                }
            }
        }
    };
    tokio::pin!(conversation);
    let ended = loop {
        tokio::select! {
            ended = &mut conversation => break ended,
            Some(joined) = threads.join_next() => match joined {
                Ok(Ok(())) => {}
                Ok(Err(error)) => break Err(error),
                Err(error) => break Err(SessionError::Protocol(error.to_string())),
            },
        }
    };
    match ended {
        Ok(()) => {
            responder
                .send(encoded(&Packet {
                    r#type: PacketType::PacketFin.into(),
                    ..Packet::default()
                }))
                .await?
        }
        Err(SessionError::Cancelled) => {}
        Err(ref error) => {
            let text = error.to_string().into_bytes();
            // The daemon shows this text as the reason of the step's failure.
            responder
                .send(encoded(&Packet {
                    r#type: PacketType::PacketErr.into(),
                    data: text.into(),
                    ..Packet::default()
                }))
                .await?;
        }
    }
    ended?;
    Ok(Moved {
        files: transfer.files.load(Ordering::Relaxed),
        bytes: transfer.bytes.load(Ordering::Relaxed),
        entries: transfer.entries.load(Ordering::Relaxed),
    })
}

fn encoded(message: &impl Message) -> Bytes {
    let mut out = BytesMut::new();
    grpc::encode(message, &mut out);
    out.freeze()
}

impl Transfer {
    fn paths(&self) -> std::sync::MutexGuard<'_, Paths> {
        // The table is whole after each call, whoever panicked.
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends every entry and the mark of the end.
    fn walk(&self, wanted: &Wanted) -> Result<(), SessionError> {
        let filter = Filter::new(&self.root, wanted)?;
        let mut out = BytesMut::with_capacity(2 * BATCH_BYTES);
        let mut next_id = 0u32;
        walk::walk(&self.root, &filter, &mut |entry| {
            let id = next_id;
            next_id = next_id
                .checked_add(1)
                .ok_or_else(|| SessionError::Protocol("more than 4 billion entries".into()))?;
            // Before it is sent: the daemon may ask at once.
            if crate::session::mode::is_regular(entry.stat.mode) && entry.stat.linkname.is_empty() {
                let added = self.paths().add(id, entry.directory, entry.name);
                added.ok_or_else(|| SessionError::Protocol("more than 4 GiB of names".into()))?;
            }
            let packet = Packet {
                r#type: PacketType::PacketStat.into(),
                stat: Some(entry.stat),
                ..Packet::default()
            };
            grpc::encode(&packet, &mut out);
            self.flush(&mut out, BATCH_BYTES)
        })?;
        grpc::encode(&Packet::default(), &mut out);
        self.entries.store(u64::from(next_id), Ordering::Relaxed);
        self.flush(&mut out, 1)
    }

    fn read_files(&self, asked: &Asked) -> Result<(), SessionError> {
        let mut out = BytesMut::new();
        loop {
            let next = match asked.waiting() {
                Some(next) => Some(next),
                None => {
                    // Nothing more to put together, and the daemon waits for what there is.
                    self.flush(&mut out, 1)?;
                    asked.next()
                }
            };
            let Some(id) = next else {
                return Ok(());
            };
            let path = self.paths().path(id).unwrap_or_default();
            self.read_file(id, &path, &mut out)?;
        }
    }

    /// Sends a file's content and the mark of its end. One that is gone is empty, as in fsutil: the
    /// daemon notices by its size.
    fn read_file(&self, id: u32, path: &Path, out: &mut BytesMut) -> Result<(), SessionError> {
        let full = self.root.join(path);
        if let Ok(mut file) = File::open(&full) {
            let size = file.metadata().map_or(0, |meta| meta.len());
            let mut left = usize::try_from(size).unwrap_or(usize::MAX);
            let failed = |source| SessionError::Path {
                action: "read",
                path: full.clone(),
                source,
            };
            while left > 0 {
                let wanted = left.min(CHUNK_BYTES);
                let count = chunk(&mut file, id, wanted, out).map_err(failed)?;
                self.bytes.fetch_add(count as u64, Ordering::Relaxed);
                left = if count < wanted { 0 } else { left - count };
                self.flush(out, BATCH_BYTES)?;
            }
        }
        self.files.fetch_add(1, Ordering::Relaxed);
        data_head(id, 0, out);
        self.flush(out, BATCH_BYTES)
    }

    /// Sends what has come together, if it is at least `least` bytes.
    fn flush(&self, out: &mut BytesMut, least: usize) -> Result<(), SessionError> {
        if out.len() < least {
            return Ok(());
        }
        let full = std::mem::replace(out, BytesMut::with_capacity(BATCH_BYTES + CHUNK_BYTES));
        self.responder.send_blocking(full.freeze())
    }
}

/// Appends a DATA packet with up to `wanted` bytes of the file, read straight into the message.
fn chunk(file: &mut File, id: u32, wanted: usize, out: &mut BytesMut) -> std::io::Result<usize> {
    let start = out.len();
    data_head(id, wanted, out);
    let content = out.len();
    out.resize(content + wanted, 0);
    let mut count = 0;
    while let Some(room) = out
        .get_mut(content + count..)
        .filter(|room| !room.is_empty())
    {
        match file.read(room) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if count < wanted {
        // The file has shrunk: the message is made again with what there is.
        let short = out
            .get(content..content + count)
            .unwrap_or_default()
            .to_vec();
        out.truncate(start);
        if count > 0 {
            data_head(id, count, out);
            out.extend_from_slice(&short);
        }
    }
    Ok(count)
}

/// Appends the beginning of a DATA packet: all but its `length` bytes of content.
fn data_head(id: u32, length: usize, out: &mut BytesMut) {
    // Packet: type = 2 (tag 0x08), id (tag 0x18), data (tag 0x22); zero and empty fields are absent.
    let id_bytes = if id == 0 {
        0
    } else {
        1 + encoded_len_varint(u64::from(id))
    };
    let data_bytes = if length == 0 {
        0
    } else {
        1 + encoded_len_varint(length as u64) + length
    };
    grpc::prefix(2 + id_bytes + data_bytes, out);
    out.put_slice(&[0x08, PacketType::PacketData as u8]);
    if id != 0 {
        out.put_u8(0x18);
        encode_varint(u64::from(id), out);
    }
    if length != 0 {
        out.put_u8(0x22);
        encode_varint(length as u64, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_head_is_what_the_generated_code_writes() {
        for (id, length) in [(0, 0), (0, 1), (1, 0), (300, 5), (u32::MAX, CHUNK_BYTES)] {
            let data = vec![7; length];
            let mut by_hand = BytesMut::new();
            data_head(id, length, &mut by_hand);
            by_hand.extend_from_slice(&data);
            let packet = Packet {
                r#type: PacketType::PacketData.into(),
                id,
                data: data.into(),
                ..Packet::default()
            };
            assert_eq!(by_hand, encoded(&packet), "{id} {length}");
        }
    }

    #[test]
    fn a_file_that_shrank_is_sent_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "abc").unwrap();
        let mut out = BytesMut::new();
        let count = chunk(&mut File::open(path).unwrap(), 5, 100, &mut out).unwrap();
        let packet = Packet {
            r#type: PacketType::PacketData.into(),
            id: 5,
            data: Bytes::from_static(b"abc"),
            ..Packet::default()
        };
        assert_eq!((count, out.freeze()), (3, encoded(&packet)));
    }
}
