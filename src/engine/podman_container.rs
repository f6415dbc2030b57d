//! `podman-container://NAME`: a buildkitd in a container of podman (buildkit
//! `client/connhelper/podmancontainer`).

use super::helper::CommandLine;
use super::stdio::{Meaning, no_buildctl, not_a_buildkitd};

/// `podman exec -i NAME buildctl dial-stdio`
pub(super) fn command_line(name: &str) -> CommandLine {
    CommandLine::new("podman", &["exec", "-i", name, "buildctl", "dial-stdio"])
}

/// What podman's words mean.
pub(super) fn meaning(name: &str, words: &str) -> Option<Meaning> {
    if words.contains("no container with name or ID") || words.contains("no such container") {
        return Some(Meaning::new(
            format!("there is no container `{name}`"),
            format!(
                "make one: podman run -d --name {name} --privileged docker.io/moby/buildkit:latest"
            ),
        ));
    }
    if words.contains("container state improper") {
        return Some(Meaning::new(
            format!("the container `{name}` is stopped"),
            format!("start it: podman start {name}"),
        ));
    }
    no_buildctl(words).then(|| not_a_buildkitd("container", name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_that_of_buildkit() {
        assert_eq!(
            command_line("b").to_string(),
            "podman exec -i b buildctl dial-stdio"
        );
    }
}
