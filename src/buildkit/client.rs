//! The control service (`api/services/control/control.proto`) as typed calls.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use prost_types::Timestamp;
use tokio_stream::Stream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{IntoStreamingRequest, Request, Streaming};
use tonic_prost::ProstCodec;
use tracing::Instrument;

use super::call::{CallSpan, Method, Propagate, control};
use super::error::BuildkitError;
use super::session::{Beside, OpenSession, SessionIo};
use super::tunnel::{self, Tunnel, TunnelCloser};
use crate::proto::control::{
    BuildHistoryEvent, BuildHistoryRequest, BytesMessage, InfoRequest, InfoResponse,
    ListWorkersRequest, ListWorkersResponse, SolveRequest, SolveResponse, StatusRequest,
    StatusResponse,
};

/// Largest message in either direction, in bytes: the daemon's own limit.
const MESSAGE_BYTES: usize = 16 << 20;

/// Builds remembered of one connection.
const BUILDS: usize = 1_024;

/// A connection to a daemon. Clones share it.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    address: Arc<str>,
    propagate: Arc<dyn Propagate>,
    sessions: Option<Arc<dyn OpenSession>>,
    builds: Arc<Mutex<Vec<Asked>>>,
}

/// A build that was asked for, and has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its id: the `ref` of the solve.
    pub build: String,
    /// The `traceparent` that was sent along: the call's span.
    pub traceparent: Option<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.address).finish()
    }
}

/// What a daemon says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Its version, e.g. `v0.34.2`; empty if it is too old to say.
    pub version: String,
    /// The id of its default worker.
    pub worker: String,
    /// Platforms of that worker, as `os/arch[/variant]`, its own first.
    pub platforms: Vec<String>,
}

/// What the daemon is told when a session opens.
#[derive(Clone, Debug)]
pub struct SessionOpening {
    /// The id that the solve refers to.
    pub id: String,
    /// Part of the key under which the daemon keeps what was sent before; stable between runs.
    pub shared_key: String,
    /// The methods that the daemon may call, as `/package.Service/Method`.
    pub methods: Vec<&'static str>,
}

impl Client {
    /// A client over a channel; `address` is what errors and spans show.
    pub fn new(channel: Channel, address: &str, propagate: Arc<dyn Propagate>) -> Self {
        Self {
            channel,
            address: address.into(),
            propagate,
            sessions: None,
            builds: Arc::default(),
        }
    }

    /// With sessions on connections of their own instead of `Control/Session`, if there is a way.
    pub fn with_sessions(self, sessions: Option<Arc<dyn OpenSession>>) -> Self {
        Self { sessions, ..self }
    }

    /// The engine's address, as the user knows it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks for version and workers.
    ///
    /// # Errors
    /// When the daemon cannot be reached or answers with an error.
    pub async fn daemon(&self) -> Result<Daemon, BuildkitError> {
        let (info, workers) = (control!("Info"), control!("ListWorkers"));
        let info = self.call::<_, InfoResponse>(
            info,
            CallSpan::probe(info, &self.address),
            InfoRequest {},
        );
        let workers = self.call::<_, ListWorkersResponse>(
            workers,
            CallSpan::probe(workers, &self.address),
            ListWorkersRequest::default(),
        );
        let (info, workers) = tokio::join!(info, workers);
        let version = match info {
            Ok(info) => info.buildkit_version.unwrap_or_default().version,
            // Older than 0.11: it is up, it just can't say.
            Err(BuildkitError::Refused { status, .. })
                if status.code() == tonic::Code::Unimplemented =>
            {
                String::new()
            }
            Err(error) => return Err(error),
        };
        let worker = workers?.record.into_iter().next().unwrap_or_default();
        let platforms = worker.platforms.iter().map(|p| {
            let mut text = format!("{}/{}", p.os, p.architecture);
            if !p.variant.is_empty() {
                text.push('/');
                text.push_str(&p.variant);
            }
            text
        });
        Ok(Daemon {
            version,
            platforms: platforms.collect(),
            worker: worker.id,
        })
    }

    /// The daemon's clock when it answered; `None` if it does not say. Streams carry it as a header.
    ///
    /// # Errors
    /// When the daemon cannot be reached or has no history.
    pub async fn clock(&self) -> Result<Option<SystemTime>, BuildkitError> {
        let method = control!("ListenBuildHistory");
        let mut call = CallSpan::probe(method, &self.address);
        let request = Request::new(BuildHistoryRequest {
            early_exit: true,
            limit: 1,
            ..BuildHistoryRequest::default()
        });
        let span = call.span().clone();
        let mut grpc = self.grpc();
        let result = async {
            grpc.ready().await.map_err(unready)?;
            grpc.server_streaming::<_, BuildHistoryEvent, _>(
                request,
                PathAndQuery::from_static(method.path),
                ProstCodec::default(),
            )
            .await
        }
        .instrument(span)
        .await;
        call.end(&result);
        let answer =
            result.map_err(|status| BuildkitError::new(&self.address, method.full, status))?;
        let header = answer.metadata().get("buildkit-current-timestamp");
        let header = header.and_then(|value| value.to_str().ok());
        let time = header.and_then(|text| Timestamp::from_str(text).ok());
        Ok(time.and_then(|time| time.try_into().ok()))
    }

    /// Runs a build; returns when it has ended. Dropping the future cancels the build.
    ///
    /// # Errors
    /// When the build failed, or the daemon was lost.
    pub async fn solve(&self, request: SolveRequest) -> Result<SolveResponse, BuildkitError> {
        let method = control!("Solve");
        let call = CallSpan::open(method, &self.address);
        let _ended = Ending {
            client: self,
            asked: Asked {
                build: request.r#ref.clone(),
                traceparent: self.propagate.traceparent(call.span()),
            },
        };
        self.call(method, call, request).await
    }

    /// The builds that were asked for on this connection, in the order of their ends.
    pub fn builds(&self) -> Vec<Asked> {
        let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        builds.clone()
    }

    /// Follows a build. The daemon waits some seconds for the build to appear.
    ///
    /// # Errors
    /// When the daemon does not know the build, or was lost.
    pub async fn status(&self, build: &str) -> Result<StatusStream, BuildkitError> {
        let method = control!("Status");
        let request = Request::new(StatusRequest {
            r#ref: build.to_owned(),
        });
        let mut call = CallSpan::open(method, &self.address);
        let span = call.span().clone();
        let answer = self.open(method, &mut call, request).instrument(span).await;
        Ok(StatusStream {
            messages: answer?,
            call,
            address: self.address.clone(),
        })
    }

    /// Opens a session: a tunnel on which the daemon calls back, and the means to close it.
    ///
    /// # Errors
    /// When the daemon refuses it, or was lost.
    pub async fn session(
        &self,
        opening: &SessionOpening,
    ) -> Result<(Box<dyn SessionIo>, TunnelCloser), BuildkitError> {
        if let Some(sessions) = &self.sessions {
            let opened = sessions.open(opening).await;
            let io = opened.map_err(|error| {
                let status = tonic::Status::from_error(Box::new(error));
                BuildkitError::new(&self.address, "the session", status)
            })?;
            let closer = TunnelCloser::default();
            return Ok((Box::new(Beside::new(io, &closer)), closer));
        }
        let method = control!("Session");
        let mut call = CallSpan::open(method, &self.address);
        let (outgoing, messages, closer) = tunnel::outgoing();
        let mut request = messages.into_streaming_request();
        let metadata = request.metadata_mut();
        let text = |value: &str| AsciiMetadataValue::try_from(value).ok();
        for (key, value) in [
            ("x-docker-expose-session-uuid", text(&opening.id)),
            (
                "x-docker-expose-session-sharedkey",
                text(&opening.shared_key),
            ),
        ] {
            if let Some(value) = value {
                metadata.insert(key, value);
            }
        }
        for name in &opening.methods {
            metadata.append(
                "x-docker-expose-session-grpc-method",
                AsciiMetadataValue::from_static(name),
            );
        }
        let span = call.span().clone();
        let answer = self
            .open_streaming(method, &mut call, request)
            .instrument(span)
            .await?;
        let tunnel = Tunnel::new(answer, outgoing, closer.clone(), call);
        Ok((Box::new(tunnel), closer))
    }

    pub(super) async fn unary<Q, A>(&self, method: Method, message: Q) -> Result<A, BuildkitError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        self.call(method, CallSpan::open(method, &self.address), message)
            .await
    }

    /// A call that belongs to a running build.
    pub(super) async fn unary_of_build<Q, A>(
        &self,
        method: Method,
        build: &str,
        message: Q,
    ) -> Result<A, BuildkitError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let call = CallSpan::open(method, &self.address);
        let mut request = Request::new(message);
        call.propagate(&self.propagate, &mut request);
        if let Ok(build) = AsciiMetadataValue::try_from(build) {
            let metadata = request.metadata_mut();
            metadata.insert("buildkit-controlapi-buildid", build);
        }
        self.send(method, call, request).await
    }

    /// A call whose context is not sent along: the daemon makes no span of it.
    pub(super) async fn unary_untraced<Q, A>(
        &self,
        method: Method,
        message: Q,
    ) -> Result<A, BuildkitError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let call = CallSpan::open(method, &self.address);
        let mut request = Request::new(message);
        unsampled(&mut request);
        self.send(method, call, request).await
    }

    async fn call<Q, A>(
        &self,
        method: Method,
        call: CallSpan,
        message: Q,
    ) -> Result<A, BuildkitError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let mut request = Request::new(message);
        call.propagate(&self.propagate, &mut request);
        self.send(method, call, request).await
    }

    async fn send<Q, A>(
        &self,
        method: Method,
        mut call: CallSpan,
        request: Request<Q>,
    ) -> Result<A, BuildkitError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let mut grpc = self.grpc();
        let span = call.span().clone();
        let result = async {
            grpc.ready().await.map_err(unready)?;
            grpc.unary(
                request,
                PathAndQuery::from_static(method.path),
                ProstCodec::<Q, A>::default(),
            )
            .await
        }
        .instrument(span)
        .await;
        call.end(&result);
        result
            .map(tonic::Response::into_inner)
            .map_err(|status| BuildkitError::new(&self.address, method.full, status))
    }

    pub(super) async fn open<Q, A>(
        &self,
        method: Method,
        call: &mut CallSpan,
        mut request: Request<Q>,
    ) -> Result<Streaming<A>, BuildkitError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        call.propagate(&self.propagate, &mut request);
        self.open_with(method, call, request).await
    }

    /// As [`open`](Self::open), but the context is not sent along: the daemon makes no span of it.
    pub(super) async fn open_untraced<Q, A>(
        &self,
        method: Method,
        call: &mut CallSpan,
        mut request: Request<Q>,
    ) -> Result<Streaming<A>, BuildkitError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        unsampled(&mut request);
        self.open_with(method, call, request).await
    }

    async fn open_with<Q, A>(
        &self,
        method: Method,
        call: &mut CallSpan,
        request: Request<Q>,
    ) -> Result<Streaming<A>, BuildkitError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let mut grpc = self.grpc();
        let result = async {
            grpc.ready().await.map_err(unready)?;
            grpc.server_streaming(
                request,
                PathAndQuery::from_static(method.path),
                ProstCodec::<Q, A>::default(),
            )
            .await
        }
        .await;
        self.opened(method, call, result)
    }

    async fn open_streaming<S>(
        &self,
        method: Method,
        call: &mut CallSpan,
        mut request: Request<S>,
    ) -> Result<Streaming<BytesMessage>, BuildkitError>
    where
        S: Stream<Item = BytesMessage> + Send + 'static,
    {
        call.propagate(&self.propagate, &mut request);
        let mut grpc = self.grpc();
        let result = async {
            grpc.ready().await.map_err(unready)?;
            grpc.streaming(
                request,
                PathAndQuery::from_static(method.path),
                ProstCodec::default(),
            )
            .await
        }
        .await;
        self.opened(method, call, result)
    }

    /// The stream of an answer that has begun; a refusal ends the call's span.
    fn opened<A>(
        &self,
        method: Method,
        call: &mut CallSpan,
        result: Result<tonic::Response<Streaming<A>>, tonic::Status>,
    ) -> Result<Streaming<A>, BuildkitError> {
        if result.is_err() {
            call.end(&result);
        }
        result
            .map(tonic::Response::into_inner)
            .map_err(|status| BuildkitError::new(&self.address, method.full, status))
    }

    fn grpc(&self) -> Grpc<Channel> {
        Grpc::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES)
    }
}

/// Takes down that a build has ended, also when nobody waits for it any more.
struct Ending<'a> {
    client: &'a Client,
    asked: Asked,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let builds = &self.client.builds;
        let mut builds = builds.lock().unwrap_or_else(PoisonError::into_inner);
        if builds.len() < BUILDS {
            builds.push(self.asked.clone());
        }
    }
}

/// Puts the call under a parent that is not sampled: with no parent at all the daemon would begin a trace
/// of its own for it, and export that.
fn unsampled<T>(request: &mut Request<T>) {
    const NOWHERE: &str = "00-00000000000000000000000000000001-0000000000000001-00";
    let nowhere = AsciiMetadataValue::from_static(NOWHERE);
    request.metadata_mut().insert("traceparent", nowhere);
}

fn unready(error: tonic::transport::Error) -> tonic::Status {
    tonic::Status::from_error(Box::new(error))
}

/// The messages about one build, until the daemon has no more.
#[derive(Debug)]
pub struct StatusStream {
    messages: Streaming<StatusResponse>,
    call: CallSpan,
    address: Arc<str>,
}

impl StatusStream {
    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// When the daemon ends the stream with an error, or was lost.
    pub async fn next(&mut self) -> Result<Option<StatusResponse>, BuildkitError> {
        let result = self.messages.message().await;
        if !matches!(result, Ok(Some(_))) {
            self.call.end(&result);
        }
        result.map_err(|status| BuildkitError::new(&self.address, control!("Status").full, status))
    }
}
