//! `nerdctl-container://NAME`: a buildkitd in a container of containerd (buildkit
//! `client/connhelper/nerdctlcontainer`).

use super::helper::CommandLine;
use super::stdio::{Meaning, no_buildctl, not_a_buildkitd};

/// `nerdctl exec [--namespace N] -i NAME buildctl dial-stdio`
pub(super) fn command_line(name: &str, namespace: Option<&str>) -> CommandLine {
    let command = CommandLine::new("nerdctl", &["exec"]);
    let command = match namespace {
        Some(namespace) => command.with(["--namespace", namespace]),
        None => command,
    };
    command.with(["-i", name, "buildctl", "dial-stdio"])
}

/// What nerdctl's words mean.
pub(super) fn meaning(name: &str, words: &str) -> Option<Meaning> {
    if words.contains("no such container") {
        return Some(Meaning::new(
            format!("there is no container `{name}`"),
            "see `nerdctl ps -a`; another namespace is `nerdctl-container://NAME?namespace=NAMESPACE`",
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
            command_line("b", None).to_string(),
            "nerdctl exec -i b buildctl dial-stdio"
        );
        assert_eq!(
            command_line("b", Some("k8s.io")).to_string(),
            "nerdctl exec --namespace k8s.io -i b buildctl dial-stdio"
        );
    }
}
