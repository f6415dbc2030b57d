//! One place where spans go.

use std::fmt;

use reqwest::Url;

use crate::trace::report::Route;
use crate::trace::store::SpoolRoute;

/// One place where spans go.
#[derive(Clone, PartialEq, Eq)]
pub enum Destination {
    /// Jaeger's collector: thrift over HTTP.
    Collector {
        /// Without user-info.
        url: Url,
        /// Name and password for basic authentication.
        credentials: Option<(String, String)>,
    },
    /// An OTLP receiver over HTTP.
    Otlp {
        /// Without user-info.
        url: Url,
        /// Headers of each request; they may be secret.
        headers: Vec<(String, String)>,
        /// As JSON instead of protobuf?
        json: bool,
    },
    /// Jaeger's agent: compact thrift over UDP.
    Agent {
        /// Name or address; IPv6 without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collector { url, .. } | Self::Otlp { url, .. } => {
                // A query may hold a token.
                let mut shown = url.clone();
                shown.set_query(None);
                shown.set_fragment(None);
                shown.fmt(f)
            }
            Self::Agent { host, port } if host.contains(':') => write!(f, "udp://[{host}]:{port}"),
            Self::Agent { host, port } => write!(f, "udp://{host}:{port}"),
        }
    }
}

impl fmt::Debug for Destination {
    /// As it is displayed: never with credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Destination {
    /// As reports and the spool name it.
    pub fn route(&self) -> SpoolRoute {
        SpoolRoute {
            route: match self {
                Self::Collector { .. } => Route::Collector,
                Self::Otlp { .. } => Route::Otlp,
                Self::Agent { .. } => Route::Agent,
            },
            address: self.to_string(),
        }
    }

    /// The name or address of the machine.
    pub fn host(&self) -> &str {
        match self {
            Self::Collector { url, .. } | Self::Otlp { url, .. } => {
                url.host_str().unwrap_or_default()
            }
            Self::Agent { host, .. } => host,
        }
    }
}
