//! `ssh://[USER@]HOST[:PORT][/SOCKET]`: a buildkitd on another machine, through ssh (buildkit
//! `client/connhelper/ssh`).

use super::helper::CommandLine;
use super::stdio::Meaning;

/// `ssh -o BatchMode=yes [-l USER] [-p PORT] -- HOST buildctl [--addr unix://SOCKET] dial-stdio`
///
/// In batch mode ssh says what is missing instead of asking: a build has nobody to ask.
pub(super) fn command_line(
    user: Option<&str>,
    host: &str,
    port: Option<u16>,
    socket: Option<&str>,
) -> CommandLine {
    let mut command = CommandLine::new("ssh", &["-o", "BatchMode=yes"]);
    if let Some(user) = user {
        command = command.with(["-l", user]);
    }
    if let Some(port) = port {
        command = command.with(["-p".to_owned(), port.to_string()]);
    }
    command = command.with(["--", host, "buildctl"]);
    if let Some(socket) = socket {
        command = command.with(["--addr".to_owned(), quoted(&format!("unix://{socket}"))]);
    }
    command.with(["dial-stdio"])
}

/// An argument as the shell on the other side has to read it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:@,+%".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// What the words of ssh, or of the shell on the other side, mean.
pub(super) fn meaning(host: &str, words: &str) -> Option<Meaning> {
    if words.contains("buildctl") && words.contains("not found") {
        return Some(Meaning::new(
            format!("`{host}` has no buildctl on its PATH"),
            "install BuildKit there; ssh needs buildctl to reach its daemon",
        ));
    }
    if words.contains("permission denied") && words.contains("buildkitd.sock") {
        return Some(Meaning::new(
            format!("the user on `{host}` may not use its buildkitd"),
            "start buildkitd there with `--group` set to a group of that user",
        ));
    }
    login(words)
}

/// What ssh's own words mean.
pub(super) fn login(words: &str) -> Option<Meaning> {
    let meaning = if words.contains("Host key verification failed") {
        Meaning::new(
            "ssh does not know that host's key",
            "log in once by hand and compare the key that it shows",
        )
    } else if words.contains("Permission denied (") {
        Meaning::new(
            "ssh could not log in",
            "it must work without a question: put your key into the ssh agent, and its public part into ~/.ssh/authorized_keys there",
        )
    } else if words.contains("Could not resolve hostname") {
        Meaning::new(
            "ssh cannot resolve that host's name",
            "see whether the name is right, here and in ~/.ssh/config",
        )
    } else if words.contains("ssh: connect to host") {
        Meaning::new(
            "ssh cannot reach that host",
            "see whether its sshd runs, on that port, and can be reached from here",
        )
    } else {
        return None;
    };
    Some(meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_that_of_buildkit_in_batch_mode() {
        assert_eq!(
            command_line(None, "host", None, None).to_string(),
            "ssh -o BatchMode=yes -- host buildctl dial-stdio"
        );
        assert_eq!(
            command_line(Some("me"), "host", Some(22), Some("/run/b.sock")).to_string(),
            "ssh -o BatchMode=yes -l me -p 22 -- host buildctl --addr unix:///run/b.sock dial-stdio"
        );
        assert_eq!(quoted("unix:///a b"), "'unix:///a b'");
    }

    #[test]
    fn each_of_sshs_complaints_has_its_own_words() {
        let complaints = [
            "bash: line 1: buildctl: command not found",
            "sh: 1: buildctl: not found",
            "Host key verification failed.",
            "me@host: Permission denied (publickey).",
            "ssh: Could not resolve hostname host: Name or service not known",
            "ssh: connect to host host port 22: Connection refused",
        ];
        let meanings = complaints.map(|words| meaning("host", words).unwrap().what);
        insta::assert_snapshot!(meanings.join("\n"));
    }
}
