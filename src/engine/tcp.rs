//! `tcp://HOST:PORT`, with TLS if there are settings for it.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tracing::{debug, warn};

use super::channel::Stream;
use super::observed::{Observed, observe};
use super::tls::{Problem, TlsFiles};

/// How long a silent connection may be before the system asks whether the other side is still there,
/// and how often it asks again. These are the system's packets, not HTTP/2 pings, which a daemon
/// refuses.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_AGAIN: Duration = Duration::from_secs(10);

/// Why there is no connection.
pub(super) enum TcpError {
    Connect(io::Error),
    Tls(Problem),
}

/// Opens the connection; small packets leave at once, since calls wait for each other.
pub(super) async fn open(
    host: &str,
    port: u16,
    tls: &TlsFiles,
) -> Result<(Box<dyn Stream>, Observed), TcpError> {
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(TcpError::Connect)?;
    stream.set_nodelay(true).map_err(TcpError::Connect)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE_AGAIN);
    if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&keepalive) {
        debug!(%error, "no keepalive");
    }
    if tls.wanted() {
        let stream = tls.handshake(host, stream).await.map_err(TcpError::Tls)?;
        return Ok(observe(stream, true));
    }
    if !is_loopback(host, &stream) {
        warn!(
            host,
            "the connection to the engine is not encrypted, and whoever reaches that port can use the engine; \
             set BUILDKIT_TLS_CA, or tunnel with `ssh://`"
        );
    }
    Ok(observe(stream, false))
}

fn is_loopback(host: &str, stream: &TcpStream) -> bool {
    let peer = stream.peer_addr().map(|address| address.ip());
    host == "localhost"
        || peer.is_ok_and(|ip| match ip {
            IpAddr::V4(ip) => ip.is_loopback(),
            IpAddr::V6(ip) => {
                ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
            }
        })
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
