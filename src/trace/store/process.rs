//! Telling a process from a later one of the same number.

/// The boot, and when the process started, in clock ticks since then (proc(5), `/proc/PID/stat` field
/// 22). `gone` if there is no such process.
pub(super) fn identity(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it may hold blanks and brackets; field 3 follows the last bracket.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    match after.split_ascii_whitespace().nth(19) {
        Some(started) => format!("{}/{started}", boot()),
        None => String::from("gone"),
    }
}

/// Is an identity of this boot of this machine?
pub(super) fn is_of_this_boot(identity: &str) -> bool {
    identity
        .split_once('/')
        .is_some_and(|(recorded, _)| recorded == boot())
}

/// The name of the space that process numbers are of: a container has its own.
pub(super) fn namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().replace(' ', "")
}

fn boot() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    boot.trim().to_owned()
}
