//! What `dagger engine` does with the managed engines.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{container, local};
use crate::engine::error::EngineError;
use crate::engine::settings::{EngineSettings, Surroundings, Watch};

/// How long docker may take to stop the container: its own 10 s, and then some.
const STOP: Duration = Duration::from_secs(30);

/// What a managed engine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It runs.
    Running,
    /// It is there, but stopped.
    Stopped,
    /// It was never made, or is gone.
    Absent,
    /// It cannot be had on this machine.
    Unavailable,
}

/// A managed engine as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EngineStatus {
    /// What kind it is: `container` or `local`.
    pub kind: &'static str,
    /// Its address, as BUILDKIT_HOST takes it.
    pub address: String,
    /// What it does.
    pub state: State,
    /// More: the image, the process, or why it cannot be had.
    pub detail: String,
}

/// The managed engines as they are now, in the default order.
pub async fn status(settings: &Arc<EngineSettings>, watch: Arc<dyn Watch>) -> Vec<EngineStatus> {
    let around = around(settings, watch);
    let mut found = vec![container_status(&around).await];
    found.extend(local_status(settings));
    found
}

async fn container_status(around: &Surroundings) -> EngineStatus {
    let (state, detail) = match container::find(around).await {
        Ok(Some(found)) => {
            let pin = around.settings.image();
            let whose = match (found.managed, found.image == pin) {
                (true, true) => String::new(),
                (true, false) => format!(", will be replaced by {pin}"),
                (false, _) => ", made by hand".to_owned(),
            };
            let state = if found.running {
                State::Running
            } else {
                State::Stopped
            };
            (state, format!("{}, {}{whose}", found.image, found.status))
        }
        Ok(None) => (
            State::Absent,
            format!("will be made of {}", around.settings.image()),
        ),
        Err(container::Unusable::NoDocker(why)) => (State::Unavailable, why),
        Err(container::Unusable::Failed(error)) => (State::Unavailable, error.to_string()),
    };
    EngineStatus {
        kind: "container",
        address: container::address().to_string(),
        state,
        detail,
    }
}

fn local_status(settings: &EngineSettings) -> Option<EngineStatus> {
    let places = local::Places::new(settings)?;
    let (state, detail) = match (places.running(), local::program(settings)) {
        (Some(pid), _) => (State::Running, format!("process {}", pid.as_raw_nonzero())),
        (None, Ok(program)) => {
            let program = program.last().cloned().unwrap_or_default();
            (
                State::Absent,
                format!("{} can be started", program.display()),
            )
        }
        (None, Err(why)) => (State::Unavailable, why),
    };
    Some(EngineStatus {
        kind: "local",
        address: places.address().to_string(),
        state,
        detail,
    })
}

/// Starts the first managed engine that can be had; gives its address.
///
/// # Errors
/// When none can, or the one that should would not.
pub async fn start(
    settings: &Arc<EngineSettings>,
    watch: Arc<dyn Watch>,
) -> Result<String, EngineError> {
    let around = around(settings, watch);
    let mut tried = Vec::new();
    match container::ensure(&around).await {
        Ok(_) => return Ok(container::address().to_string()),
        Err(container::Unusable::Failed(error)) => return Err(error),
        Err(container::Unusable::NoDocker(why)) => {
            tried.push(format!("{}: {why}", container::address()));
        }
    }
    match local::ensure(&around).await {
        Ok(address) => Ok(address.to_string()),
        Err(local::Unusable::Failed(error)) => Err(error),
        Err(local::Unusable::Missing(why)) => {
            tried.push(format!("a local buildkitd: {why}"));
            Err(EngineError::NoEngine { tried })
        }
    }
}

/// Stops the managed engines that run; gives their addresses. Their caches stay.
///
/// # Errors
/// When one does not end.
pub async fn stop(
    settings: &Arc<EngineSettings>,
    watch: Arc<dyn Watch>,
) -> Result<Vec<String>, EngineError> {
    let around = around(settings, watch);
    let mut stopped = Vec::new();
    if let Ok(Some(found)) = container::find(&around).await
        && found.running
    {
        match container::docker(&around, STOP, &["stop", container::NAME]).await {
            Ok(_) => stopped.push(container::address().to_string()),
            Err(container::Unusable::Failed(error)) => return Err(error),
            Err(container::Unusable::NoDocker(problem)) => {
                return Err(EngineError::Start {
                    engine: container::NAME.to_owned(),
                    problem,
                    help: "see whether Docker runs".to_owned(),
                });
            }
        }
    }
    if let Some(places) = local::Places::new(settings)
        && local::stop(&places).await?
    {
        stopped.push(places.address().to_string());
    }
    Ok(stopped)
}

/// Where a managed engine's log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Log {
    /// Docker has written it to our standard output and error.
    Shown,
    /// It is in this file.
    File(PathBuf),
}

/// Shows the last `lines` lines of the managed container's log, and what comes if `follow`; or says
/// where the local daemon's is. `None`: there is neither.
///
/// # Errors
/// When docker will not give it.
pub async fn logs(
    settings: &Arc<EngineSettings>,
    watch: Arc<dyn Watch>,
    lines: usize,
    follow: bool,
) -> Result<Option<Log>, EngineError> {
    let around = around(settings, watch);
    if let Ok(Some(_)) = container::find(&around).await {
        container::show_logs(&around, lines, follow).await?;
        return Ok(Some(Log::Shown));
    }
    let file = local::Places::new(settings).map(|places| places.log);
    Ok(file.filter(|file| file.exists()).map(Log::File))
}

fn around(settings: &Arc<EngineSettings>, watch: Arc<dyn Watch>) -> Surroundings {
    Surroundings {
        settings: settings.clone(),
        watch,
    }
}
