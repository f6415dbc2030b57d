//! `docker-container://NAME`: a buildkitd in a container, through the docker command line.
//!
//! The command line and not Docker's API, so that DOCKER_HOST (`ssh://` included), DOCKER_CONTEXT,
//! DOCKER_CONFIG and plugins act as users expect (buildkit `client/connhelper/dockercontainer`).

use super::helper::CommandLine;
use super::stdio::{Meaning, no_buildctl, not_a_buildkitd};

/// `docker [--context=C] exec -i NAME buildctl dial-stdio`
pub(super) fn command_line(name: &str, context: Option<&str>) -> CommandLine {
    CommandLine::new("docker", &[])
        .with(context.map(|context| format!("--context={context}")))
        .with(["exec", "-i", name, "buildctl", "dial-stdio"])
}

/// What docker's words mean.
pub(super) fn meaning(name: &str, words: &str) -> Option<Meaning> {
    if words.contains("No such container") {
        return Some(Meaning::new(
            format!("there is no container `{name}`"),
            format!(
                "make one: docker run -d --name {name} --privileged --network=host docker.io/moby/buildkit:latest"
            ),
        ));
    }
    if words.contains("is restarting") {
        return Some(Meaning::passing(
            format!("the container `{name}` restarts again and again"),
            format!("see why: docker logs {name}"),
        ));
    }
    if words.contains("is paused") {
        return Some(Meaning::new(
            format!("the container `{name}` is paused"),
            format!("let it go on: docker unpause {name}"),
        ));
    }
    if words.contains("is not running") {
        return Some(Meaning::new(
            format!("the container `{name}` is stopped"),
            format!("start it: docker start {name}"),
        ));
    }
    if no_buildctl(words) {
        return Some(not_a_buildkitd("container", name));
    }
    daemon(words)
}

/// What docker's words mean when they are about its daemon, whatever was asked.
pub(super) fn daemon(words: &str) -> Option<Meaning> {
    if words.contains("permission denied") && words.contains("docker.sock") {
        return Some(Meaning::new(
            "this user may not use the Docker daemon",
            "join its group with `sudo usermod -aG docker $USER` and log in again",
        ));
    }
    // With DOCKER_HOST=ssh:// docker passes on what ssh said.
    if let Some(meaning) = super::ssh::login(words) {
        return Some(meaning);
    }
    if words.contains("Cannot connect to the Docker daemon")
        || words.contains("failed to connect to the docker API")
        || words.contains("error during connect")
        || words.contains("the docker daemon running")
    {
        return Some(Meaning::new(
            "the Docker daemon does not answer",
            "start it (`sudo systemctl start docker`), or see whether DOCKER_HOST and DOCKER_CONTEXT are right",
        ));
    }
    if words.contains("context")
        && (words.contains("not found") || words.contains("does not exist"))
    {
        return Some(Meaning::new(
            "docker has no such context",
            "see `docker context ls`",
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_that_of_buildkit() {
        assert_eq!(
            command_line("b", None).to_string(),
            "docker exec -i b buildctl dial-stdio"
        );
        assert_eq!(
            command_line("b", Some("far")).to_string(),
            "docker --context=far exec -i b buildctl dial-stdio"
        );
    }

    #[test]
    fn each_of_dockers_complaints_has_its_own_words() {
        // As Docker 20.10, 26 and 28 print them.
        let complaints = [
            "Error: No such container: b",
            "Error response from daemon: No such container: b",
            "Error response from daemon: Container 0123 is not running",
            "Error response from daemon: container 0123 is not running",
            "Error response from daemon: Container b is paused, unpause the container before exec",
            "Error response from daemon: Container 0123 is restarting, wait until the container is running",
            "OCI runtime exec failed: exec failed: unable to start container process: exec: \"buildctl\": executable file not found in $PATH: unknown",
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
            "failed to connect to the docker API at unix:///nowhere.sock; check if the path is correct",
        ];
        let meanings = complaints.map(|words| meaning("b", words).unwrap().what);
        insta::assert_snapshot!(meanings.join("\n"));
    }
}
