//! The container `dagger-buildkitd`: made once, however many ask, and replaced when its image is
//! another than the pinned one. Its cache is in the volume of the same name, which stays.

use std::time::Duration;

use serde::Deserialize;

use super::lock;
use crate::engine::address::Address;
use crate::engine::docker_container;
use crate::engine::error::EngineError;
use crate::engine::helper::{self, CommandLine, Ended, HelperError, Run};
use crate::engine::settings::Surroundings;

/// The container's name, and its volume's.
pub(crate) const NAME: &str = "dagger-buildkitd";

/// Marks a container as ours to replace. One without it is the user's: used, never removed.
const LABEL: &str = "dagger.managed";

/// The lock's file, in the configuration directory.
const LOCK: &str = ".buildkitd.lock";

/// How long docker may take to answer, to start a container, and to pull the image.
const ASK: Duration = Duration::from_secs(20);
const START: Duration = Duration::from_secs(60);
const PULL: Duration = Duration::from_secs(600);

/// The container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ensured {
    /// It ran before.
    Running,
    /// It was made or started just now.
    Started,
}

/// Why the container cannot be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// There is no docker, or its daemon does not answer: in these words.
    NoDocker(String),
    /// Docker is there, but would not run it.
    Failed(EngineError),
}

/// What is known of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Does it run?
    pub(crate) running: bool,
    /// Docker's word for its state.
    pub(crate) status: String,
    /// The image it was made of.
    pub(crate) image: String,
    /// Was it made by us?
    pub(crate) managed: bool,
}

/// The container's address.
pub(crate) fn address() -> Address {
    Address::DockerContainer {
        name: NAME.to_owned(),
        context: None,
    }
}

/// Sees to it that the container runs, with the pinned image.
pub(crate) async fn ensure(around: &Surroundings) -> Result<Ensured, Unusable> {
    // Mostly it is there, and nobody has to wait for the lock.
    let found = find(around).await?;
    if found.as_ref().is_some_and(|found| is_right(found, around)) {
        return Ok(Ensured::Running);
    }
    if !around.settings.may_start {
        return Err(Unusable::NoDocker("it does not run".to_owned()));
    }
    let limit = PULL + START;
    let held = lock::take(around.settings.config_dir.as_ref(), LOCK, limit, around).await;
    let held = held.map_err(Unusable::Failed)?;
    // Another process may have made it meanwhile.
    let result = match find(around).await? {
        Some(found) if is_right(&found, around) => Ok(Ensured::Started),
        Some(found) if found.managed && found.image != around.settings.image() => {
            around.note(&format!(
                "replacing {NAME}: it has the image {}, {} is wanted",
                found.image,
                around.settings.image()
            ));
            docker(around, START, &["rm", "--force", NAME]).await?;
            create(around).await
        }
        Some(_) => {
            around.note(&format!("starting the container {NAME}"));
            docker(around, START, &["start", NAME]).await?;
            Ok(Ensured::Started)
        }
        None => create(around).await,
    };
    drop(held);
    result
}

fn is_right(found: &Found, around: &Surroundings) -> bool {
    found.running && (!found.managed || found.image == around.settings.image())
}

async fn create(around: &Surroundings) -> Result<Ensured, Unusable> {
    let image = around.settings.image();
    if docker(
        around,
        ASK,
        &["image", "inspect", "--format", "{{.Id}}", image],
    )
    .await
    .is_err()
    {
        around.note(&format!("pulling {image}"));
        docker(around, PULL, &["pull", image]).await?;
    }
    around.note(&format!("making the container {NAME} of {image}"));
    let volume = format!("{NAME}:/var/lib/buildkit");
    let label = format!("{LABEL}=true");
    docker(
        around,
        START,
        &[
            "run",
            "--detach",
            "--name",
            NAME,
            "--restart",
            "always",
            "--privileged",
            "--network=host",
            "--volume",
            &volume,
            "--label",
            &label,
            image,
        ],
    )
    .await?;
    Ok(Ensured::Started)
}

/// What docker knows of the container; `None`: there is none.
pub(crate) async fn find(around: &Surroundings) -> Result<Option<Found>, Unusable> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Inspected {
        state: InspectedState,
        config: InspectedConfig,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct InspectedState {
        status: String,
        running: bool,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct InspectedConfig {
        image: String,
        labels: Option<std::collections::BTreeMap<String, String>>,
    }
    let asked = ["container", "inspect", "--format", "{{json .}}", NAME];
    let ended = ask(around, ASK, &asked).await?;
    if ended.code != Some(0) {
        if ended.stderr.contains("No such container") {
            return Ok(None);
        }
        return Err(refused(&asked, &ended));
    }
    let inspected: Inspected = serde_json::from_str(&ended.stdout).map_err(|error| {
        Unusable::NoDocker(format!("`docker container inspect` gave no JSON: {error}"))
    })?;
    Ok(Some(Found {
        running: inspected.state.running,
        status: inspected.state.status,
        image: inspected.config.image,
        managed: inspected
            .config
            .labels
            .is_some_and(|labels| labels.contains_key(LABEL)),
    }))
}

/// Runs docker; an exit code other than 0 is an error.
pub(crate) async fn docker(
    around: &Surroundings,
    deadline: Duration,
    args: &[&str],
) -> Result<Ended, Unusable> {
    let ended = ask(around, deadline, args).await?;
    if ended.code == Some(0) {
        return Ok(ended);
    }
    Err(refused(args, &ended))
}

/// Lets docker write the container's log to our standard output and error.
pub(crate) async fn show_logs(
    around: &Surroundings,
    lines: usize,
    follow: bool,
) -> Result<(), EngineError> {
    let command = CommandLine::new("docker", &["logs", "--tail"])
        .with([lines.to_string()])
        .with(follow.then_some("--follow"))
        .with([NAME]);
    let problem = match helper::show(&command, &around.settings).await {
        Ok(0) => return Ok(()),
        Ok(code) => format!("`{command}` ended with {code}"),
        Err(error) => format!("`{command}` {error}"),
    };
    Err(EngineError::Start {
        engine: NAME.to_owned(),
        problem,
        help: "run it by hand to see more".to_owned(),
    })
}

async fn ask(around: &Surroundings, deadline: Duration, args: &[&str]) -> Result<Ended, Unusable> {
    let command = CommandLine::new("docker", args);
    let run = Run {
        deadline,
        // What docker says while it pulls is worth showing.
        shown: matches!(args, ["pull" | "run", ..]),
        asks: args.contains(&"inspect"),
    };
    match helper::run(&command, run, around).await {
        Ok(ended) => Ok(ended),
        Err(HelperError::Missing) => {
            Err(Unusable::NoDocker("`docker` is not installed".to_owned()))
        }
        Err(error @ (HelperError::Deadline(_) | HelperError::System(_))) => {
            Err(Unusable::NoDocker(format!("`{command}` {error}")))
        }
    }
}

fn refused(args: &[&str], ended: &Ended) -> Unusable {
    if let Some(meaning) = docker_container::daemon(&ended.stderr) {
        return Unusable::NoDocker(meaning.what);
    }
    let last = ended.stderr.lines().last().unwrap_or("it said nothing");
    Unusable::Failed(EngineError::Start {
        engine: NAME.to_owned(),
        problem: format!("`docker {}` failed: {last}", args.join(" ")),
        help: format!("run it by hand to see more, or make a container `{NAME}` of your own"),
    })
}
