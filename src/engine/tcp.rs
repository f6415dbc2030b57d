//! `tcp://HOST:PORT`, without TLS.

use std::io;

use tokio::net::TcpStream;

/// Opens the connection; small packets leave at once, since calls wait for each other.
pub(super) async fn open(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What to do about a port that cannot be reached.
pub(super) fn help(host: &str, port: u16, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!(
                "nothing listens there: start buildkitd with `--addr tcp://{host}:{port}`, or correct BUILDKIT_HOST"
            )
        }
        _ if error.to_string().contains("lookup") => {
            format!("`{host}` is not a name that this machine can resolve")
        }
        _ => format!(
            "see whether `{host}` can be reached from here and its firewall lets port {port} through"
        ),
    }
}
