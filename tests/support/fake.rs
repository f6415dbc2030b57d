//! Collectors that do what no real one can be made to do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

/// What it does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Reads it, and answers after 30 s.
    Slow,
    /// Answers 500.
    Refuses,
    /// Reads it, then closes its sending half without an answer, and goes on reading.
    HalfCloses,
    /// Answers with bytes that are no HTTP.
    Babbles,
    /// Accepts the connection, and reads nothing.
    Deaf,
}

/// Starts it, and gives its address as a collector's. It ends with the test process.
pub(crate) fn faulty_collector(fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.expect("a connection");
            std::thread::spawn(move || serve(client, fault));
        }
    });
    format!("http://{address}/api/traces")
}

/// A collector that takes everything, as it hands it to the one at `to` (`host:port`), and never answers. Gives
/// its address; it ends with the test process.
pub(crate) fn silent_collector(to: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let to = to.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a connection");
            let mut server = TcpStream::connect(&to).expect("the collector");
            std::thread::spawn(move || std::io::copy(&mut client, &mut server));
        }
    });
    format!("http://{address}/api/traces")
}

/// The client may leave at any time, so nothing that fails here says anything.
fn serve(mut client: TcpStream, fault: Fault) {
    if fault == Fault::Deaf {
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    while read_request(&mut client).is_some() {
        let answer: &[u8] = match fault {
            Fault::Slow => {
                std::thread::sleep(Duration::from_secs(30));
                b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
            }
            Fault::Refuses => {
                b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\nfull"
            }
            Fault::HalfCloses => {
                let _ = client.shutdown(Shutdown::Write);
                let _ = std::io::copy(&mut client, &mut std::io::sink());
                return;
            }
            Fault::Babbles | Fault::Deaf => b"\x00\xff garbage\n\n",
        };
        if client.write_all(answer).is_err() {
            return;
        }
    }
}

/// Reads one request with its body; `None` if the client has gone.
fn read_request(client: &mut TcpStream) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1)?.lines().next()?;
    let mut body = vec![0; length.trim().parse().ok()?];
    client.read_exact(&mut body).ok()
}
