//! Posting a batch over HTTP: one request, its deadline, and a refusal in plain words.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{RequestBuilder, Url, redirect};

use super::exporter::ExportError;

/// One request may take this long. The deadline at the end of the run is held by the pipeline.
const REQUEST: Duration = Duration::from_secs(5);

/// Bytes of an error's body that are shown.
const SHOWN_BYTES: usize = 200;

/// The host that spans go to.
#[derive(Debug)]
pub(super) struct Poster {
    url: Url,
    /// What a receiver's address looks like, for an answer that no receiver gives.
    looks_like: &'static str,
    http: reqwest::Client,
}

impl Poster {
    /// Nothing is sent yet.
    pub(super) fn new(url: Url, looks_like: &'static str) -> Result<Self, ExportError> {
        let mut http = reqwest::Client::builder()
            .timeout(REQUEST)
            .user_agent(concat!("dagger/", env!("CARGO_PKG_VERSION")))
            // Spans and credentials go to the host that was named and to no other.
            .redirect(redirect::Policy::none());
        if url.scheme() == "http" {
            // Reading the system's certificates takes longer than a small export.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(ExportError::unsent)?;
        Ok(Self {
            url,
            looks_like,
            http,
        })
    }

    /// A request without a body.
    pub(super) fn request(&self) -> RequestBuilder {
        self.http.post(self.url.clone())
    }

    /// Sends it; the body of an answer that is a success.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Bytes, ExportError> {
        let answer = request.send().await.map_err(|error| unsent(&error))?;
        let status = answer.status();
        let kind = answer.headers().get("content-type");
        let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        if status.is_success() && is_page {
            // Jaeger's query port answers every unknown path with its page.
            return Err(ExportError::unsent(format!(
                "answered with a web page; {}",
                self.looks_like
            )));
        }
        let said = answer.bytes().await.unwrap_or_default();
        if status.is_success() {
            return Ok(said);
        }
        let passing = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        let said = String::from_utf8_lossy(said.get(..SHOWN_BYTES).unwrap_or(&said)).into_owned();
        let said = said.lines().next().unwrap_or_default().trim().to_owned();
        let mut reason = format!("HTTP {status}");
        if !said.is_empty() {
            reason = format!("{reason}: {}", said.escape_debug());
        }
        if status.as_u16() == 404 || status.as_u16() == 405 {
            reason = format!("{reason}; {}", self.looks_like);
        }
        Err(ExportError {
            reason,
            passing,
            // A collector whose queue is full has taken the first spans of the batch.
            uncertain: status.is_server_error(),
        })
    }
}

/// Why there was no answer, in plain words.
fn unsent(error: &reqwest::Error) -> ExportError {
    if error.is_timeout() {
        return ExportError {
            reason: format!("no answer within {} s", REQUEST.as_secs()),
            passing: false,
            uncertain: !error.is_connect(),
        };
    }
    let root = std::iter::successors(error.source(), |&error| error.source()).last();
    let text = root.map_or_else(|| error.to_string(), ToString::to_string);
    let text = text
        .split_once(" (os error")
        .map_or(text.as_str(), |(words, _)| words);
    ExportError {
        reason: text.to_lowercase(),
        passing: error.is_connect(),
        uncertain: !error.is_connect() && !error.is_builder(),
    }
}
