//! Why a trace could not be read.

use std::time::Duration;

use thiserror::Error;

/// Why a trace could not be read.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The address of the query API cannot be read.
    #[error("the Jaeger URL `{url}` {problem}")]
    Url {
        /// What was given, without credentials.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No HTTP client can be made on this machine.
    #[error("cannot set up an HTTP client for `{url}`")]
    Client {
        /// The query API.
        url: String,
        /// What the library said.
        source: reqwest::Error,
    },
    /// What was named as certificates of authorities is none.
    #[error("the certificates `{file}` cannot be used: {problem}")]
    Authorities {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No trace of the service.
    #[error("Jaeger at `{url}` has no trace of `{service}` of the last two days")]
    NoneOf {
        /// The query API.
        url: String,
        /// The service.
        service: String,
    },
    /// No connection, or it broke.
    #[error("cannot reach Jaeger at `{url}`")]
    Unreachable {
        /// The query API.
        url: String,
        /// What the library said.
        source: reqwest::Error,
    },
    /// One request took too long.
    #[error("no answer from Jaeger at `{url}` within {} s", limit.as_secs_f64())]
    Timeout {
        /// The query API.
        url: String,
        /// The limit of one request.
        limit: Duration,
    },
    /// Refused for good.
    #[error("Jaeger at `{url}` refused with status {status}{}", said(detail))]
    Refused {
        /// The query API.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Jaeger's own words; may be empty.
        detail: String,
    },
    /// Refused for now.
    #[error("Jaeger at `{url}` is not ready: status {status}{}", said(detail))]
    Busy {
        /// The query API.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Jaeger's own words; may be empty.
        detail: String,
        /// When it asked to be tried again.
        retry_after: Option<Duration>,
    },
    /// A 404 that is not Jaeger's.
    #[error("`{url}` has no trace API: 404 without Jaeger's answer in it")]
    NoApi {
        /// The query API.
        url: String,
    },
    /// Something else than JSON.
    #[error("`{url}` does not answer as Jaeger's API: {what}")]
    NotJaeger {
        /// The query API.
        url: String,
        /// What came instead.
        what: String,
    },
    /// JSON that ends too early, is nested too deeply, or is not an answer.
    #[error("the answer of Jaeger at `{url}` cannot be read: {problem}")]
    Garbled {
        /// The query API.
        url: String,
        /// Where it stopped making sense.
        problem: String,
    },
    /// An answer over the limit.
    #[error("the answer of Jaeger at `{url}` is larger than {} MiB", limit_bytes >> 20)]
    TooLarge {
        /// The query API.
        url: String,
        /// The limit.
        limit_bytes: usize,
    },
}

/// Is it worth asking again?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No: the same answer would come.
    Never,
    /// Yes, not before this time if one was asked for.
    After(Option<Duration>),
}

impl TraceError {
    /// Is it worth asking again?
    pub fn retry(&self) -> Retry {
        match self {
            Self::Url { .. }
            | Self::Client { .. }
            | Self::Authorities { .. }
            | Self::NoneOf { .. }
            | Self::Refused { .. }
            | Self::NotJaeger { .. }
            | Self::TooLarge { .. } => Retry::Never,
            // A proxy says 404 until the service behind it is up.
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::NoApi { .. }
            | Self::Garbled { .. } => Retry::After(None),
            Self::Busy { retry_after, .. } => Retry::After(*retry_after),
        }
    }

    /// What to do next.
    pub fn help(&self) -> String {
        match self {
            Self::Url { .. } => {
                "write it as `http://HOST:16686`, or paste the address of Jaeger's \
                                 page; set it with --jaeger-url or JAEGER_QUERY_URL"
                    .into()
            }
            Self::Client { .. } => "install the system's CA certificates (ca-certificates)".into(),
            Self::Authorities { .. } => {
                "give --query-ca or JAEGER_QUERY_CA a file with `-----BEGIN CERTIFICATE-----`"
                    .into()
            }
            Self::NoneOf { .. } => {
                "see the services that Jaeger knows, and whether the build exported to it".into()
            }
            Self::Unreachable { url, .. } | Self::Timeout { url, .. } => format!(
                "see whether Jaeger's query service runs there: curl {url}/api/services; \
                 another address goes into --jaeger-url or JAEGER_QUERY_URL"
            ),
            Self::Refused {
                status: 401 | 403, ..
            } => "give the credentials in the URL: http://USER:PASSWORD@HOST or \
                  http://bearer:TOKEN@HOST"
                .into(),
            Self::Refused { .. } | Self::Busy { .. } | Self::Garbled { .. } => {
                "see the log of Jaeger's query service, and of a proxy before it".into()
            }
            Self::NoApi { .. } | Self::NotJaeger { .. } => {
                "see whether the URL names Jaeger's query port (16686) and its base path, \
                 e.g. http://HOST/jaeger"
                    .into()
            }
            Self::TooLarge { .. } => {
                "a trace of this size cannot be verified; see what makes so many spans".into()
            }
        }
    }

    /// Is it what the user wrote, rather than the state of the world?
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Url { .. } | Self::Authorities { .. })
    }
}

fn said(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(" ({detail})")
    }
}
