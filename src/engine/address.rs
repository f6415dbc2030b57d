//! The grammar of `BUILDKIT_HOST`, and what holds when it is unset.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::EngineError;

/// Where buildkitd listens by default (`util/appdefaults`).
pub(super) const DEFAULT_SOCKET: &str = "/run/buildkit/buildkitd.sock";

/// Schemes that exist, but that this version does not speak.
const OTHER_SCHEMES: [&str; 7] = [
    "docker-container",
    "podman-container",
    "nerdctl-container",
    "kube-pod",
    "ssh",
    "docker",
    "npipe",
];

/// An engine's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `unix://PATH`: a socket on this machine.
    Unix(PathBuf),
    /// `tcp://HOST:PORT`, without TLS.
    Tcp {
        /// Name or address; IPv6 without brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

/// How an address came to be used: errors and the connect span say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    /// The variable `BUILDKIT_HOST`.
    Variable,
    /// A socket at the default place.
    DefaultSocket,
}

/// An address and how it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The address.
    pub address: Address,
    /// How it was chosen.
    pub by: ChosenBy,
}

impl Choice {
    /// The engine to use: what `BUILDKIT_HOST` names, else the default socket if there is one.
    ///
    /// # Errors
    /// When the variable is no address, names a scheme that is not spoken, or nothing was found.
    pub fn new(buildkit_host: Option<&str>) -> Result<Self, EngineError> {
        Self::with_default(buildkit_host, Path::new(DEFAULT_SOCKET))
    }

    fn with_default(buildkit_host: Option<&str>, socket: &Path) -> Result<Self, EngineError> {
        match buildkit_host.map(str::trim).filter(|host| !host.is_empty()) {
            Some(host) => Ok(Self {
                address: Address::parse(host)?,
                by: ChosenBy::Variable,
            }),
            // Only absence passes on: a socket that may not be used must be named, not passed over.
            None if socket.symlink_metadata().is_ok() => Ok(Self {
                address: Address::Unix(socket.to_owned()),
                by: ChosenBy::DefaultSocket,
            }),
            None => Err(EngineError::NoEngine {
                socket: socket.to_owned(),
            }),
        }
    }
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// [`EngineError::BadAddress`] or [`EngineError::Scheme`], with what to write instead.
    pub fn parse(text: &str) -> Result<Self, EngineError> {
        let bad = |problem: &str| EngineError::BadAddress {
            address: redacted(text),
            problem: problem.to_owned(),
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("has no scheme"))?;
        match scheme {
            "unix" if rest.is_empty() => Err(bad("names no socket")),
            "unix" if !rest.starts_with('/') => Err(bad("needs an absolute path")),
            "unix" => Ok(Self::Unix(rest.into())),
            "tcp" => {
                let rest = rest.strip_suffix('/').unwrap_or(rest);
                if rest.contains(['/', '@', '?', '#']) {
                    return Err(bad("may hold only a host and a port"));
                }
                let (host, port) = rest.rsplit_once(':').ok_or_else(|| bad("has no port"))?;
                let port = port.parse().ok().filter(|port| *port != 0);
                let port = port.ok_or_else(|| bad("needs a port from 1 to 65535"))?;
                let bare = host
                    .strip_prefix('[')
                    .and_then(|host| host.strip_suffix(']'));
                let host = bare.unwrap_or(host);
                if host.is_empty() {
                    return Err(bad("has no host"));
                }
                if bare.is_none() && host.contains(':') {
                    return Err(bad("needs brackets around an IPv6 address"));
                }
                Ok(Self::Tcp {
                    host: host.to_owned(),
                    port,
                })
            }
            other if OTHER_SCHEMES.contains(&other) => Err(EngineError::Scheme {
                scheme: other.to_owned(),
            }),
            other => Err(bad(&format!("has the unknown scheme `{other}`"))),
        }
    }
}

/// The address with any user-info struck out: it may hold a password.
fn redacted(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    match rest.split_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}"),
        None => text.to_owned(),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

impl fmt::Display for ChosenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variable => "BUILDKIT_HOST",
            Self::DefaultSocket => "the default place",
        })
    }
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
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn each_mistake_has_its_own_words() {
        insta::assert_snapshot!(
            ["", "localhost:1234", "unix://", "unix://run/b.sock", "tcp://localhost", "tcp://:1", "tcp://h:0",
             "tcp://::1:5", "tcp://h:1/x", "tcp://me:secret@h:1", "http://h:1", "docker-container://x"]
                .map(problem).join("\n"),
            @r"
        BUILDKIT_HOST `` has no scheme
        BUILDKIT_HOST `localhost:1234` has no scheme
        BUILDKIT_HOST `unix://` names no socket
        BUILDKIT_HOST `unix://run/b.sock` needs an absolute path
        BUILDKIT_HOST `tcp://localhost` has no port
        BUILDKIT_HOST `tcp://:1` has no host
        BUILDKIT_HOST `tcp://h:0` needs a port from 1 to 65535
        BUILDKIT_HOST `tcp://::1:5` needs brackets around an IPv6 address
        BUILDKIT_HOST `tcp://h:1/x` may hold only a host and a port
        BUILDKIT_HOST `tcp://***@h:1` may hold only a host and a port
        BUILDKIT_HOST `http://h:1` has the unknown scheme `http`
        BUILDKIT_HOST names a `docker-container://` engine, which this version cannot reach yet
        "
        );
    }

    #[test]
    fn unset_means_the_default_socket_if_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("b.sock");
        assert!(matches!(
            Choice::with_default(None, &socket),
            Err(EngineError::NoEngine { .. })
        ));
        std::fs::write(&socket, "").unwrap();
        let choice = Choice::with_default(Some("  "), &socket).unwrap();
        assert_eq!(
            choice,
            Choice {
                address: Address::Unix(socket),
                by: ChosenBy::DefaultSocket
            }
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = Address::parse(&text);
        }
    }
}
