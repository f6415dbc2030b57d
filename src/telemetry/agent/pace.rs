//! How soon a datagram may follow another: an agent's socket has room for three large ones, and what comes
//! faster than it is read is lost without a word.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The pause between two datagrams to an agent whose socket cannot be looked at.
const PAUSE: Duration = Duration::from_millis(2);

/// So long an agent on this machine is waited for that does not read.
const PATIENCE: Duration = Duration::from_millis(200);

/// Where the kernel lists the sockets of this network namespace.
const LISTS: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];

/// The pace of one agent.
pub(super) struct Pace {
    /// The port, if the agent is on this machine.
    port: Option<u16>,
    sent: bool,
}

impl Pace {
    pub(super) fn new(host: &str, port: u16) -> Self {
        let address: Option<IpAddr> = host.parse().ok();
        let here = address.map_or(host == "localhost", |address| address.is_loopback());
        Self {
            port: here.then_some(port),
            sent: false,
        }
    }

    /// Waits until the next datagram may leave. Of an agent on this machine that nothing is unread.
    pub(super) fn wait(&mut self) {
        if !std::mem::replace(&mut self.sent, true) {
            return;
        }
        let until = Instant::now() + PATIENCE;
        std::thread::sleep(PAUSE);
        let Some(port) = self.port else { return };
        while has_unread(port) && Instant::now() < until {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Does a datagram wait in a socket of this port? False where the system does not tell.
fn has_unread(port: u16) -> bool {
    let lists = LISTS
        .iter()
        .filter_map(|list| std::fs::read_to_string(list).ok());
    lists.into_iter().any(|list| unread(&list, port) > 0)
}

/// Bytes that wait in the sockets of this port, by a list as the kernel prints it: in the second column the
/// address and the port, in the fifth what waits to be sent and to be read, all in hexadecimal.
fn unread(list: &str, port: u16) -> u64 {
    let of_line = |line: &str| {
        let mut columns = line.split_whitespace();
        let (_, local) = columns.nth(1)?.rsplit_once(':')?;
        if u16::from_str_radix(local, 16) != Ok(port) {
            return None;
        }
        let (_, unread) = columns.nth(2)?.split_once(':')?;
        u64::from_str_radix(unread, 16).ok()
    };
    list.lines().filter_map(of_line).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn what_waits_in_a_socket_is_seen_until_it_is_read() {
        for bound in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(receiver) = UdpSocket::bind(bound) else {
                // A machine without IPv6.
                assert_eq!(bound, "[::]:0");
                continue;
            };
            let port = receiver.local_addr().unwrap().port();
            assert!(!has_unread(port), "{bound}");
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            sender.send_to(b"word", ("127.0.0.1", port)).unwrap();
            assert!(has_unread(port), "{bound}");
            receiver.recv(&mut [0; 8]).unwrap();
            assert!(!has_unread(port), "{bound}");
        }
    }

    #[test]
    fn a_list_that_says_something_else_is_no_reason_to_wait() {
        assert_eq!(unread("", 1), 0);
        assert_eq!(
            unread("  sl  local_address rem_address   st tx_queue rx_queue", 1),
            0
        );
        assert_eq!(unread("1: 0100007F:0001 x 07 00000000", 1), 0);
    }
}
