//! What is served, and the HTTP/2 server that serves it on the tunnel.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::{Code, Status};
use tracing::{Instrument, Span};

use super::auth::{Auth, DockerConfig};
use super::callback::{self, Moved};
use super::content::Store;
use super::error::SessionError;
use super::grpc::{self, Answer, Requests, Responder};
use super::secrets::{Origin, Secret};
use super::send::Pipe;
use super::ssh::Ssh;
use super::{metadata, send, sync};
use crate::proto::auth::{
    CredentialsRequest, FetchTokenRequest, GetTokenAuthorityRequest, VerifyTokenAuthorityRequest,
};
use crate::proto::content::AbortRequest;
use crate::proto::health::{HealthCheckResponse, health_check_response::ServingStatus};
use crate::proto::secrets::{GetSecretRequest, GetSecretResponse};
use crate::proto::ssh::{CheckAgentRequest, CheckAgentResponse};

/// Room for what the daemon sends us in one stream, in bytes: exported files come this way.
const STREAM_WINDOW: u32 = 4 << 20;
/// Room for what comes on the whole connection, in bytes. No stream fills it; the HTTP/2 library also
/// takes half of it as what small frames may cost while they wait, and cuts off who sends more.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// Bytes that may wait in one answer's stream before its writer has to wait.
const SEND_BUFFER: usize = 512 << 10;

/// Pieces of an answer that wait to be sent. Full: whoever makes them waits.
const ANSWER_PIECES: usize = 16;

const SERVING: HealthCheckResponse = HealthCheckResponse {
    status: ServingStatus::Serving as i32,
};

const FILE_SYNC: &str = "/moby.filesync.v1.FileSync/DiffCopy";
const FILE_SEND: &str = "/moby.filesync.v1.FileSend/DiffCopy";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const CREDENTIALS: &str = "/moby.filesync.v1.Auth/Credentials";
const FETCH_TOKEN: &str = "/moby.filesync.v1.Auth/FetchToken";
const TOKEN_AUTHORITY: &str = "/moby.filesync.v1.Auth/GetTokenAuthority";
const VERIFY_AUTHORITY: &str = "/moby.filesync.v1.Auth/VerifyTokenAuthority";
const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const CHECK_AGENT: &str = "/moby.sshforward.v1.SSH/CheckAgent";
const FORWARD_AGENT: &str = "/moby.sshforward.v1.SSH/ForwardAgent";
const CONTENT_INFO: &str = "/containerd.services.content.v1.Content/Info";
const CONTENT_READ: &str = "/containerd.services.content.v1.Content/Read";
const CONTENT_STATUS: &str = "/containerd.services.content.v1.Content/Status";
const CONTENT_WRITE: &str = "/containerd.services.content.v1.Content/Write";
const CONTENT_ABORT: &str = "/containerd.services.content.v1.Content/Abort";

/// All that is served. What a build does not have is said so when it is asked for.
const METHODS: [&str; 15] = [
    HEALTH,
    FILE_SYNC,
    FILE_SEND,
    CREDENTIALS,
    FETCH_TOKEN,
    TOKEN_AUTHORITY,
    VERIFY_AUTHORITY,
    SECRET,
    CHECK_AGENT,
    FORWARD_AGENT,
    CONTENT_INFO,
    CONTENT_READ,
    CONTENT_STATUS,
    CONTENT_WRITE,
    CONTENT_ABORT,
];

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
    /// The same, and what else is there is deleted.
    Mirror(PathBuf),
    /// One file.
    File(PathBuf),
    /// A stream into something else, e.g. another program.
    Pipe(Pipe),
    /// Blobs in this directory, laid out as OCI has it.
    Layout(PathBuf),
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

    /// The store for the one output that is a layout.
    fn layout(&self) -> Option<Store> {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().flatten().find_map(|output| match output {
            Some(Output::Layout(root)) => Some(Store {
                root: root.clone(),
                writable: true,
            }),
            _ => None,
        })
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
    secrets: RwLock<BTreeMap<String, Secret>>,
    origins: RwLock<BTreeMap<String, Origin>>,
    ssh: RwLock<BTreeMap<String, Ssh>>,
    stores: RwLock<BTreeMap<String, Store>>,
    auth: Auth,
}

impl Services {
    /// With the registries' credentials that Docker's configuration has.
    pub fn new(config: DockerConfig) -> Self {
        Self(Arc::new(Shared {
            auth: Auth::new(config),
            ..Shared::default()
        }))
    }

    /// Lets the daemon read a directory.
    ///
    /// # Errors
    /// When the name is taken by another directory.
    pub fn add_local(&self, local: LocalDir) -> Result<(), SessionError> {
        let mut locals = write(&self.0.locals);
        match locals.get(&local.name) {
            Some(root) if *root != local.root => Err(SessionError::Taken { name: local.name }),
            _ => {
                locals.insert(local.name, local.root);
                Ok(())
            }
        }
    }

    /// Lets steps have a secret; another one under the same id is replaced.
    pub fn add_secret(&self, id: &str, secret: Secret) {
        write(&self.0.secrets).insert(id.to_owned(), secret);
    }

    /// The same, and says where its value was read.
    pub fn add_secret_of(&self, id: &str, secret: Secret, origin: Origin) {
        write(&self.0.origins).insert(id.to_owned(), origin);
        self.add_secret(id, secret);
    }

    /// Where the values of secrets were read, by the secrets' ids.
    pub fn origins(&self) -> BTreeMap<String, Origin> {
        read(&self.0.origins).clone()
    }

    /// Lets steps use an ssh agent; another one under the same id is replaced.
    pub fn add_ssh(&self, id: &str, ssh: Ssh) {
        write(&self.0.ssh).insert(id.to_owned(), ssh);
    }

    /// Lets the daemon use a store: `oci:NAME` or `local:DIR`. One that may be written stays so.
    pub fn add_store(&self, id: &str, store: Store) {
        let mut stores = write(&self.0.stores);
        let known = stores.entry(id.to_owned()).or_insert_with(|| store.clone());
        known.writable |= store.writable;
    }

    /// The methods that the daemon may call, for `x-docker-expose-session-grpc-method`.
    pub fn methods(&self) -> Vec<&'static str> {
        METHODS.to_vec()
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
        let path = head.uri.path();
        if path == HEALTH {
            // The daemon asks every few seconds: no spans.
            return match grpc::reply(responder, &SERVING).await {
                Ok(()) => Status::new(Code::Ok, ""),
                Err(error) => Status::new(error.code(), error.to_string()),
            };
        }
        let Some(known) = METHODS.iter().find(|method| **method == path) else {
            return Status::unimplemented(format!("{path} is not served here"));
        };
        let span = callback::span(parent, &head.headers, known.trim_start_matches('/'));
        let call = Call {
            headers: &head.headers,
            responder,
            span: &span,
        };
        // Boxed: the callbacks differ much in size.
        let answered = Box::pin(self.answered(known, call, Requests::new(body), slots));
        let result = answered.instrument(span.clone()).await;
        callback::ended(&span, &result)
    }

    async fn answered(
        &self,
        method: &str,
        call: Call<'_>,
        mut requests: Requests,
        slots: &Slots,
    ) -> Result<Moved, SessionError> {
        let auth = &self.0.auth;
        match method {
            FILE_SYNC => self.file_sync(call, requests).await,
            FILE_SEND => file_send(slots, call, requests).await,
            CREDENTIALS => {
                let request: CredentialsRequest = requests.only().await?;
                call.span.record("dagger.id", &request.host);
                call.reply(auth.credentials(&request.host).await?).await
            }
            FETCH_TOKEN => {
                let request: FetchTokenRequest = requests.only().await?;
                call.span.record("dagger.id", &request.host);
                call.reply(auth.token(request).await?).await
            }
            TOKEN_AUTHORITY => {
                let request: GetTokenAuthorityRequest = requests.only().await?;
                call.span.record("dagger.id", &request.host);
                call.reply(auth.authority(&request).await?).await
            }
            VERIFY_AUTHORITY => {
                let request: VerifyTokenAuthorityRequest = requests.only().await?;
                call.span.record("dagger.id", &request.host);
                call.reply(auth.verify(&request).await?).await
            }
            SECRET => {
                let request: GetSecretRequest = requests.only().await?;
                call.span.record("dagger.id", &request.id);
                let secret = read(&self.0.secrets).get(&request.id).cloned();
                let secret = secret.ok_or_else(|| {
                    SessionError::Absent(format!(
                        "no secret `{}` was given to the build",
                        request.id
                    ))
                })?;
                let data = secret.read(&request.id).await?;
                let bytes = data.len() as u64;
                call.reply(GetSecretResponse { data }).await?;
                Ok(Moved {
                    bytes,
                    ..Moved::default()
                })
            }
            CHECK_AGENT => {
                let request: CheckAgentRequest = requests.only().await?;
                self.ssh(&request.id, call.span)?;
                call.reply(CheckAgentResponse {}).await
            }
            FORWARD_AGENT => {
                let id = metadata::value(call.headers, "buildkit.ssh.id").unwrap_or_default();
                let ssh = self.ssh(&id, call.span)?;
                ssh.forward(requests, call.responder).await
            }
            _ => self.content(method, call, requests, slots).await,
        }
    }

    async fn content(
        &self,
        method: &str,
        call: Call<'_>,
        mut requests: Requests,
        slots: &Slots,
    ) -> Result<Moved, SessionError> {
        let id = metadata::value(call.headers, "buildkit-attachable-store-id").unwrap_or_default();
        call.span.record("dagger.id", &id);
        let known = read(&self.0.stores).get(&id).cloned();
        let known = known.or_else(|| slots.layout().filter(|_| id == "export"));
        let store =
            known.ok_or_else(|| SessionError::Refused(format!("no store `{id}` in this build")))?;
        match method {
            CONTENT_INFO => call.reply(store.info(requests.only().await?)?).await,
            CONTENT_READ => store.read(requests.only().await?, call.responder).await,
            CONTENT_STATUS => call.reply(store.status(requests.only().await?)?).await,
            CONTENT_ABORT => {
                let request: AbortRequest = requests.only().await?;
                store.abort(&request.r#ref)?;
                call.reply(()).await
            }
            CONTENT_WRITE => store.write(requests, call.responder).await,
            other => Err(SessionError::Refused(format!("{other} is not served here"))),
        }
    }

    /// The agent with this id; the daemon leaves the id out if it is the default one.
    fn ssh(&self, id: &str, span: &Span) -> Result<Ssh, SessionError> {
        let id = if id.is_empty() { "default" } else { id };
        span.record("dagger.id", id);
        let found = read(&self.0.ssh).get(id).cloned();
        found.ok_or_else(|| {
            SessionError::Refused(format!("no ssh agent `{id}` was given to the build"))
        })
    }

    async fn file_sync(&self, call: Call<'_>, requests: Requests) -> Result<Moved, SessionError> {
        let headers = call.headers;
        let name = metadata::value(headers, "dir-name").unwrap_or_default();
        call.span.record("dagger.dir", name.as_str());
        let root = read(&self.0.locals).get(&name).cloned();
        let root = root.ok_or_else(|| {
            SessionError::Refused(format!("no directory `{name}` is shared in this build"))
        })?;
        let wanted = sync::Wanted {
            include: metadata::values(headers, "include-patterns"),
            exclude: metadata::values(headers, "exclude-patterns"),
            follow: metadata::values(headers, "followpaths"),
        };
        sync::send(&root, wanted, requests, call.responder.clone()).await
    }
}

/// A call that is being answered.
struct Call<'a> {
    headers: &'a HeaderMap,
    responder: &'a Responder,
    span: &'a Span,
}

impl Call<'_> {
    async fn reply(&self, message: impl prost::Message) -> Result<Moved, SessionError> {
        grpc::reply(self.responder, &message).await?;
        Ok(Moved::default())
    }
}

async fn file_send(
    slots: &Slots,
    call: Call<'_>,
    requests: Requests,
) -> Result<Moved, SessionError> {
    let headers = call.headers;
    let index = metadata::value(headers, "buildkit-attachable-exporter-id").unwrap_or_default();
    let output = slots.get(index.parse::<usize>().unwrap_or(0));
    let output = output
        .ok_or_else(|| SessionError::Refused(format!("no output `{index}` in this build")))?;
    let shown = |path: &PathBuf| call.span.record("dagger.dir", path.display().to_string());
    match output {
        Output::Dir(path) => {
            shown(&path);
            send::directory(&path, send::Rest::Kept, requests, call.responder).await
        }
        Output::Mirror(path) => {
            shown(&path);
            // Without it each platform would delete what the one before had sent.
            let whole = metadata::value(headers, "buildkit-exporter-multi-platform");
            if whole.as_deref() != Some("1") {
                return Err(SessionError::Refused(
                    "this engine is too old for the local output with mode=delete".into(),
                ));
            }
            send::directory(&path, send::Rest::Deleted, requests, call.responder).await
        }
        Output::File(path) => {
            shown(&path);
            send::file(&path, requests).await
        }
        Output::Pipe(pipe) => send::pipe(&pipe, requests).await,
        Output::Layout(_) => Err(SessionError::Refused(format!(
            "output `{index}` takes blobs, not files"
        ))),
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
