//! The request, and what its status means.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::{Certificate, Response, StatusCode, Url, header::RETRY_AFTER};
use tracing::debug;

use super::decode::{Answer, Broken, begins, decode};
use super::url::{Credentials, QueryUrl, Sought};
use super::v3::{begins_v3, decode_v3};
use crate::trace::error::TraceError;
use crate::trace::model::TraceId;

/// The largest answer that is read, in bytes; some 250,000 spans of usual size. It is an error beyond.
const ANSWER_BYTES: usize = 512 << 20;

/// How far back the last trace of a service is looked for, as Jaeger itself does.
const SEARCHED_BACK: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Traces that one search may bring, to find the last of them: not every Jaeger sorts them.
const SEARCHED: u32 = 20;

/// How far ahead the clock of another machine may be, for a search.
const AHEAD: Duration = Duration::from_secs(60 * 60);

/// What a body holds; the inner error is Jaeger's own words.
type Decoded<T> = Result<Result<T, String>, Broken>;

/// How often a redirect is followed. The library drops the credentials on the way to another host.
const REDIRECTS: usize = 5;

/// Asks one query API.
#[derive(Clone, Debug)]
pub struct JaegerClient {
    url: QueryUrl,
    http: reqwest::Client,
    request_timeout: Duration,
    /// The largest answer that is read.
    answer_bytes: usize,
    /// Was it seen that the old routes are gone?
    only_v3: Arc<AtomicBool>,
}

impl JaegerClient {
    /// A client for this API; one request may take `request_timeout`, its body included.
    ///
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub fn new(url: QueryUrl, request_timeout: Duration) -> Result<Self, TraceError> {
        Self::trusting(url, request_timeout, Vec::new())
    }

    /// The same, that trusts also these certificates of authorities.
    ///
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub fn trusting(
        url: QueryUrl,
        request_timeout: Duration,
        authorities: Vec<Certificate>,
    ) -> Result<Self, TraceError> {
        let builder = || {
            let builder = reqwest::Client::builder()
                .timeout(request_timeout)
                .redirect(reqwest::redirect::Policy::limited(REDIRECTS))
                .user_agent(concat!("dagger/", env!("CARGO_PKG_VERSION")));
            if authorities.is_empty() {
                builder
            } else {
                builder.tls_certs_merge(authorities.iter().cloned())
            }
        };
        let http = builder().build().or_else(|error| {
            // A slim container without CA certificates can still ask over plain HTTP.
            if url.is_plain() || !authorities.is_empty() {
                builder().tls_certs_only(authorities.clone()).build()
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
            answer_bytes: ANSWER_BYTES,
            only_v3: Arc::default(),
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
        let old = |body: &[u8]| decode(body, id);
        let new = |body: &[u8]| decode_v3(body, id);
        self.either((self.url.api(id), old), (self.url.api_v3(id), new))
            .await
    }

    /// The id of the last trace of a service, of the last two days; `None` if there is none.
    ///
    /// # Errors
    /// As for [`trace`](Self::trace).
    pub async fn latest(
        &self,
        service: &str,
        now: SystemTime,
    ) -> Result<Option<TraceId>, TraceError> {
        let time = |at: SystemTime| Timestamp::try_from(at).unwrap_or_default();
        let from = now.checked_sub(SEARCHED_BACK).unwrap_or(now);
        // Spans of another machine may lie a little in the future.
        let to = now.checked_add(AHEAD).unwrap_or(now);
        let sought = Sought {
            service,
            operation: None,
            from: time(from),
            to: time(to),
            limit: SEARCHED,
        };
        Ok(self.search(&sought).await?.into_iter().next())
    }

    /// The ids of traces, the last to begin first.
    ///
    /// # Errors
    /// As for [`trace`](Self::trace).
    pub async fn search(&self, sought: &Sought<'_>) -> Result<Vec<TraceId>, TraceError> {
        let (old, new) = (self.url.search(sought), self.url.search_v3(sought));
        let found = self.either((old, begins), (new, begins_v3)).await?;
        let mut found = found.unwrap_or_default();
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    /// Asks the old route and, where there is none, the new one. A Jaeger that was seen to have only the
    /// new one is not asked for the old one again.
    async fn either<T>(
        &self,
        (old, decode_old): (Url, impl Fn(&[u8]) -> Decoded<T>),
        (new, decode_new): (Url, impl Fn(&[u8]) -> Decoded<T>),
    ) -> Result<Option<T>, TraceError> {
        if !self.only_v3.load(Ordering::Relaxed) {
            let asked = self.ask(old, decode_old).await;
            let missing = match &asked {
                Err(TraceError::NoApi { .. } | TraceError::NotJaeger { .. }) => true,
                Err(TraceError::Refused { status, .. }) => matches!(status, 405 | 410),
                _ => false,
            };
            if !missing {
                return asked;
            }
            let newer = self.ask(new, decode_new).await;
            // What was wrong with the route that all should have says more.
            return match newer {
                Ok(found) => {
                    self.only_v3.store(true, Ordering::Relaxed);
                    Ok(found)
                }
                Err(_) => asked,
            };
        }
        self.ask(new, decode_new).await
    }

    async fn ask<T>(
        &self,
        url: Url,
        decode: impl Fn(&[u8]) -> Decoded<T>,
    ) -> Result<Option<T>, TraceError> {
        let mut request = self.http.get(url);
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
        let decoded = decode(&body);
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
            if body.len().saturating_add(chunk.len()) > self.answer_bytes {
                return Err(TraceError::TooLarge {
                    url: self.url.to_string(),
                    limit_bytes: self.answer_bytes,
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
