//! A relay of TCP connections: an address that works from a moment on.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};

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
