//! Connections: so many at one time, each bounded in what it may send and for how long it may say nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Connections at one time; the others wait in the system's queue.
const CONNECTIONS: usize = 256;

/// How long a client may take over a request's head, or keep a connection without one.
const HEAD: Duration = Duration::from_secs(60);

/// Bytes of a request's head.
const HEAD_BYTES: usize = 64 * 1_024;

/// After a failure to accept (no file descriptors left), how long until the next try.
const PAUSE: Duration = Duration::from_millis(100);

/// How long answers that are under way may take at the end.
const END: Duration = Duration::from_secs(5);

/// Serves these routes until `ended`, then lets what is under way be answered.
pub async fn serve(listener: TcpListener, routes: Router, ended: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = tokio::select! {
            permit = permits.clone().acquire_owned() => permit,
            () = ended.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ended.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(routes.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke off");
            }
        });
    }
    if tokio::time::timeout(END, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::debug!("some answers were broken off");
    }
}
