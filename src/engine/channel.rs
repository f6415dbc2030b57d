//! HTTP/2 on a stream that is already open.

use std::io;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Endpoint, Uri};

/// Room for what the daemon sends us in one stream, in bytes: exported files come this way.
const STREAM_WINDOW: u32 = 4 << 20;
/// Room for what comes on the whole connection, in bytes. No stream fills it; the HTTP/2 library also
/// takes half of it as what small frames may cost while they wait, and cuts off who sends more.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// A failed build's status carries the whole Dockerfile and stacks in its trailers, in bytes.
const HEADER_LIST_BYTES: u32 = 4 << 20;

/// Both directions of a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// HTTP/2 with prior knowledge over `stream`; `host` is what the daemon is told it was called.
///
/// The channel never opens another one: a build belongs to one daemon, and a restarted one does not
/// know it. HTTP/2 pings stay off: grpc-go answers those that come more often than every five
/// minutes with GOAWAY (`too_many_pings`).
pub(super) async fn channel(
    host: &str,
    stream: Box<dyn Stream>,
) -> Result<Channel, tonic::transport::Error> {
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
