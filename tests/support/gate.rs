//! A proxy before Jaeger that lets through what a newer Jaeger, or a login before it, would.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// What is let through; all else is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gate {
    /// Only `/api/v3`: the routes of version 1 are 404, as where they were removed.
    OnlyV3,
    /// Only requests with this `authorization`, below the path `/jaeger`.
    Login(&'static str),
}

/// Starts it before the Jaeger at `query_url`, and gives its own address. It ends with the test process.
pub(crate) fn gate(query_url: &str, gate: Gate) -> String {
    let upstream = query_url.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, upstream) = (client.expect("a connection"), upstream.clone());
            // A client may leave at any time.
            std::thread::spawn(move || drop(pass(client, &upstream, gate)));
        }
    });
    address.to_string()
}

/// One request a connection.
fn pass(mut client: TcpStream, upstream: &str, gate: Gate) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (path, refusal) = match gate {
        Gate::OnlyV3 if path.starts_with("/api/v3/") => (path, None),
        Gate::OnlyV3 => (path, Some("404 Not Found")),
        Gate::Login(wanted) => {
            let sent = head.lines().any(|line| {
                line.split_once(": ").is_some_and(|(name, value)| {
                    name.eq_ignore_ascii_case("authorization") && value == wanted
                })
            });
            match path.strip_prefix("/jaeger") {
                Some(path) if sent => (path, None),
                Some(path) => (path, Some("401 Unauthorized")),
                None => (path, Some("404 Not Found")),
            }
        }
    };
    if let Some(status) = refusal {
        let body = "404 page not found";
        let length = body.len();
        return write!(
            client,
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
    }
    let mut server = TcpStream::connect(upstream)?;
    write!(
        server,
        "GET {path} HTTP/1.1\r\nhost: {upstream}\r\nconnection: close\r\n\r\n"
    )?;
    std::io::copy(&mut server, &mut client)?;
    Ok(())
}
