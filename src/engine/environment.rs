//! What variables a daemon was started with, where that can be known: it says where its spans go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;

use super::address::Address;
use super::docker::Way;
use super::helper::{self, CommandLine, Run};
use super::settings::{EngineSettings, Surroundings, Unwatched};

/// How long it may take; the answer is only a help.
const DEADLINE: Duration = Duration::from_secs(5);

/// The daemon's variables; `None` if they cannot be known.
///
/// Of a container they are what docker says of it; of a socket on this machine, those of the process that
/// listens there, if this user may see them.
pub async fn environment(
    address: &Address,
    settings: Arc<EngineSettings>,
) -> Option<BTreeMap<String, String>> {
    let around = Surroundings {
        settings,
        watch: Arc::new(Unwatched),
    };
    let found = async {
        match address {
            Address::Unix(path) => of_listener(path).await,
            Address::DockerContainer { name, context } => {
                of_container("docker", name, context.as_deref(), &around).await
            }
            Address::PodmanContainer { name } => of_container("podman", name, None, &around).await,
            Address::Docker => match Way::new(&around.settings) {
                Way::Socket(path) => of_listener(&path).await,
                Way::CommandLine => None,
            },
            _ => None,
        }
    };
    tokio::time::timeout(DEADLINE, found).await.ok().flatten()
}

async fn of_container(
    program: &'static str,
    name: &str,
    context: Option<&str>,
    around: &Surroundings,
) -> Option<BTreeMap<String, String>> {
    let command = CommandLine::new(program, &[])
        .with(context.map(|context| format!("--context={context}")))
        .with(["container", "inspect", "--format", "{{json .Config.Env}}"])
        .with([name]);
    let run = Run {
        deadline: DEADLINE,
        shown: false,
        asks: true,
    };
    let ended = helper::run(&command, run, around).await.ok()?;
    if ended.code != Some(0) {
        return None;
    }
    let pairs: Option<Vec<String>> = serde_json::from_str(ended.stdout.trim()).ok()?;
    Some(variables(
        pairs.unwrap_or_default().iter().map(String::as_str),
    ))
}

/// The variables of the process that listens on a socket (`SO_PEERCRED`, then `/proc/PID/environ`).
async fn of_listener(path: &Path) -> Option<BTreeMap<String, String>> {
    let stream = UnixStream::connect(path).await.ok()?;
    // 0: it lives where this process cannot see it, e.g. in another container.
    let pid = stream.peer_cred().ok()?.pid().filter(|pid| *pid > 0)?;
    let file = PathBuf::from(format!("/proc/{pid}/environ"));
    let bytes = tokio::fs::read(file).await.ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(variables(text.split('\0')))
}

fn variables<'a>(pairs: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_listener_of_a_socket_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = tokio::net::UnixListener::bind(&path).unwrap();
        let own = of_listener(&path).await.unwrap();
        assert!(own.contains_key("CARGO_MANIFEST_DIR"), "{own:?}");
    }

    #[test]
    fn what_is_no_variable_is_passed_over() {
        let read = variables("A=1=2\0B\0\0C=".split('\0'));
        let expected = [("A", "1=2"), ("C", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(read, expected.into());
    }
}
