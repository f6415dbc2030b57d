//! A proxy before a daemon that meddles with calls, as middle boxes do.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dagger::proto::control::StatusResponse;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};

/// What it does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meddling {
    /// Takes `traceparent` out of the calls whose path ends so.
    NoContext(&'static str),
    /// Ends the answer of `Control/Status`, as if all were said, before the part that holds this.
    StatusEndsBefore(&'static str),
    /// Takes the steps whose names begin so out of the answer of `Control/Status`.
    StatusWithout(&'static str),
}

/// A daemon that got no context at all.
pub(crate) fn without_traceparent(daemon: &str) -> String {
    meddling(daemon, Meddling::NoContext(""))
}

/// Starts the proxy before `daemon` (`tcp://HOST:PORT`) and gives its own address. It ends with the
/// test process.
pub(crate) fn meddling(daemon: &str, meddling: Meddling) -> String {
    let daemon = daemon.trim_start_matches("tcp://").to_owned();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, daemon.clone(), meddling));
            }
        });
    });
    format!("tcp://{address}")
}

async fn relay(client: TcpStream, daemon: String, meddling: Meddling) {
    let upstream = TcpStream::connect(daemon).await.expect("the daemon");
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(upstream));
    let (sender, connection) = handshake.await.expect("HTTP/2");
    tokio::spawn(connection);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let path = request.uri().path().to_owned();
        let (mut ends_before, mut without) = (None, None);
        match meddling {
            Meddling::NoContext(end) if path.ends_with(end) => {
                request.headers_mut().remove("traceparent");
            }
            Meddling::StatusEndsBefore(word) if path.ends_with("Control/Status") => {
                ends_before = Some(word);
            }
            Meddling::StatusWithout(word) if path.ends_with("Control/Status") => {
                without = Some(word);
            }
            Meddling::NoContext(_) | Meddling::StatusEndsBefore(_) | Meddling::StatusWithout(_) => {
            }
        }
        let mut sender = sender.clone();
        async move {
            let answer: Response<Incoming> = sender.send_request(request).await.expect("an answer");
            let answer = answer.map(|inner| Passed {
                inner: Some(inner),
                ends_before,
                without,
            });
            Ok::<_, Infallible>(answer)
        }
    });
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // The client closes when it has done.
    let _ = server.serve_connection(TokioIo::new(client), service).await;
}

/// An answer's body on its way.
struct Passed {
    /// `None`: it was ended.
    inner: Option<Incoming>,
    ends_before: Option<&'static str>,
    without: Option<&'static str>,
}

impl Body for Passed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(inner).poll_frame(context));
        if let Some(word) = self.without {
            let take = |data: Bytes| without(word, &data);
            let frame = frame.map(|frame| frame.map(|frame| frame.map_data(take)));
            return Poll::Ready(frame);
        }
        let (Some(Ok(part)), Some(word)) = (&frame, self.ends_before) else {
            return Poll::Ready(frame);
        };
        let holds = |data: &Bytes| data.windows(word.len()).any(|part| part == word.as_bytes());
        if !part.data_ref().is_some_and(holds) {
            return Poll::Ready(frame);
        }
        self.inner = None;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

/// The messages of a part, without the steps whose names begin so. The daemon sends whole messages.
fn without(word: &str, mut part: &[u8]) -> Bytes {
    let mut left = Vec::new();
    while let [0, a, b, c, d, rest @ ..] = part {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (message, rest) = rest.split_at(length);
        let mut message = StatusResponse::decode(message).expect("a message");
        message
            .vertexes
            .retain(|vertex| !vertex.name.starts_with(word));
        let message = message.encode_to_vec();
        left.push(0);
        left.extend(
            u32::try_from(message.len())
                .expect("a length")
                .to_be_bytes(),
        );
        left.extend(message);
        part = rest;
    }
    assert!(
        part.is_empty(),
        "a part of a message, or one that is packed"
    );
    left.into()
}
