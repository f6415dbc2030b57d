//! A buildkitd of this machine, found on `PATH` and kept running: one for all of a user's builds.
//!
//! Root runs it as it is; another user under rootlesskit, without which it cannot work. Its state is
//! in `$XDG_STATE_HOME/dagger/buildkitd`, its socket beside it if the path is short enough.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process, test_kill_process};

use super::lock;
use crate::engine::address::Address;
use crate::engine::error::EngineError;
use crate::engine::helper;
use crate::engine::settings::{EngineSettings, Surroundings};

/// The lock's file, in the daemon's directory.
const LOCK: &str = ".lock";

/// How long another process may take to start it.
const WAIT: Duration = Duration::from_secs(60);

/// How long it may take to end.
const END: Duration = Duration::from_secs(15);

/// The longest path that a socket can have (unix(7)).
const SOCKET_BYTES: usize = 107;

/// Why the daemon cannot be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// There is none on this machine: in these words.
    Missing(String),
    /// It is there, but would not run.
    Failed(EngineError),
}

/// Where the daemon's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) dir: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) log: PathBuf,
    pid: PathBuf,
}

impl Places {
    /// `None`: no directory for state.
    pub(crate) fn new(settings: &EngineSettings) -> Option<Self> {
        let dir = settings.state_dir.as_ref()?.join("buildkitd");
        let beside = dir.join("buildkitd.sock");
        let short = |path: &Path| path.as_os_str().len() <= SOCKET_BYTES;
        let socket = match &settings.runtime_dir {
            Some(runtime) if !short(&beside) => runtime.join("dagger-buildkitd.sock"),
            _ => beside,
        };
        Some(Self {
            socket,
            log: dir.join("buildkitd.log"),
            pid: dir.join("pid"),
            dir,
        })
    }

    /// The daemon's address.
    pub(crate) fn address(&self) -> Address {
        Address::Unix(self.socket.clone())
    }

    /// The daemon's process, if it runs.
    pub(crate) fn running(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(&self.pid).ok()?;
        let pid = Pid::from_raw(text.trim().parse().ok()?)?;
        test_kill_process(pid).ok()?;
        // The number may be another process's by now.
        let command = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
        let ours = String::from_utf8_lossy(&command).contains(&*self.dir.to_string_lossy());
        ours.then_some(pid)
    }
}

/// The program that would be run, with its first arguments; else why there is none.
pub(crate) fn program(settings: &EngineSettings) -> Result<Vec<PathBuf>, String> {
    let path = settings.path.as_deref();
    let daemon = helper::find("buildkitd", path).ok_or("there is no buildkitd on PATH")?;
    if geteuid().is_root() {
        return Ok(vec![daemon]);
    }
    let rootless = helper::find("rootlesskit", path)
        .ok_or("there is a buildkitd on PATH, but without root it needs rootlesskit")?;
    Ok(vec![
        rootless,
        "--net=host".into(),
        "--copy-up=/etc".into(),
        "--copy-up=/run".into(),
        daemon,
    ])
}

/// Sees to it that the daemon runs.
pub(crate) async fn ensure(around: &Surroundings) -> Result<Address, Unusable> {
    let settings = &around.settings;
    let places = Places::new(settings);
    let places = places.ok_or_else(|| Unusable::Missing("HOME is not set".to_owned()))?;
    if places.running().is_some() {
        return Ok(places.address());
    }
    let program = program(settings).map_err(Unusable::Missing)?;
    if !settings.may_start {
        return Err(Unusable::Missing("it does not run".to_owned()));
    }
    let held = lock::take(Some(&places.dir), LOCK, WAIT, around).await;
    let held = held.map_err(Unusable::Failed)?;
    if places.running().is_none() {
        around.note(&format!(
            "starting {} in the background",
            program.last().unwrap_or(&PathBuf::new()).display()
        ));
        start(&program, &places, settings).map_err(|source| {
            Unusable::Failed(EngineError::State {
                path: places.dir.clone(),
                source,
            })
        })?;
    }
    drop(held);
    Ok(places.address())
}

/// Starts the daemon on its own: in a group of its own, so that Ctrl-C passes it by, without the
/// caller's files, and with a log.
fn start(program: &[PathBuf], places: &Places, settings: &EngineSettings) -> io::Result<()> {
    let Some((first, rest)) = program.split_first() else {
        return Ok(());
    };
    std::fs::set_permissions(&places.dir, Permissions::from_mode(0o700))?;
    match std::fs::remove_file(&places.socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let log = File::options()
        .create(true)
        .append(true)
        .open(&places.log)?;
    let mut command = tokio::process::Command::new(first);
    command
        .args(rest)
        .arg("--addr")
        .arg(format!("unix://{}", places.socket.display()))
        .arg("--root")
        .arg(places.dir.join("root"))
        .arg("--otel-socket-path")
        .arg(places.dir.join("otel.sock"))
        .current_dir(&places.dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    if !geteuid().is_root() {
        command.arg("--rootless");
        if settings.runtime_dir.is_none() {
            // Without it runc would keep its state in /run, which is root's.
            let run = places.dir.join("run");
            DirBuilder::new().recursive(true).mode(0o700).create(&run)?;
            command.env("XDG_RUNTIME_DIR", run);
        }
    }
    if let Some(path) = &settings.path {
        // runc is often where a user's PATH does not look.
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    }
    let child = command.spawn()?;
    let pid = child.id().map(|pid| pid.to_string()).unwrap_or_default();
    std::fs::write(&places.pid, pid)
}

/// Ends the daemon. False: it did not run.
pub(crate) async fn stop(places: &Places) -> Result<bool, EngineError> {
    let Some(pid) = places.running() else {
        return Ok(false);
    };
    let failed = |source: io::Error| EngineError::State {
        path: places.pid.clone(),
        source,
    };
    for signal in [Signal::TERM, Signal::KILL] {
        kill_process(pid, signal).map_err(|error| failed(error.into()))?;
        let begun = std::time::Instant::now();
        while begun.elapsed() < END {
            if places.running().is_none() {
                // It may have removed the file itself; it only must not be there.
                let _ = std::fs::remove_file(&places.pid);
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Err(failed(io::Error::new(
        io::ErrorKind::TimedOut,
        "the daemon does not end",
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_state_directory_leaves_the_socket_to_the_runtime_directory() {
        let mut settings = EngineSettings {
            state_dir: Some("/home/me/.local/state/dagger".into()),
            runtime_dir: Some("/run/user/1000".into()),
            ..EngineSettings::default()
        };
        let socket = |settings: &EngineSettings| Places::new(settings).unwrap().socket;
        assert_eq!(
            socket(&settings),
            Path::new("/home/me/.local/state/dagger/buildkitd/buildkitd.sock")
        );
        settings.state_dir = Some(format!("/{}", "x".repeat(100)).into());
        assert_eq!(
            socket(&settings),
            Path::new("/run/user/1000/dagger-buildkitd.sock")
        );
    }

    #[test]
    fn a_pid_that_is_another_process_now_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let settings = EngineSettings {
            state_dir: Some(dir.path().into()),
            ..EngineSettings::default()
        };
        let places = Places::new(&settings).unwrap();
        assert_eq!(places.running(), None);
        std::fs::create_dir_all(&places.dir).unwrap();
        std::fs::write(&places.pid, std::process::id().to_string()).unwrap();
        assert_eq!(places.running(), None);
    }
}
