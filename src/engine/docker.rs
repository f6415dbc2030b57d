//! `docker://`: the BuildKit inside of the Docker daemon.
//!
//! Its API upgrades two paths from HTTP/1.1 to HTTP/2 in clear text: `/grpc` has the control service,
//! `/session` is a connection on which the daemon calls back (moby `api/server/router/grpc` and
//! `router/session`). What that BuildKit lacks against a buildkitd of one's own: see `docs/engines.md`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body::Body;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tracing::Span;

use super::channel::Stream;
use super::helper::{CommandLine, Helper, HelperError};
use super::settings::EngineSettings;
use super::{stdio, unix};
use crate::buildkit::{OpenSession, Opening, SessionIo, SessionOpening};

/// Where the Docker daemon listens by default.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// How long the daemon may take to switch protocols.
const UPGRADE: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum DockerError {
    /// The socket cannot be opened.
    Connect(std::path::PathBuf, io::Error),
    /// The docker command line did not carry the connection.
    Helper(CommandLine, HelperError),
    /// What answers is no Docker daemon with a BuildKit.
    Upgrade(String),
}

/// How the Docker daemon is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A socket on this machine.
    Socket(std::path::PathBuf),
    /// Whatever the docker command line talks to: another machine, a context.
    CommandLine,
}

impl Way {
    /// The way that the user's settings ask for.
    pub(super) fn new(settings: &EngineSettings) -> Self {
        match settings.docker_host.as_deref() {
            Some(host) => match host.strip_prefix("unix://") {
                Some(path) => Self::Socket(path.into()),
                None => Self::CommandLine,
            },
            None if settings.docker_context => Self::CommandLine,
            None => Self::Socket(DEFAULT_SOCKET.into()),
        }
    }
}

/// Opens a connection to the control service.
pub(super) async fn open(
    settings: &EngineSettings,
    parent: &Span,
) -> Result<(Box<dyn Stream>, Option<Helper>), DockerError> {
    dial(settings, parent, "/grpc", &[]).await
}

/// Opens sessions beside the control service.
pub(super) struct Sessions {
    pub(super) settings: Arc<EngineSettings>,
    pub(super) parent: Span,
}

impl OpenSession for Sessions {
    fn open(&self, opening: &SessionOpening) -> Opening {
        let mut headers = vec![
            ("x-docker-expose-session-uuid", opening.id.clone()),
            ("x-docker-expose-session-name", "dagger".to_owned()),
            (
                "x-docker-expose-session-sharedkey",
                opening.shared_key.clone(),
            ),
        ];
        let methods = opening.methods.iter();
        headers
            .extend(methods.map(|&name| ("x-docker-expose-session-grpc-method", name.to_owned())));
        let (settings, parent) = (self.settings.clone(), self.parent.clone());
        Box::pin(async move {
            let (stream, helper) = dial(&settings, &parent, "/session", &headers)
                .await
                .map_err(|error| io::Error::other(format!("{error:?}")))?;
            Ok(Box::new(Held {
                stream,
                _helper: helper,
            }) as Box<dyn SessionIo>)
        })
    }
}

/// What to do about a socket of Docker's that cannot be opened.
pub(super) fn help(path: &std::path::Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
            "Docker does not listen at `{}`: start it (`sudo systemctl start docker`), or correct DOCKER_HOST",
            path.display()
        ),
        _ => unix::help(path, error),
    }
}

async fn dial(
    settings: &EngineSettings,
    parent: &Span,
    path: &'static str,
    headers: &[(&'static str, String)],
) -> Result<(Box<dyn Stream>, Option<Helper>), DockerError> {
    let (stream, helper): (Box<dyn Stream>, _) = match Way::new(settings) {
        Way::Socket(socket) => match UnixStream::connect(&socket).await {
            Ok(stream) => (Box::new(stream), None),
            Err(error) => return Err(DockerError::Connect(socket, error)),
        },
        Way::CommandLine => {
            let command = CommandLine::new("docker", &["system", "dial-stdio"]);
            match stdio::open(&command, settings, parent) {
                Ok((pipe, helper)) => (Box::new(pipe), Some(helper)),
                Err(error) => return Err(DockerError::Helper(command, error)),
            }
        }
    };
    let upgraded = tokio::time::timeout(UPGRADE, upgrade(stream, path, headers)).await;
    match upgraded {
        Ok(Ok(stream)) => Ok((stream, helper)),
        Ok(Err(problem)) => Err(DockerError::Upgrade(problem)),
        Err(_) => Err(DockerError::Upgrade(format!(
            "it did not switch {path} to HTTP/2 within {} s",
            UPGRADE.as_secs()
        ))),
    }
}

async fn upgrade(
    stream: Box<dyn Stream>,
    path: &'static str,
    headers: &[(&'static str, String)],
) -> Result<Box<dyn Stream>, String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::post(path)
        .header(header::HOST, "docker")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "h2c");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request.body(NoBody).map_err(|error| error.to_string())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| format!("it does not answer as a Docker daemon: {error}"))?;
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {}
        StatusCode::NOT_FOUND => {
            return Err(format!(
                "it has no {path}: it is too old, or has no BuildKit"
            ));
        }
        status => return Err(format!("it answered {path} with {status}")),
    }
    let upgraded = hyper::upgrade::on(response)
        .await
        .map_err(|error| error.to_string())?;
    Ok(Box::new(TokioIo::new(upgraded)))
}

/// A stream with the helper that carries it, which ends with it.
struct Held {
    stream: Box<dyn Stream>,
    _helper: Option<Helper>,
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Held {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// An empty request body.
struct NoBody;

impl Body for NoBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(host: Option<&str>, context: bool) -> Way {
        Way::new(&EngineSettings {
            docker_host: host.map(str::to_owned),
            docker_context: context,
            ..EngineSettings::default()
        })
    }

    #[test]
    fn a_socket_is_opened_directly_and_all_else_is_dockers_business() {
        assert_eq!(way(None, false), Way::Socket(DEFAULT_SOCKET.into()));
        assert_eq!(
            way(Some("unix:///run/d.sock"), true),
            Way::Socket("/run/d.sock".into())
        );
        assert_eq!(way(Some("ssh://me@host"), false), Way::CommandLine);
        assert_eq!(way(None, true), Way::CommandLine);
    }
}
