//! `kube-pod://POD`: a buildkitd in a pod, through kubectl (buildkit `client/connhelper/kubepod`).

use super::helper::CommandLine;
use super::stdio::{Meaning, no_buildctl, not_a_buildkitd};

/// `kubectl --context=C --namespace=N exec --container=K -i POD -- buildctl dial-stdio`; an empty
/// setting is kubectl's own default.
pub(super) fn command_line(
    pod: &str,
    context: Option<&str>,
    namespace: Option<&str>,
    container: Option<&str>,
) -> CommandLine {
    let flag = |name: &str, value: Option<&str>| format!("--{name}={}", value.unwrap_or_default());
    CommandLine::new("kubectl", &[]).with([
        flag("context", context),
        flag("namespace", namespace),
        "exec".to_owned(),
        flag("container", container),
        "-i".to_owned(),
        pod.to_owned(),
        "--".to_owned(),
        "buildctl".to_owned(),
        "dial-stdio".to_owned(),
    ])
}

/// What kubectl's words mean.
pub(super) fn meaning(pod: &str, words: &str) -> Option<Meaning> {
    if words.contains("NotFound") && words.contains("pods") {
        return Some(Meaning::new(
            format!("there is no pod `{pod}`"),
            "see `kubectl get pods`; another namespace is `kube-pod://POD?namespace=NAMESPACE`",
        ));
    }
    if words.contains("connection to the server") || words.contains("Unable to connect") {
        return Some(Meaning::new(
            "the cluster does not answer",
            "see `kubectl cluster-info`; another cluster is `kube-pod://POD?context=CONTEXT`",
        ));
    }
    if words.contains("Forbidden") || words.contains("forbidden") {
        return Some(Meaning::new(
            format!("this user may not run commands in the pod `{pod}`"),
            "ask for the verb `create` on `pods/exec` in its namespace",
        ));
    }
    no_buildctl(words).then(|| not_a_buildkitd("pod", pod))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_that_of_buildkit() {
        assert_eq!(
            command_line("b", None, None, None).to_string(),
            "kubectl --context= --namespace= exec --container= -i b -- buildctl dial-stdio"
        );
        assert_eq!(
            command_line("b-0", Some("c"), Some("n"), Some("k")).to_string(),
            "kubectl --context=c --namespace=n exec --container=k -i b-0 -- buildctl dial-stdio"
        );
    }
}
