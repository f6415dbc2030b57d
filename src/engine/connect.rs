//! From a choice to a connection that has answered.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Endpoint, Uri};
use tracing::{Instrument, Span, field::Empty, info, info_span};

use super::address::{Address, Choice};
use super::error::EngineError;
use super::{tcp, unix};
use crate::buildkit::{BuildkitError, Client, Daemon, Propagate};

/// How long an engine may take to accept and to answer the first calls.
const DEADLINE: Duration = Duration::from_secs(20);

/// HTTP/2 windows of what the daemon sends us, in bytes: exported files come this way.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// A failed build's status carries the whole Dockerfile and stacks in its trailers, in bytes.
const HEADER_LIST_BYTES: u32 = 4 << 20;

/// A daemon that has answered.
#[derive(Clone)]
pub struct Connection {
    /// The calls.
    pub client: Client,
    /// What it said of itself.
    pub daemon: Daemon,
}

/// Connects and asks who is there, in a `connect` span.
///
/// # Errors
/// When the engine cannot be reached, or does not answer as a buildkitd within 20 s.
pub async fn connect(
    choice: &Choice,
    propagate: Arc<dyn Propagate>,
) -> Result<Connection, EngineError> {
    let span = info_span!(
        "connect",
        buildkit.address = %choice.address,
        buildkit.scheme = scheme(&choice.address),
        buildkit.chosen_by = %choice.by,
        buildkit.version = Empty,
        buildkit.worker = Empty,
        otel.status = Empty,
        otel.status_message = Empty,
    );
    let result = tokio::time::timeout(DEADLINE, attempt(choice, propagate))
        .instrument(span.clone())
        .await
        .unwrap_or_else(|_| {
            Err(EngineError::Deadline {
                address: choice.address.to_string(),
                by: choice.by,
                limit: DEADLINE,
            })
        });
    match &result {
        Ok(connection) => {
            span.record("buildkit.version", connection.daemon.version.as_str());
            span.record("buildkit.worker", connection.daemon.worker.as_str());
        }
        Err(error) => {
            span.record("otel.status", "error");
            span.record("otel.status_message", error.to_string());
        }
    }
    result
}

async fn attempt(
    choice: &Choice,
    propagate: Arc<dyn Propagate>,
) -> Result<Connection, EngineError> {
    let address = choice.address.to_string();
    info!(parent: Span::current(), event = "attempt", buildkit.address = %address);
    let refused = |source: io::Error, help: String| EngineError::Connect {
        address: address.clone(),
        by: choice.by,
        source,
        help,
    };
    let channel = match &choice.address {
        Address::Unix(path) => match unix::open(path).await {
            Ok(stream) => channel("localhost", stream).await,
            Err(error) => {
                let help = unix::help(path, &error);
                return Err(refused(error, help));
            }
        },
        Address::Tcp { host, port } => match tcp::open(host, *port).await {
            Ok(stream) => channel(host, stream).await,
            Err(error) => {
                let help = tcp::help(host, *port, &error);
                return Err(refused(error, help));
            }
        },
    };
    let channel = channel.map_err(|error| {
        let help = "see what listens there; it closed the connection".to_owned();
        refused(io::Error::other(error), help)
    })?;
    let client = Client::new(channel, &address, propagate);
    let handshake = |source: BuildkitError| EngineError::Handshake {
        address: address.clone(),
        by: choice.by,
        source: Box::new(source),
    };
    let daemon = client.daemon().await.map_err(handshake)?;
    Ok(Connection { client, daemon })
}

/// HTTP/2 with prior knowledge over a stream that is already open.
///
/// The channel never opens another one: a build belongs to one daemon, and a restarted one does not
/// know it.
async fn channel<S>(host: &str, stream: S) -> Result<Channel, tonic::transport::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let authority = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let uri = Uri::builder()
        .scheme("http")
        .authority(authority)
        .path_and_query("/")
        .build();
    let endpoint = Endpoint::from(uri.unwrap_or_else(|_| Uri::from_static("http://localhost")))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(HEADER_LIST_BYTES);
    let mut stream = Some(TokioIo::new(stream));
    endpoint
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let once = stream
                .take()
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
            std::future::ready(once)
        }))
        .await
}

fn scheme(address: &Address) -> &'static str {
    match address {
        Address::Unix(_) => "unix",
        Address::Tcp { .. } => "tcp",
    }
}
