//! Where a server listens: an address, or all addresses that a name stands for.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use tokio::net::TcpListener;

use crate::cli::diagnostic::Failure;

/// `HOST:PORT`. `localhost` is loopback in both families: its users may try either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Where {
    text: String,
    found: Vec<SocketAddr>,
}

impl FromStr for Where {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let local = text.strip_prefix("localhost:").map(str::parse::<u16>);
        let found = match local {
            Some(Ok(port)) => vec![
                (Ipv4Addr::LOCALHOST, port).into(),
                (Ipv6Addr::LOCALHOST, port).into(),
            ],
            _ => text
                .to_socket_addrs()
                .map_err(|error| error.to_string())?
                .collect(),
        };
        if found.is_empty() {
            return Err("the name has no address".into());
        }
        Ok(Self {
            text: text.to_owned(),
            found,
        })
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What listens, and how to say where that is.
pub(super) struct Listening<T> {
    pub(super) each: Vec<T>,
    /// The first address.
    pub(super) at: SocketAddr,
    /// As the user has named it, with the real port.
    pub(super) name: String,
}

impl Where {
    /// Listens on each of its addresses that this machine has, on one port; `flag` is what chose it.
    pub(super) fn listen<T>(
        &self,
        flag: &str,
        mut one: impl FnMut(SocketAddr) -> io::Result<(T, SocketAddr)>,
    ) -> Result<Listening<T>, Failure> {
        let mut each = Vec::new();
        let mut first: Option<SocketAddr> = None;
        for at in &self.found {
            let mut at = *at;
            if let Some(first) = first {
                at.set_port(first.port());
            }
            match one(at) {
                Ok((listener, here)) => {
                    first.get_or_insert(here);
                    each.push(listener);
                }
                // A machine without IPv6 has no second loopback.
                Err(error) if !each.is_empty() && is_absent(&error) => {}
                Err(error) => return Err(refused(at, flag, &error)),
            }
        }
        let at = first.ok_or_else(|| Failure::Usage {
            message: format!("cannot listen on {self}: it has no address"),
            help: format!("choose another address with {flag}"),
        })?;
        let host = self.text.rsplit_once(':').map_or("", |(host, _)| host);
        Ok(Listening {
            each,
            at,
            name: format!("{host}:{}", at.port()),
        })
    }

    /// The same for TCP. Needs a running tokio runtime.
    pub(super) fn listen_tcp(&self, flag: &str) -> Result<Listening<TcpListener>, Failure> {
        self.listen(flag, |at| {
            let listener = std::net::TcpListener::bind(at)?;
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            let here = listener.local_addr()?;
            Ok((listener, here))
        })
    }
}

/// Has the machine no such address, or not that family at all?
fn is_absent(error: &io::Error) -> bool {
    let family = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(family)
}

fn refused(at: SocketAddr, flag: &str, error: &io::Error) -> Failure {
    let (why, help) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "another program listens there".to_owned(),
            format!(
                "is a Jaeger or another `dagger trace serve` running? End it, or choose another address \
                 with {flag}"
            ),
        ),
        io::ErrorKind::AddrNotAvailable => (
            "this machine has no such address".to_owned(),
            format!(
                "choose one of its own with {flag}, e.g. 127.0.0.1:{}",
                at.port()
            ),
        ),
        io::ErrorKind::PermissionDenied => (
            "ports below 1024 are the administrator's".to_owned(),
            format!("choose a higher port with {flag}"),
        ),
        _ => (
            error.to_string(),
            format!("choose another address with {flag}"),
        ),
    };
    Failure::Usage {
        message: format!("cannot listen on {at}: {why}"),
        help,
    }
}

/// What a browser on this machine asks when all addresses are listened on.
pub(super) fn loopback(at: SocketAddr) -> SocketAddr {
    if at.ip().is_unspecified() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, at.port()))
    } else {
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_loopback_in_both_families() {
        let both: Where = "localhost:14268".parse().unwrap();
        assert_eq!(both.found.len(), 2);
        assert!(
            both.found
                .iter()
                .all(|at| at.ip().is_loopback() && at.port() == 14_268)
        );
        let one: Where = "127.0.0.1:0".parse().unwrap();
        assert_eq!(one.found.len(), 1);
        for wrong in ["localhost", "localhost:x", ":80", "127.0.0.1"] {
            assert!(wrong.parse::<Where>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_machine_without_the_second_address_has_the_first() {
        let both: Where = "localhost:0".parse().unwrap();
        let mut asked = Vec::new();
        let listening = both
            .listen("--listen", |at| {
                asked.push(at);
                match at {
                    SocketAddr::V4(_) => Ok(((), SocketAddr::from((Ipv4Addr::LOCALHOST, 77)))),
                    SocketAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
                }
            })
            .unwrap();
        assert_eq!(
            (listening.each.len(), listening.name.as_str()),
            (1, "localhost:77")
        );
        assert_eq!(asked[1].port(), 77, "one port for both");
        let taken = both.listen("--listen", |_| {
            Err::<((), SocketAddr), _>(io::ErrorKind::AddrInUse.into())
        });
        assert!(taken.is_err());
    }
}
