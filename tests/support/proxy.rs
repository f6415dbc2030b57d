//! A proxy before a daemon that takes `traceparent` out of every call: a daemon that got no context.

use std::convert::Infallible;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

/// Starts the proxy before `daemon` (`tcp://HOST:PORT`) and gives its own address. It ends with the
/// test process.
pub(crate) fn without_traceparent(daemon: &str) -> String {
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
                tokio::spawn(relay(client, daemon.clone()));
            }
        });
    });
    format!("tcp://{address}")
}

async fn relay(client: TcpStream, daemon: String) {
    let upstream = TcpStream::connect(daemon).await.expect("the daemon");
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(upstream));
    let (sender, connection) = handshake.await.expect("HTTP/2");
    tokio::spawn(connection);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.headers_mut().remove("traceparent");
        let mut sender = sender.clone();
        async move {
            let answer: Response<Incoming> = sender.send_request(request).await.expect("an answer");
            Ok::<_, Infallible>(answer)
        }
    });
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // The client closes when it has done.
    let _ = server.serve_connection(TokioIo::new(client), service).await;
}
