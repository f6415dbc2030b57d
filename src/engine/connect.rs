//! From settings to a connection that has answered.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tracing::{Instrument, Span, debug, field::Empty, info, info_span};

use super::address::Address;
use super::channel::{Stream, channel};
use super::docker::{self, DockerError};
use super::error::EngineError;
use super::helper::{Helper, HelperError};
use super::observed::Observed;
use super::settings::{Choice, ChosenBy, EngineSettings, Surroundings, Watch};
use super::tcp::{self, TcpError};
use super::{choose, stdio, tls, unix};
use crate::buildkit::{BuildkitError, Client, Daemon, OpenSession, Propagate};

/// How long an engine may take to accept and to answer the first calls.
const DEADLINE: Duration = Duration::from_secs(20);

/// How long a passing failure (refused, starting) is tried again: a daemon's restart takes so long.
const TRY_FOR: Duration = Duration::from_secs(3);

/// The wait after the first failure; it doubles up to the second.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How long a helper whose connection broke may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A daemon that has answered.
pub struct Connection {
    /// The calls.
    pub client: Client,
    /// What it said of itself.
    pub daemon: Daemon,
    /// Where it is and how it was chosen.
    pub choice: Choice,
    helper: Option<Helper>,
}

impl Connection {
    /// Closes the connection and waits for the helper that carried it, so that its span is whole.
    pub async fn close(self) {
        drop(self.client);
        if let Some(helper) = self.helper {
            helper.close().await;
        }
    }
}

/// Connects and asks who is there, in a `connect` span.
///
/// With no address asked for, the default order holds: see [`choose`].
///
/// # Errors
/// When the engine cannot be reached, or does not answer as a buildkitd within 20 s.
pub async fn connect(
    settings: Arc<EngineSettings>,
    propagate: Arc<dyn Propagate>,
    watch: Arc<dyn Watch>,
) -> Result<Connection, EngineError> {
    // A helper that carries the connection lives as long as it does, so not inside of `connect`.
    let parent = Span::current();
    let span = info_span!(
        "connect",
        buildkit.address = Empty,
        buildkit.scheme = Empty,
        buildkit.chosen_by = Empty,
        buildkit.version = Empty,
        buildkit.worker = Empty,
        otel.status = Empty,
        otel.status_message = Empty,
    );
    let dial = Dial {
        around: Surroundings { settings, watch },
        propagate,
        parent,
        helper: Mutex::default(),
    };
    let result = async {
        match &dial.around.settings.address {
            Some(address) => {
                let choice = Choice {
                    address: address.clone(),
                    by: ChosenBy::Variable,
                };
                dial.connect(&choice, TRY_FOR).await
            }
            None => choose::connect(&dial).await,
        }
    }
    .instrument(span.clone())
    .await;
    match &result {
        Ok(connection) => {
            span.record("buildkit.version", connection.daemon.version.as_str());
            span.record("buildkit.worker", connection.daemon.worker.as_str());
        }
        Err(error) => {
            span.record("otel.status", "error");
            span.record("otel.status_message", error.to_string());
        }
    }
    result
}

/// What every attempt needs.
pub(super) struct Dial {
    pub(super) around: Surroundings,
    propagate: Arc<dyn Propagate>,
    parent: Span,
    /// The helper of the attempt under way.
    helper: Mutex<Option<Helper>>,
}

/// A stream that is open, and what belongs to it.
struct Opened {
    host: String,
    stream: Box<dyn Stream>,
    helper: Option<Helper>,
    sessions: Option<Arc<dyn OpenSession>>,
    observed: Option<Observed>,
}

impl Dial {
    /// Connects to one address; failures that may pass are tried again for `try_for`.
    pub(super) async fn connect(
        &self,
        choice: &Choice,
        try_for: Duration,
    ) -> Result<Connection, EngineError> {
        let span = Span::current();
        span.record("buildkit.address", choice.address.to_string());
        span.record("buildkit.scheme", choice.address.scheme());
        span.record("buildkit.chosen_by", choice.by.to_string());
        let limit = DEADLINE.max(try_for);
        let Ok(result) = timeout(limit, self.attempts(choice, try_for)).await else {
            // Its end is part of the trace, so it is waited for.
            if let Some(helper) = self.attempting(None) {
                helper.kill().await;
            }
            return Err(EngineError::Deadline {
                address: choice.address.to_string(),
                by: choice.by,
                limit,
            });
        };
        self.attempting(None);
        result
    }

    /// Notes the helper of the attempt under way; gives the one before.
    fn attempting(&self, helper: Option<Helper>) -> Option<Helper> {
        let mut current = self.helper.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, helper)
    }

    async fn attempts(
        &self,
        choice: &Choice,
        try_for: Duration,
    ) -> Result<Connection, EngineError> {
        let begun = Instant::now();
        let mut wait = FIRST_WAIT;
        loop {
            info!(parent: Span::current(), event = "attempt", buildkit.address = %choice.address);
            let error = match self.attempt(choice).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            if !error.is_passing() || begun.elapsed() + wait > try_for {
                return Err(error);
            }
            debug!(%error, ?wait, "the engine is not ready; trying again");
            let reason = error.reason();
            self.around
                .note(&format!("{}: {reason}; trying again", choice.address));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn attempt(&self, choice: &Choice) -> Result<Connection, EngineError> {
        let address = choice.address.to_string();
        let Opened {
            host,
            stream,
            helper,
            sessions,
            observed,
        } = self.open(choice).await?;
        self.attempting(helper.clone());
        let channel = channel(&host, stream).await;
        let channel = channel.map_err(|error| EngineError::Connect {
            address: address.clone(),
            by: choice.by,
            source: io::Error::other(error),
            help: "see what listens there; it closed the connection".to_owned(),
        })?;
        let client = Client::new(channel, &address, self.propagate.clone()).with_sessions(sessions);
        match client.daemon().await {
            Ok(daemon) => Ok(Connection {
                client,
                daemon,
                choice: choice.clone(),
                helper,
            }),
            Err(error) => {
                drop(client);
                Err(why_no_answer(choice, helper, observed, error).await)
            }
        }
    }

    async fn open(&self, choice: &Choice) -> Result<Opened, EngineError> {
        let settings = &self.around.settings;
        let plain = |host: &str, stream| Opened {
            host: host.to_owned(),
            stream,
            helper: None,
            sessions: None,
            observed: None,
        };
        let refused = |source: io::Error, help: String| EngineError::Connect {
            address: choice.address.to_string(),
            by: choice.by,
            source,
            help,
        };
        match &choice.address {
            Address::Unix(path) => match unix::open(path).await {
                Ok(stream) => Ok(plain("localhost", Box::new(stream))),
                Err(error) => {
                    let help = unix::help(path, &error);
                    Err(refused(error, help))
                }
            },
            Address::Tcp { host, port } => match tcp::open(host, *port, &settings.tls).await {
                Ok((stream, observed)) => Ok(Opened {
                    observed: Some(observed),
                    ..plain(host, stream)
                }),
                Err(TcpError::Connect(error)) => {
                    let help = tcp::help(host, *port, &error);
                    Err(refused(error, help))
                }
                Err(TcpError::Tls(problem)) => Err(tls_error(choice, problem)),
            },
            Address::Docker => match docker::open(settings, &self.parent).await {
                Ok((stream, helper)) => Ok(Opened {
                    sessions: Some(Arc::new(docker::Sessions {
                        settings: settings.clone(),
                        parent: self.parent.clone(),
                    })),
                    helper,
                    ..plain("localhost", stream)
                }),
                Err(DockerError::Connect(path, error)) => {
                    let help = docker::help(&path, &error);
                    Err(refused(error, help))
                }
                Err(DockerError::Helper(command, error)) => Err(helper_error(
                    choice,
                    command.program(),
                    &command.to_string(),
                    error,
                )),
                Err(DockerError::Upgrade(problem)) => Err(EngineError::Docker {
                    address: choice.address.to_string(),
                    by: choice.by,
                    problem,
                }),
            },
            address => {
                let Some(command) = stdio::command_line(address) else {
                    return Err(refused(io::ErrorKind::Unsupported.into(), String::new()));
                };
                match stdio::open(&command, settings, &self.parent) {
                    Ok((pipe, helper)) => Ok(Opened {
                        helper: Some(helper),
                        ..plain("localhost", Box::new(pipe))
                    }),
                    Err(error) => Err(helper_error(
                        choice,
                        command.program(),
                        &command.to_string(),
                        error,
                    )),
                }
            }
        }
    }
}

/// The stream was open, but the first calls failed: the helper may have said why, or TLS.
async fn why_no_answer(
    choice: &Choice,
    helper: Option<Helper>,
    observed: Option<Observed>,
    error: BuildkitError,
) -> EngineError {
    if let Some(helper) = helper {
        if let Some(ended) = helper.ended(LAST_WORDS).await {
            let meaning = stdio::meaning(&choice.address, &ended);
            return EngineError::Helper {
                address: choice.address.to_string(),
                by: choice.by,
                problem: meaning.what,
                command: helper.command().to_string(),
                stderr: ended.stderr,
                help: meaning.help,
                passing: meaning.passing,
            };
        }
    } else if let Some(problem) = observed.and_then(|observed| observed.problem()) {
        return tls_error(choice, problem);
    }
    EngineError::Handshake {
        address: choice.address.to_string(),
        by: choice.by,
        source: Box::new(error),
    }
}

fn tls_error(choice: &Choice, problem: tls::Problem) -> EngineError {
    EngineError::Tls {
        address: choice.address.to_string(),
        by: choice.by,
        problem: problem.what,
        help: problem.help,
    }
}

fn helper_error(
    choice: &Choice,
    program: &'static str,
    command: &str,
    error: HelperError,
) -> EngineError {
    let address = choice.address.to_string();
    match error {
        HelperError::Missing => EngineError::NoProgram {
            address,
            by: choice.by,
            program,
        },
        error @ (HelperError::System(_) | HelperError::Deadline(_)) => EngineError::Helper {
            address,
            by: choice.by,
            problem: format!("`{program}` {error}"),
            command: command.to_owned(),
            stderr: String::new(),
            help: "run that command by hand to see more".to_owned(),
            passing: false,
        },
    }
}
