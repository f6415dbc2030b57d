//! The ssh agent: each connection of a step is relayed to an agent here, byte by byte.
//!
//! Keys that are named by file go into an agent of our own, OpenSSH's, which is started when a step
//! first asks and ends with us: its command waits for the end of a pipe that we hold.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::callback::Moved;
use super::error::SessionError;
use super::grpc::{self, Requests, Responder};
use crate::proto::ssh::BytesMessage;

/// How long an agent may take to start and to take its keys.
const START: Duration = Duration::from_secs(30);

/// Bytes read from the agent at once.
const PIECE: usize = 32 << 10;

/// What the agent's command does: takes the keys, says so, and waits for the pipe's end.
const COMMAND: &str =
    "ssh-add -q \"$@\" </dev/null && printf '%s\\n' \"$SSH_AUTH_SOCK\" && exec cat";

/// Where keys come from.
#[derive(Clone, Debug)]
pub struct Ssh(Arc<Source>);

#[derive(Debug)]
enum Source {
    Agent(PathBuf),
    Keys {
        paths: Vec<PathBuf>,
        agent: Mutex<Option<Box<Agent>>>,
    },
}

/// An agent of our own. Its end closes the pipe, and that ends the agent.
#[derive(Debug)]
struct Agent {
    socket: PathBuf,
    _child: Child,
}

impl Ssh {
    /// An agent that is there, by its socket.
    pub fn agent(socket: PathBuf) -> Self {
        Self(Arc::new(Source::Agent(socket)))
    }

    /// Keys without a passphrase.
    pub fn keys(paths: Vec<PathBuf>) -> Self {
        Self(Arc::new(Source::Keys {
            paths,
            agent: Mutex::new(None),
        }))
    }

    async fn connect(&self) -> Result<UnixStream, SessionError> {
        let socket = match &*self.0 {
            Source::Agent(socket) => socket.clone(),
            Source::Keys { paths, agent } => {
                let mut agent = agent.lock().await;
                if agent.is_none() {
                    *agent = Some(Box::new(start(paths).await?));
                }
                agent
                    .as_ref()
                    .map(|agent| agent.socket.clone())
                    .unwrap_or_default()
            }
        };
        UnixStream::connect(&socket)
            .await
            .map_err(|source| SessionError::Path {
                action: "reach the ssh agent at",
                path: socket,
                source,
            })
    }

    /// Relays one connection until either side ends it.
    pub(super) async fn forward(
        &self,
        mut requests: Requests,
        responder: &Responder,
    ) -> Result<Moved, SessionError> {
        let (mut from, mut to) = self.connect().await?.into_split();
        let lost = |error: std::io::Error| SessionError::Helper(format!("the ssh agent: {error}"));
        let mut sent_bytes = 0;
        let outgoing = async {
            while let Some(message) = requests.next::<BytesMessage>().await? {
                sent_bytes += message.data.len() as u64;
                to.write_all(&message.data).await.map_err(lost)?;
            }
            to.shutdown().await.map_err(lost)
        };
        let incoming = async {
            let mut buffer = vec![0; PIECE];
            let mut bytes = 0;
            loop {
                let length = from.read(&mut buffer).await.map_err(lost)?;
                if length == 0 {
                    return Ok::<u64, SessionError>(bytes);
                }
                bytes += length as u64;
                let data = buffer.get(..length).unwrap_or_default().to_vec().into();
                let mut out = BytesMut::new();
                grpc::encode(&BytesMessage { data }, &mut out);
                responder.send(out.freeze()).await?;
            }
        };
        let received = {
            tokio::pin!(outgoing, incoming);
            // The agent's end is the end; the step's own end alone is not, an answer may be on its way.
            tokio::select! {
                received = &mut incoming => received?,
                sent = &mut outgoing => {
                    sent?;
                    incoming.await?
                }
            }
        };
        Ok(Moved {
            bytes: sent_bytes + received,
            ..Moved::default()
        })
    }
}

/// Starts an agent that holds these keys.
async fn start(keys: &[PathBuf]) -> Result<Agent, SessionError> {
    let failed = |why: String| SessionError::Helper(format!("ssh-agent {why}"));
    let mut child = Command::new("ssh-agent")
        .args(["sh", "-c", COMMAND, "sh"])
        .args(keys)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        // Ctrl-C is for us.
        .process_group(0)
        .spawn()
        .map_err(|error| failed(format!("cannot be run: {error}")))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (Some(out), Some(mut err)) = (out, err) else {
        return Err(SessionError::Cancelled);
    };
    let mut socket = String::new();
    let mut lines = BufReader::new(out);
    let read = tokio::time::timeout(START, lines.read_line(&mut socket)).await;
    match read {
        Ok(Ok(length)) if length > 0 => Ok(Agent {
            socket: socket.trim_end().into(),
            _child: child,
        }),
        Ok(_) => {
            let mut words = Vec::new();
            let _ =
                tokio::time::timeout(START, (&mut err).take(2_000).read_to_end(&mut words)).await;
            let words = String::from_utf8_lossy(&words);
            Err(failed(format!("does not take the keys: {}", words.trim())))
        }
        Err(_) => Err(failed(format!("was not ready in {} s", START.as_secs()))),
    }
}
