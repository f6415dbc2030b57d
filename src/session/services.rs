//! What is served, and the HTTP/2 server that serves it on the tunnel.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

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
    /// One file.
    File(PathBuf),
}

/// The outputs of the solve that a session works for, in the order of its exporters.
#[derive(Clone, Debug, Default)]
pub struct Slots(Arc<Mutex<Option<Vec<Option<Output>>>>>);

impl Slots {
    /// Takes the places for these outputs; false if another solve has them.
    pub fn take(&self, outputs: &[Option<Output>]) -> bool {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = slots.is_none();
        if free {
            *slots = Some(outputs.to_vec());
        }
        free
    }

    /// Gives the places back.
    pub fn free(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn get(&self, index: usize) -> Option<Output> {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.as_ref()?.get(index)?.clone()
    }
}

/// What is served. Clones share it, and it may be added to while it is served.
#[derive(Clone, Debug, Default)]
pub struct Services(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    locals: RwLock<BTreeMap<String, PathBuf>>,
}

impl Services {
    /// Lets the daemon read a directory.
    ///
    /// # Errors
    /// When the name is taken by another directory.
    pub fn add_local(&self, local: LocalDir) -> Result<(), SessionError> {
        let mut locals = self
            .0
            .locals
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match locals.get(&local.name) {
            Some(root) if *root != local.root => Err(SessionError::Taken { name: local.name }),
            _ => {
                locals.insert(local.name, local.root);
                Ok(())
            }
        }
    }

    /// The methods that the daemon may call, for `x-docker-expose-session-grpc-method`.
    pub fn methods(&self) -> Vec<&'static str> {
        vec![HEALTH, FILE_SYNC, FILE_SEND]
    }

    /// Answers the daemon's calls on `io` until it closes.
    ///
    /// Each call is a server span under the daemon's, or under `parent` if the daemon names none.
    ///
    /// # Errors
    /// When the connection breaks off.
    pub async fn serve<IO>(self, io: IO, slots: Slots, parent: Span) -> Result<(), SessionError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(move |request| {
            let answer = self.clone().answer(request, slots.clone(), parent.clone());
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
    fn answer(self, request: Request<Incoming>, slots: Slots, parent: Span) -> Response<Answer> {
        let (responder, answer) = grpc::answer(ANSWER_PIECES);
        tokio::spawn(async move {
            let status = self.call(request, &slots, &parent, &responder).await;
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
        slots: &Slots,
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
                let result = file_send(slots, &head.headers, requests, responder, &span)
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
        let root = self
            .0
            .locals
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&name)
            .cloned();
        let root = root.ok_or_else(|| {
            SessionError::Refused(format!("no directory `{name}` is shared in this build"))
        })?;
        let wanted = sync::Wanted {
            include: metadata::values(headers, "include-patterns"),
            exclude: metadata::values(headers, "exclude-patterns"),
            follow: metadata::values(headers, "followpaths"),
        };
        sync::send(&root, wanted, requests, responder.clone()).await
    }
}

async fn file_send(
    slots: &Slots,
    headers: &http::HeaderMap,
    requests: Requests,
    responder: &Responder,
    span: &Span,
) -> Result<callback::Moved, SessionError> {
    let index = metadata::value(headers, "buildkit-attachable-exporter-id").unwrap_or_default();
    let output = slots.get(index.parse::<usize>().unwrap_or(0));
    match output
        .ok_or_else(|| SessionError::Refused(format!("no output `{index}` in this build")))?
    {
        Output::Dir(path) => {
            span.record("dagger.dir", path.display().to_string());
            send::directory(&path, requests, responder).await
        }
        Output::File(path) => {
            span.record("dagger.dir", path.display().to_string());
            send::tar(&path, requests).await
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
