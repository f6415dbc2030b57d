//! File modes: Go's `os.FileMode`, which travels, and `st_mode`, which the system knows.

/// Bits of Go's `os.FileMode` (package `io/fs`).
pub(super) const DIR: u32 = 1 << 31;
pub(super) const SYMLINK: u32 = 1 << 27;
pub(super) const DEVICE: u32 = 1 << 26;
pub(super) const FIFO: u32 = 1 << 25;
pub(super) const SOCKET: u32 = 1 << 24;
const SETUID: u32 = 1 << 23;
const SETGID: u32 = 1 << 22;
pub(super) const CHAR_DEVICE: u32 = 1 << 21;
const STICKY: u32 = 1 << 20;
const IRREGULAR: u32 = 1 << 19;

/// The bits that say what kind of file it is; none: a regular file.
const TYPE: u32 = DIR | SYMLINK | DEVICE | FIFO | SOCKET | CHAR_DEVICE | IRREGULAR;

/// Kinds in `st_mode` (`inode(7)`).
const S_IFMT: u32 = 0o170_000;

/// Go's mode of an `st_mode`. Sockets become regular, as fsutil sends them.
pub(super) fn to_go(st_mode: u32) -> u32 {
    let mut mode = st_mode & 0o777;
    for (bit, go) in [(0o4000, SETUID), (0o2000, SETGID), (0o1000, STICKY)] {
        if st_mode & bit != 0 {
            mode |= go;
        }
    }
    mode | match st_mode & S_IFMT {
        0o040_000 => DIR,
        0o120_000 => SYMLINK,
        0o060_000 => DEVICE,
        0o020_000 => DEVICE | CHAR_DEVICE,
        0o010_000 => FIFO,
        _ => 0,
    }
}

/// Permissions, set-id and sticky bits, as `chmod` takes them.
pub(super) fn permissions(go: u32) -> u32 {
    let mut mode = go & 0o777;
    for (bit, unix) in [(SETUID, 0o4000), (SETGID, 0o2000), (STICKY, 0o1000)] {
        if go & bit != 0 {
            mode |= unix;
        }
    }
    mode
}

/// Is it a regular file, whose content can be asked for?
pub(super) fn is_regular(go: u32) -> bool {
    go & TYPE == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_survive_the_way_there_and_back() {
        for bits in 0..0o10_000 {
            assert_eq!(permissions(to_go(0o100_000 | bits)), bits);
        }
    }

    #[test]
    fn only_files_and_sockets_are_regular() {
        let regular = |kind: u32| is_regular(to_go(kind | 0o644));
        assert!(regular(0o100_000) && regular(0o140_000));
        for kind in [0o040_000u32, 0o120_000, 0o060_000, 0o020_000, 0o010_000] {
            assert!(!regular(kind), "{kind:o}");
        }
    }
}
