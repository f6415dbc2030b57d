//! The request, and what its status means.

use std::time::Duration;

use reqwest::{Response, StatusCode, header::RETRY_AFTER};
use tracing::debug;

use super::decode::{Answer, Broken, decode};
use super::url::{Credentials, QueryUrl};
use crate::trace::error::TraceError;
use crate::trace::model::TraceId;

/// The largest answer that is read, in bytes; some 30,000 spans of usual size. It is an error beyond.
const ANSWER_BYTES: usize = 64 << 20;

/// How often a redirect is followed. The library drops the credentials on the way to another host.
const REDIRECTS: usize = 5;

/// Asks one query API.
#[derive(Clone, Debug)]
pub struct JaegerClient {
    url: QueryUrl,
    http: reqwest::Client,
    request_timeout: Duration,
}

impl JaegerClient {
    /// A client for this API; one request may take `request_timeout`, its body included.
    ///
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub fn new(url: QueryUrl, request_timeout: Duration) -> Result<Self, TraceError> {
        let builder = || {
            reqwest::Client::builder()
                .timeout(request_timeout)
                .redirect(reqwest::redirect::Policy::limited(REDIRECTS))
                .user_agent(concat!("dagger/", env!("CARGO_PKG_VERSION")))
        };
        let http = builder().build().or_else(|error| {
            // A slim container without CA certificates can still ask over plain HTTP.
            if url.is_plain() {
                builder().tls_certs_only([]).build()
            } else {
                Err(error)
            }
        });
        let http = http.map_err(|source| TraceError::Client {
            url: url.to_string(),
            source,
        })?;
        Ok(Self {
            url,
            http,
            request_timeout,
        })
    }

    /// The API's address.
    pub fn url(&self) -> &QueryUrl {
        &self.url
    }

    /// The trace as it is stored now; `None` if it is not there (yet).
    ///
    /// # Errors
    /// When no answer came, or one that is not Jaeger's; [`TraceError::retry`] says whether another
    /// try makes sense.
    pub async fn trace(&self, id: TraceId) -> Result<Option<Answer>, TraceError> {
        let mut request = self.http.get(self.url.api(id));
        request = match self.url.credentials() {
            Some(Credentials::Basic { user, password }) => request.basic_auth(user, Some(password)),
            Some(Credentials::Bearer(token)) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.map_err(|error| self.failed(error))?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let body = self.body(response).await?;
        debug!(url = %self.url, status = status.as_u16(), bytes = body.len(), "answer of jaeger");
        let decoded = decode(&body, id);
        match (status, decoded) {
            (StatusCode::OK, Ok(Ok(answer))) => Ok(Some(answer)),
            (StatusCode::OK | StatusCode::NOT_FOUND, Ok(_)) => Ok(None),
            (StatusCode::OK, Err(Broken::NotJson(what))) => Err(TraceError::NotJaeger {
                url: self.url.to_string(),
                what: format!("{what} came"),
            }),
            (StatusCode::OK, Err(Broken::Json(problem))) => Err(TraceError::Garbled {
                url: self.url.to_string(),
                problem,
            }),
            (StatusCode::NOT_FOUND, Err(_)) => Err(TraceError::NoApi {
                url: self.url.to_string(),
            }),
            (status, decoded) => {
                let detail = decoded.ok().and_then(Result::err).unwrap_or_default();
                Err(self.refused(status, detail, retry_after))
            }
        }
    }

    fn refused(
        &self,
        status: StatusCode,
        detail: String,
        retry_after: Option<Duration>,
    ) -> TraceError {
        let url = self.url.to_string();
        let passing = status.is_server_error()
            || matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            );
        let status = status.as_u16();
        if passing {
            TraceError::Busy {
                url,
                status,
                detail,
                retry_after,
            }
        } else {
            TraceError::Refused {
                url,
                status,
                detail,
            }
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, TraceError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(error))? {
            if body.len().saturating_add(chunk.len()) > ANSWER_BYTES {
                return Err(TraceError::TooLarge {
                    url: self.url.to_string(),
                    limit_bytes: ANSWER_BYTES,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn failed(&self, error: reqwest::Error) -> TraceError {
        let url = self.url.to_string();
        // The library's message holds the URL it was at; a redirect may have put a secret into it.
        let source = error.without_url();
        if source.is_timeout() {
            TraceError::Timeout {
                url,
                limit: self.request_timeout,
            }
        } else if source.is_redirect() {
            TraceError::NotJaeger {
                url,
                what: "it redirects in circles".into(),
            }
        } else {
            TraceError::Unreachable { url, source }
        }
    }
}

/// `Retry-After` in seconds. Its other form, a date, is left to the usual interval.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
