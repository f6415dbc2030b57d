//! Relays: of TCP connections, an address that works from a moment on; of datagrams, one that loses some.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};

/// Passes what comes to `port` on to `to` (`host:port`), until the test process ends.
pub(crate) fn relay(port: u16, to: &str) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let to = to.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.expect("a connection");
            let server = TcpStream::connect(&to).expect("the server");
            one_way(&client, &server);
            one_way(&server, &client);
        }
    });
}

fn one_way(from: &TcpStream, to: &TcpStream) {
    let mut from = from.try_clone().expect("a socket");
    let mut to = to.try_clone().expect("a socket");
    std::thread::spawn(move || {
        // Either end may leave at any time.
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// An agent's address (`host:port`) from where datagrams go on to the agent at `to`, but for those that hold
/// `word`: they are lost, and nobody is told. It ends with the test process.
pub(crate) fn lossy_agent(to: &str, word: &'static str) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("an address");
    let to = to.to_owned();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(length) = socket.recv(&mut buffer) {
            let datagram = &buffer[..length];
            if !datagram
                .windows(word.len())
                .any(|part| part == word.as_bytes())
            {
                socket.send_to(datagram, &to).expect("the agent");
            }
        }
    });
    address.to_string()
}
