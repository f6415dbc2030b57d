//! The default order: which engine it is when `BUILDKIT_HOST` is unset.
//!
//! 1. a socket at a default place, root's and the user's own;
//! 2. the container `dagger-buildkitd` of the Docker that the docker command line talks to, made or
//!    started if need be;
//! 3. the BuildKit inside of that Docker;
//! 4. a buildkitd of this machine, kept running by `dagger`.
//!
//! Each step is said: as an event of the connect span, in the log, and in the error if nothing is left.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{Span, info};

use super::address::Address;
use super::connect::{Connection, Dial};
use super::error::EngineError;
use super::managed::{container, local};
use super::settings::{Choice, ChosenBy, EngineSettings};

/// Where root's buildkitd listens by default (`util/appdefaults`).
const ROOT_SOCKET: &str = "/run/buildkit/buildkitd.sock";

/// How long a container or daemon that we have just started may take until it answers.
const STARTING: Duration = Duration::from_secs(60);

/// How long one that ran already is tried.
const RUNNING: Duration = Duration::from_secs(3);

/// The sockets at the default places, in their order.
pub(super) fn default_sockets(settings: &EngineSettings) -> Vec<PathBuf> {
    let own = settings.runtime_dir.iter();
    let own = own.map(|dir| dir.join("buildkit/buildkitd.sock"));
    std::iter::once(PathBuf::from(ROOT_SOCKET))
        .chain(own)
        .collect()
}

/// What was tried so far.
#[derive(Default)]
struct Tried(Vec<String>);

impl Tried {
    fn note(&mut self, dial: &Dial, candidate: &str, outcome: &str) {
        let first = outcome.lines().next().unwrap_or_default();
        info!(parent: Span::current(), event = "candidate", candidate, outcome = first);
        dial.around.note(&format!("{candidate}: {first}"));
        self.0.push(format!("{candidate}: {first}"));
    }
}

/// Connects to the first engine of the default order that there is.
pub(super) async fn connect(dial: &Dial) -> Result<Connection, EngineError> {
    let mut tried = Tried::default();
    if let Some(connection) = sockets(dial, &mut tried).await? {
        return Ok(connection);
    }
    if let Some(connection) = docker(dial, &mut tried).await? {
        return Ok(connection);
    }
    if let Some(connection) = own_daemon(dial, &mut tried).await? {
        return Ok(connection);
    }
    Err(EngineError::NoEngine { tried: tried.0 })
}

async fn sockets(dial: &Dial, tried: &mut Tried) -> Result<Option<Connection>, EngineError> {
    let mut forbidden = None;
    for path in default_sockets(&dial.around.settings) {
        let candidate = format!("unix://{}", path.display());
        if !is_there(&path) {
            tried.note(dial, &candidate, "there is no socket");
            continue;
        }
        let choice = Choice {
            address: Address::Unix(path),
            by: ChosenBy::DefaultSocket,
        };
        match dial.connect(&choice, Duration::ZERO).await {
            Ok(connection) => {
                tried.note(dial, &candidate, "is used");
                return Ok(Some(connection));
            }
            // A socket that was left behind; nothing uses it.
            Err(error) if error.is_passing() => {
                tried.note(dial, &candidate, "nothing listens on it");
            }
            Err(error) => {
                tried.note(dial, &candidate, &error.reason());
                forbidden.get_or_insert(error);
            }
        }
    }
    // One that is there but may not be used must be named, not passed over.
    forbidden.map_or(Ok(None), Err)
}

fn is_there(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    }
}

async fn docker(dial: &Dial, tried: &mut Tried) -> Result<Option<Connection>, EngineError> {
    let candidate = format!("docker-container://{}", container::NAME);
    match container::ensure(&dial.around).await {
        Ok(state) => {
            let try_for = match state {
                container::Ensured::Running => RUNNING,
                container::Ensured::Started => STARTING,
            };
            let choice = Choice {
                address: container::address(),
                by: ChosenBy::Docker,
            };
            let connection = dial.connect(&choice, try_for).await?;
            tried.note(dial, &candidate, "is used");
            return Ok(Some(connection));
        }
        Err(container::Unusable::NoDocker(why)) => {
            tried.note(dial, &candidate, &why);
            tried.note(dial, "docker://", "there is no Docker");
            return Ok(None);
        }
        Err(container::Unusable::Failed(error)) => {
            tried.note(dial, &candidate, &error.reason());
        }
    }
    let choice = Choice {
        address: Address::Docker,
        by: ChosenBy::Docker,
    };
    match dial.connect(&choice, Duration::ZERO).await {
        Ok(connection) => {
            tried.note(dial, "docker://", "is used");
            Ok(Some(connection))
        }
        Err(error) => {
            tried.note(dial, "docker://", &error.reason());
            Ok(None)
        }
    }
}

async fn own_daemon(dial: &Dial, tried: &mut Tried) -> Result<Option<Connection>, EngineError> {
    let address = match local::ensure(&dial.around).await {
        Ok(address) => address,
        Err(local::Unusable::Missing(why)) => {
            tried.note(dial, "a local buildkitd", &why);
            return Ok(None);
        }
        Err(local::Unusable::Failed(error)) => return Err(error),
    };
    let candidate = address.to_string();
    let choice = Choice {
        address,
        by: ChosenBy::Local,
    };
    let connection = dial.connect(&choice, STARTING).await;
    if connection.is_ok() {
        tried.note(dial, &candidate, "is used");
    }
    connection.map(Some)
}
