//! The grammar of `BUILDKIT_HOST`. Elsewhere: what holds when it is unset (`choose`).

use std::fmt;
use std::path::PathBuf;

use super::error::EngineError;

/// An engine's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `unix://PATH`: a socket on this machine.
    Unix(PathBuf),
    /// `tcp://HOST:PORT`, with TLS if there are settings for it.
    Tcp {
        /// Name or address; IPv6 without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// `docker-container://NAME?context=NAME`
    DockerContainer {
        /// The container's name or id.
        name: String,
        /// The docker context to use instead of the current one.
        context: Option<String>,
    },
    /// `podman-container://NAME`
    PodmanContainer {
        /// The container's name or id.
        name: String,
    },
    /// `nerdctl-container://NAME?namespace=NAME`
    NerdctlContainer {
        /// The container's name or id.
        name: String,
        /// The containerd namespace.
        namespace: Option<String>,
    },
    /// `kube-pod://POD?context=NAME&namespace=NAME&container=NAME`
    KubePod {
        /// The pod's name.
        pod: String,
        /// The kubectl context.
        context: Option<String>,
        /// The pod's namespace.
        namespace: Option<String>,
        /// The container in the pod.
        container: Option<String>,
    },
    /// `ssh://[USER@]HOST[:PORT][/SOCKET]`
    Ssh {
        /// The user to log in as.
        user: Option<String>,
        /// The host, as ssh understands it.
        host: String,
        /// The port.
        port: Option<u16>,
        /// The daemon's socket on that host, if it is not at the default place.
        socket: Option<String>,
    },
    /// `docker://`: the BuildKit inside of the Docker daemon.
    Docker,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// [`EngineError::BadAddress`], with what to write instead.
    pub fn parse(text: &str) -> Result<Self, EngineError> {
        let bad = |problem: String| EngineError::BadAddress {
            address: redacted(text),
            problem,
        };
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| bad("has no scheme".into()))?;
        let parsed = match scheme {
            "unix" => unix(rest),
            "tcp" => tcp(rest),
            "ssh" => ssh(rest),
            "docker-container" | "podman-container" | "nerdctl-container" | "kube-pod" => {
                named(scheme, rest)
            }
            "docker" if rest.is_empty() => Ok(Self::Docker),
            "docker" => Err("takes nothing after `docker://`; DOCKER_HOST says where".into()),
            "npipe" => Err("is a named pipe, which only Windows has".into()),
            other => Err(format!("has the unknown scheme `{other}`")),
        };
        parsed.map_err(bad)
    }

    /// The scheme, as it is written.
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Unix(_) => "unix",
            Self::Tcp { .. } => "tcp",
            Self::DockerContainer { .. } => "docker-container",
            Self::PodmanContainer { .. } => "podman-container",
            Self::NerdctlContainer { .. } => "nerdctl-container",
            Self::KubePod { .. } => "kube-pod",
            Self::Ssh { .. } => "ssh",
            Self::Docker => "docker",
        }
    }
}

fn unix(rest: &str) -> Result<Address, String> {
    match rest {
        "" => Err("names no socket".into()),
        _ if !rest.starts_with('/') => Err("needs an absolute path".into()),
        _ => Ok(Address::Unix(rest.into())),
    }
}

fn tcp(rest: &str) -> Result<Address, String> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '@', '?', '#']) {
        return Err("may hold only a host and a port".into());
    }
    let (host, port) = host_and_port(rest)?;
    let port = port.ok_or("has no port")?;
    Ok(Address::Tcp { host, port })
}

fn ssh(rest: &str) -> Result<Address, String> {
    if rest.contains(['?', '#']) {
        return Err("may hold only a user, a host, a port and a socket".into());
    }
    let (login, socket) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (user, place) = match login.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => {
            return Err("may not hold a password: ssh logs in with keys".into());
        }
        Some((user, place)) => (Some(user), place),
        None => (None, login),
    };
    let (host, port) = host_and_port(place)?;
    let plain = |text: &str| !text.is_empty() && !text.starts_with('-');
    if !plain(&host) || user.is_some_and(|user| !plain(user)) {
        return Err("has a user or a host that ssh would take for an option".into());
    }
    Ok(Address::Ssh {
        user: user.map(str::to_owned),
        host,
        port,
        socket: (socket.len() > 1).then(|| socket.to_owned()),
    })
}

/// A host, and the port if there is one.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.rsplit_once(':') {
        // The last colon of a bare `[::1]` is inside of it.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = match port {
        Some(port) => {
            let number = port.parse().ok().filter(|port| *port != 0);
            Some(number.ok_or("needs a port from 1 to 65535")?)
        }
        None => None,
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(host) => host,
        None if host.contains(':') => return Err("needs brackets around an IPv6 address".into()),
        None => host,
    };
    if host.is_empty() {
        return Err("has no host".into());
    }
    if host.contains(['[', ']']) {
        return Err("has brackets that are not around an IPv6 address".into());
    }
    Ok((host.to_owned(), port))
}

/// An address that names a container or pod, with settings after a `?`.
fn named(scheme: &str, rest: &str) -> Result<Address, String> {
    let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
    let name = name.strip_suffix('/').unwrap_or(name);
    let kind = if scheme == "kube-pod" {
        "pod"
    } else {
        "container"
    };
    let name = checked(name).map_err(|problem| format!("{problem} as the {kind}'s name"))?;
    let allowed: &[&str] = match scheme {
        "docker-container" => &["context"],
        "nerdctl-container" => &["namespace"],
        "kube-pod" => &["context", "namespace", "container"],
        _ => &[],
    };
    let mut settings = std::collections::BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !allowed.contains(&key) {
            return Err(match allowed {
                [] => format!("has `{key}` after the `?`, but knows no settings"),
                _ => format!(
                    "has `{key}` after the `?`, but knows only {}",
                    allowed.join(", ")
                ),
            });
        }
        let value = checked(value).map_err(|problem| format!("{problem} as {key}"))?;
        if settings.insert(key, value).is_some() {
            return Err(format!("has `{key}` twice"));
        }
    }
    let mut take = |key| settings.remove(key);
    Ok(match scheme {
        "docker-container" => Address::DockerContainer {
            name,
            context: take("context"),
        },
        "podman-container" => Address::PodmanContainer { name },
        "nerdctl-container" => Address::NerdctlContainer {
            name,
            namespace: take("namespace"),
        },
        _ => Address::KubePod {
            pod: name,
            context: take("context"),
            namespace: take("namespace"),
            container: take("container"),
        },
    })
}

/// A name that no tool takes for an option or a path.
fn checked(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':' | '@');
    match name.chars().next() {
        None => Err("has nothing".into()),
        Some(first) if first.is_ascii_alphanumeric() && name.chars().all(plain) => {
            Ok(name.to_owned())
        }
        Some(_) => Err(format!("cannot have `{name}`")),
    }
}

/// The address with any user-info struck out: it may hold a password.
fn redacted(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}"),
        None => text.to_owned(),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = |host: &str| {
            if host.contains(':') {
                format!("[{host}]")
            } else {
                host.to_owned()
            }
        };
        write!(f, "{}://", self.scheme())?;
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp { host, port } => write!(f, "{}:{port}", bracketed(host)),
            Self::DockerContainer { name, context } => {
                f.write_str(name)?;
                query(f, &[("context", context)])
            }
            Self::PodmanContainer { name } => f.write_str(name),
            Self::NerdctlContainer { name, namespace } => {
                f.write_str(name)?;
                query(f, &[("namespace", namespace)])
            }
            Self::KubePod {
                pod,
                context,
                namespace,
                container,
            } => {
                f.write_str(pod)?;
                query(
                    f,
                    &[
                        ("context", context),
                        ("namespace", namespace),
                        ("container", container),
                    ],
                )
            }
            Self::Ssh {
                user,
                host,
                port,
                socket,
            } => {
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&bracketed(host))?;
                if let Some(port) = port {
                    write!(f, ":{port}")?;
                }
                f.write_str(socket.as_deref().unwrap_or_default())
            }
            Self::Docker => Ok(()),
        }
    }
}

fn query(f: &mut fmt::Formatter<'_>, settings: &[(&str, &Option<String>)]) -> fmt::Result {
    let mut mark = '?';
    for (key, value) in settings {
        if let Some(value) = value {
            write!(f, "{mark}{key}={value}")?;
            mark = '&';
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Address::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn addresses_print_as_they_were_written() {
        for text in [
            "unix:///run/b.sock",
            "tcp://localhost:1234",
            "tcp://[::1]:1234",
            "docker-container://super-buildkit",
            "docker-container://b?context=far",
            "podman-container://b",
            "nerdctl-container://b?namespace=k8s.io",
            "kube-pod://b-0?context=c&namespace=n&container=k",
            "ssh://host",
            "ssh://me@host:22/run/b.sock",
            "ssh://[::1]:22",
            "docker://",
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn each_mistake_has_its_own_words() {
        let mistakes = [
            "",
            "localhost:1234",
            "unix://",
            "unix://run/b.sock",
            "tcp://localhost",
            "tcp://:1",
            "tcp://h:0",
            "tcp://::1:5",
            "tcp://h:1/x",
            "tcp://me:secret@h:1",
            "http://h:1",
            "npipe:////./pipe/buildkitd",
            "docker://host",
            "docker-container://",
            "docker-container://--privileged",
            "docker-container://b?namespace=x",
            "docker-container://b?context=-H",
            "podman-container://b?context=x",
            "kube-pod://p?namespace=a&namespace=b",
            "ssh://me:secret@host",
            "ssh://-oProxyCommand=x",
            "ssh://host?x",
            "ssh://host:x",
            "ssh://[[]]",
            "tcp://a]:1",
        ];
        insta::assert_snapshot!(mistakes.map(problem).join("\n"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = Address::parse(&text);
        }

        #[test]
        fn what_is_printed_reads_back(text in "(unix|tcp|ssh|docker-container|kube-pod)://[-a-z:/@?=.\\[\\]0-9]{0,20}") {
            if let Ok(address) = Address::parse(&text) {
                proptest::prop_assert_eq!(Address::parse(&address.to_string()).unwrap(), address);
            }
        }
    }
}
