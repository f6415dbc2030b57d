//! `unix://PATH`: a socket on this machine.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use tokio::net::UnixStream;

/// Opens the socket.
pub(super) async fn open(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).await
}

/// What to do about a socket that cannot be opened.
pub(super) fn help(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!(
                "there is no socket at `{shown}`: start buildkitd with `--addr unix://{shown}`, or correct the path"
            )
        }
        io::ErrorKind::PermissionDenied => permission(path),
        io::ErrorKind::ConnectionRefused => match path.metadata() {
            Ok(meta) if !meta.file_type().is_socket() => format!("`{shown}` is not a socket"),
            _ => "the socket is left over and nothing listens on it: start buildkitd".into(),
        },
        _ => format!("see whether buildkitd is running and listens on `{shown}`"),
    }
}

/// Says who owns the socket, who may use it, and what to type.
fn permission(path: &Path) -> String {
    let shown = path.display();
    let Ok(meta) = path.metadata() else {
        return format!(
            "a folder above `{shown}` may not be entered by this user; run as a user who may, e.g. with sudo"
        );
    };
    let mode = meta.permissions().mode() & 0o777;
    let (uid, gid) = (meta.uid(), meta.gid());
    let owner = name_of("/etc/passwd", uid).unwrap_or_else(|| uid.to_string());
    let group = name_of("/etc/group", gid).unwrap_or_else(|| gid.to_string());
    let way = if gid != 0 && mode & 0o060 == 0o060 {
        format!("join the group with `sudo usermod -aG {group} $USER` and log in again")
    } else {
        format!(
            "run as {owner}, e.g. with sudo, or start buildkitd with `--group` set to a group of yours"
        )
    };
    format!(
        "the socket belongs to {owner}:{group} with mode {mode:o}, and using it needs read and write: {way}"
    )
}

/// The name that stands beside a number in `/etc/passwd` or `/etc/group`.
fn name_of(file: &str, id: u32) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_number_zero() {
        assert_eq!(name_of("/etc/passwd", 0).as_deref(), Some("root"));
        assert_eq!(name_of("/etc/group", 4_000_000_000), None);
    }
}
