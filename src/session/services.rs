//! What is served, and the HTTP/2 server that serves it on the tunnel.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::{Code, Status};
use tracing::{Instrument, Span};

use super::callback;
use super::error::SessionError;
use super::grpc::{self, Answer, Requests, Responder};
use super::{metadata, send, sync};
use crate::proto::health::{HealthCheckResponse, health_check_response::ServingStatus};

/// HTTP/2 windows of what the daemon sends us, in bytes: exported files come this way.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Bytes that may wait in one answer's stream before its writer has to wait.
const SEND_BUFFER: usize = 512 << 10;

/// Pieces of an answer that wait to be sent. Full: whoever makes them waits.
const ANSWER_PIECES: usize = 16;

const FILE_SYNC: &str = "/moby.filesync.v1.FileSync/DiffCopy";
const FILE_SEND: &str = "/moby.filesync.v1.FileSend/DiffCopy";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// A directory that the daemon may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalDir {
    /// The name it is asked for by, e.g. `context`.
    pub name: String,
    /// Where it is.
    pub root: PathBuf,
}

/// Where the daemon may write a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Files in this directory, which is made if it is not there.
    Dir(PathBuf),
    /// One tar file.
    Tar(PathBuf),
}

/// What is served in one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// The directories that may be read.
    pub locals: Vec<LocalDir>,
    /// The outputs, in the order of `SolveRequest.exporters`.
    pub outputs: Vec<Output>,
}

impl Services {
    /// The methods that the daemon may call, for `x-docker-expose-session-grpc-method`.
    pub fn methods(&self) -> Vec<&'static str> {
        let mut methods = vec![HEALTH];
        if !self.locals.is_empty() {
            methods.push(FILE_SYNC);
        }
        if !self.outputs.is_empty() {
            methods.push(FILE_SEND);
        }
        methods
    }

    /// Answers the daemon's calls on `io` until it closes.
    ///
    /// Each call is a server span under the daemon's, or under `parent` if the daemon names none.
    ///
    /// # Errors
    /// When the connection breaks off.
    pub async fn serve<IO>(self, io: IO, parent: Span) -> Result<(), SessionError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let services = Arc::new(self);
        let service = service_fn(move |request| {
            let answer = services.clone().answer(request, parent.clone());
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        let mut server = http2::Builder::new(TokioExecutor::new());
        server
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER);
        Ok(server.serve_connection(TokioIo::new(io), service).await?)
    }

    /// Begins to answer a call; the work goes on in a task of its own.
    fn answer(self: Arc<Self>, request: Request<Incoming>, parent: Span) -> Response<Answer> {
        let (responder, answer) = grpc::answer(ANSWER_PIECES);
        tokio::spawn(async move {
            let status = self.call(request, &parent, &responder).await;
            responder.end(&status).await;
        });
        let mut response = Response::new(answer);
        response.headers_mut().insert(
            "content-type",
            http::HeaderValue::from_static("application/grpc"),
        );
        response
    }

    async fn call(
        &self,
        request: Request<Incoming>,
        parent: &Span,
        responder: &Responder,
    ) -> Status {
        let (head, body) = request.into_parts();
        let requests = Requests::new(body);
        match head.uri.path() {
            HEALTH => match healthy(responder).await {
                Ok(()) => Status::new(Code::Ok, ""),
                Err(error) => Status::new(error.code(), error.to_string()),
            },
            FILE_SYNC => {
                let span = callback::span(
                    parent,
                    &head.headers,
                    "moby.filesync.v1.FileSync",
                    "DiffCopy",
                );
                let result = self
                    .file_sync(&head.headers, requests, responder, &span)
                    .instrument(span.clone())
                    .await;
                callback::ended(&span, &result)
            }
            FILE_SEND => {
                let span = callback::span(
                    parent,
                    &head.headers,
                    "moby.filesync.v1.FileSend",
                    "DiffCopy",
                );
                let result = self
                    .file_send(&head.headers, requests, responder, &span)
                    .instrument(span.clone())
                    .await;
                callback::ended(&span, &result)
            }
            path => Status::unimplemented(format!("{path} is not served here")),
        }
    }

    async fn file_sync(
        &self,
        headers: &http::HeaderMap,
        requests: Requests,
        responder: &Responder,
        span: &Span,
    ) -> Result<callback::Moved, SessionError> {
        let name = metadata::value(headers, "dir-name").unwrap_or_default();
        span.record("dagger.dir", name.as_str());
        let local = self.locals.iter().find(|local| local.name == name);
        let local = local.ok_or_else(|| {
            SessionError::Refused(format!("no directory `{name}` is shared in this build"))
        })?;
        let wanted = sync::Wanted {
            include: metadata::values(headers, "include-patterns"),
            exclude: metadata::values(headers, "exclude-patterns"),
            follow: metadata::values(headers, "followpaths"),
        };
        sync::send(&local.root, wanted, requests, responder.clone()).await
    }

    async fn file_send(
        &self,
        headers: &http::HeaderMap,
        requests: Requests,
        responder: &Responder,
        span: &Span,
    ) -> Result<callback::Moved, SessionError> {
        let index = metadata::value(headers, "buildkit-attachable-exporter-id").unwrap_or_default();
        let output = self.outputs.get(index.parse::<usize>().unwrap_or(0));
        match output
            .ok_or_else(|| SessionError::Refused(format!("no output `{index}` in this build")))?
        {
            Output::Dir(path) => {
                span.record("dagger.dir", path.display().to_string());
                send::directory(path, requests, responder).await
            }
            Output::Tar(path) => {
                span.record("dagger.dir", path.display().to_string());
                send::tar(path, requests).await
            }
        }
    }
}

async fn healthy(responder: &Responder) -> Result<(), SessionError> {
    let mut data = bytes::BytesMut::new();
    grpc::encode(
        &HealthCheckResponse {
            status: ServingStatus::Serving as i32,
        },
        &mut data,
    );
    responder.send(data.freeze()).await
}
