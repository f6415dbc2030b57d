//! Engines behind a helper process: what each scheme runs, and what the helper's words mean.
//!
//! Lives here: the common part. One file a scheme says its command line and reads its errors.

use tracing::Span;

use super::address::Address;
use super::helper::{self, CommandLine, Ended, Helper, HelperError, Pipe};
use super::settings::EngineSettings;
use super::{docker_container, kube_pod, nerdctl_container, podman_container, ssh};

/// What a helper's last words mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// In plain words.
    pub(super) what: String,
    /// What to do next.
    pub(super) help: String,
    /// May it be different in a moment?
    pub(super) passing: bool,
}

impl Meaning {
    pub(super) fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            help: help.into(),
            passing: false,
        }
    }

    /// One that may be different in a moment.
    pub(super) fn passing(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            passing: true,
            ..Self::new(what, help)
        }
    }
}

/// The command line that carries a connection to `address`; `None` if it needs no helper.
pub(super) fn command_line(address: &Address) -> Option<CommandLine> {
    match address {
        Address::DockerContainer { name, context } => {
            Some(docker_container::command_line(name, context.as_deref()))
        }
        Address::PodmanContainer { name } => Some(podman_container::command_line(name)),
        Address::NerdctlContainer { name, namespace } => {
            Some(nerdctl_container::command_line(name, namespace.as_deref()))
        }
        Address::KubePod {
            pod,
            context,
            namespace,
            container,
        } => Some(kube_pod::command_line(
            pod,
            context.as_deref(),
            namespace.as_deref(),
            container.as_deref(),
        )),
        Address::Ssh {
            user,
            host,
            port,
            socket,
        } => Some(ssh::command_line(
            user.as_deref(),
            host,
            *port,
            socket.as_deref(),
        )),
        Address::Unix(_) | Address::Tcp { .. } | Address::Docker => None,
    }
}

/// Starts the helper.
pub(super) fn open(
    command: &CommandLine,
    settings: &EngineSettings,
    parent: &Span,
) -> Result<(Pipe, Helper), HelperError> {
    helper::open(command, settings, parent)
}

/// What it means that the helper ended.
pub(super) fn meaning(address: &Address, ended: &Ended) -> Meaning {
    let words = ended.stderr.as_str();
    let meaning = match address {
        Address::DockerContainer { name, .. } => docker_container::meaning(name, words),
        Address::PodmanContainer { name } => podman_container::meaning(name, words),
        Address::NerdctlContainer { name, .. } => nerdctl_container::meaning(name, words),
        Address::KubePod { pod, .. } => kube_pod::meaning(pod, words),
        Address::Ssh { host, .. } => ssh::meaning(host, words),
        Address::Unix(_) | Address::Tcp { .. } | Address::Docker => None,
    };
    meaning
        .or_else(|| dial_stdio(words))
        .or_else(|| not_found(address, ended))
        .unwrap_or_else(|| {
            Meaning::new(
                "the command that carries the connection ended",
                "run it by hand to see more",
            )
        })
}

/// Container tools end as a shell does when the program is not there, some without a word on standard
/// error.
fn not_found(address: &Address, ended: &Ended) -> Option<Meaning> {
    if !matches!(ended.code, Some(126 | 127)) {
        return None;
    }
    match address {
        Address::DockerContainer { name, .. }
        | Address::PodmanContainer { name }
        | Address::NerdctlContainer { name, .. } => Some(not_a_buildkitd("container", name)),
        Address::KubePod { pod, .. } => Some(not_a_buildkitd("pod", pod)),
        Address::Ssh { .. } | Address::Unix(_) | Address::Tcp { .. } | Address::Docker => None,
    }
}

/// What `buildctl dial-stdio` says when it runs, but the daemon does not answer it.
fn dial_stdio(words: &str) -> Option<Meaning> {
    let silent = [
        "connection refused",
        "no such file or directory",
        "could not connect",
    ];
    (words.contains("buildkitd.sock") && silent.iter().any(|silent| words.contains(silent))).then(
        || {
            Meaning::passing(
                "there is a buildctl, but its buildkitd does not answer",
                "see whether buildkitd runs there; it may just be starting",
            )
        },
    )
}

/// The words of a container tool whose exec found no buildctl.
pub(super) fn no_buildctl(words: &str) -> bool {
    let words = words.to_lowercase();
    words.contains("buildctl")
        && [
            "executable file not found",
            "no such file or directory",
            "not found",
        ]
        .iter()
        .any(|missing| words.contains(missing))
        && !words.contains("buildkitd.sock")
}

/// What to call a container that has no buildctl.
pub(super) fn not_a_buildkitd(what: &str, name: &str) -> Meaning {
    Meaning::new(
        format!("the {what} `{name}` is no buildkitd: it has no buildctl"),
        "name one that runs the image moby/buildkit",
    )
}
