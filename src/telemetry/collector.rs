//! Jaeger's collector: binary thrift over HTTP (`POST /api/traces`).
#![expect(
    deprecated,
    reason = "the exporter of its generation: docs/adr/0002-jaeger-exporter.md"
)]

use std::error::Error;
use std::time::Duration;

use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_sdk::export::trace::SpanExporter;
use reqwest::{Url, redirect};
use tokio::runtime::Runtime;

use super::encode;
use super::exporter::{ExportError, Exporter};
use crate::trace::model::{Resource, Span};

/// One request may take this long. The deadline at the end of the run is held by the pipeline.
const REQUEST: Duration = Duration::from_secs(5);

/// Bytes of an error's body that are shown.
const SHOWN_BYTES: usize = 200;

/// The collector.
pub(super) struct Collector {
    runtime: Runtime,
    exporter: opentelemetry_jaeger::Exporter,
}

impl Collector {
    /// Nothing is sent yet. Made on the thread that exports.
    pub(super) fn new(
        url: &Url,
        credentials: Option<(String, String)>,
        resource: &Resource,
    ) -> Result<Self, ExportError> {
        let failed = |reason: String| ExportError {
            reason,
            passing: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| failed(error.to_string()))?;
        let client =
            Client::new(url.clone(), credentials).map_err(|error| failed(error.to_string()))?;
        let exporter = opentelemetry_jaeger::new_collector_pipeline()
            .with_service_name(resource.service.clone())
            .with_trace_config(encode::config(resource))
            .with_instrumentation_library_tags(false)
            // The client knows where to; the crate must only have something that it can read.
            .with_endpoint(url.as_str())
            .with_http_client(client)
            .build_collector_exporter::<opentelemetry_sdk::runtime::Tokio>()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { runtime, exporter })
    }
}

impl Exporter for Collector {
    fn export(&mut self, batch: &[Span]) -> Result<(), ExportError> {
        let batch = batch.iter().map(encode::span).collect();
        self.runtime
            .block_on(self.exporter.export(batch))
            .map_err(|error| {
                let text = error.to_string();
                let own = innermost::<Refusal>(&error);
                own.map_or(
                    ExportError {
                        reason: text,
                        passing: false,
                    },
                    |refusal| refusal.0.clone(),
                )
            })
    }
}

/// Looks for an error of ours among an error's sources.
fn innermost<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|error| error.downcast_ref())
}

/// Carries our words through the exporter crate's errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(#[source] ExportError);

/// Posts what the exporter crate has encoded.
#[derive(Debug)]
struct Client {
    url: Url,
    credentials: Option<(String, String)>,
    http: reqwest::Client,
}

impl Client {
    fn new(url: Url, credentials: Option<(String, String)>) -> reqwest::Result<Self> {
        let mut http = reqwest::Client::builder()
            .timeout(REQUEST)
            .user_agent(concat!("dagger/", env!("CARGO_PKG_VERSION")))
            // Spans and credentials go to the host that was named and to no other.
            .redirect(redirect::Policy::none());
        if url.scheme() == "http" {
            // Reading the system's certificates takes longer than a small export.
            http = http.tls_certs_only([]);
        }
        Ok(Self {
            url,
            credentials,
            http: http.build()?,
        })
    }

    async fn post(&self, body: Vec<u8>) -> Result<(), ExportError> {
        let mut request = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/vnd.apache.thrift.binary");
        if let Some((name, password)) = &self.credentials {
            request = request.basic_auth(name, Some(password));
        }
        let answer = request
            .body(body)
            .send()
            .await
            .map_err(|error| unsent(&error))?;
        let status = answer.status();
        let kind = answer.headers().get("content-type");
        let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        if status.is_success() && is_page {
            // Jaeger's query port answers every unknown path with its page.
            let reason =
                "answered with a web page; is this the collector's address, with /api/traces?";
            return Err(ExportError {
                reason: reason.to_owned(),
                passing: false,
            });
        }
        if status.is_success() {
            return Ok(());
        }
        let passing = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        let said = answer.bytes().await.unwrap_or_default();
        let said = String::from_utf8_lossy(said.get(..SHOWN_BYTES).unwrap_or(&said)).into_owned();
        let said = said.lines().next().unwrap_or_default().trim().to_owned();
        let mut reason = format!("HTTP {status}");
        if !said.is_empty() {
            reason = format!("{reason}: {}", said.escape_debug());
        }
        if status.as_u16() == 404 || status.as_u16() == 405 {
            reason.push_str("; is this the collector's address, with /api/traces?");
        }
        Err(ExportError { reason, passing })
    }
}

/// Why there was no answer, in plain words.
fn unsent(error: &reqwest::Error) -> ExportError {
    if error.is_timeout() {
        return ExportError {
            reason: format!("no answer within {} s", REQUEST.as_secs()),
            passing: false,
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
    }
}

#[tonic::async_trait]
impl HttpClient for Client {
    async fn send(
        &self,
        request: http02::Request<Vec<u8>>,
    ) -> Result<http02::Response<Bytes>, HttpError> {
        match self.post(request.into_body()).await {
            Ok(()) => Ok(http02::Response::new(Bytes::new())),
            Err(error) => Err(Box::new(Refusal(error))),
        }
    }
}
