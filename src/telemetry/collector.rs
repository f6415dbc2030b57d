//! Jaeger's collector: binary thrift over HTTP (`POST /api/traces`).
#![expect(
    deprecated,
    reason = "the exporter of its generation: docs/adr/0002-jaeger-exporter.md"
)]

use std::error::Error;

use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_sdk::export::trace::SpanExporter;
use reqwest::Url;
use tokio::runtime::Runtime;

use super::encode;
use super::exporter::{ExportError, Exporter};
use super::http::Poster;
use crate::trace::model::{Resource, Span};

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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(ExportError::unsent)?;
        let client = Client::new(url.clone(), credentials)?;
        let exporter = opentelemetry_jaeger::new_collector_pipeline()
            .with_service_name(resource.service.clone())
            .with_trace_config(encode::config(resource))
            .with_instrumentation_library_tags(false)
            // The client knows where to; the crate must only have something that it can read.
            .with_endpoint(url.as_str())
            .with_http_client(client)
            .build_collector_exporter::<opentelemetry_sdk::runtime::Tokio>()
            .map_err(ExportError::unsent)?;
        Ok(Self { runtime, exporter })
    }
}

impl Exporter for Collector {
    fn export(&mut self, batch: &[Span]) -> Result<(), ExportError> {
        let batch = batch.iter().map(encode::span).collect();
        self.runtime
            .block_on(self.exporter.export(batch))
            .map_err(|error| {
                let own = innermost::<Refusal>(&error);
                own.map_or_else(
                    || ExportError {
                        reason: error.to_string(),
                        passing: false,
                        uncertain: true,
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
    poster: Poster,
    credentials: Option<(String, String)>,
}

impl Client {
    fn new(url: Url, credentials: Option<(String, String)>) -> Result<Self, ExportError> {
        let looks_like = "is this the collector's address, with /api/traces?";
        Ok(Self {
            poster: Poster::new(url, looks_like)?,
            credentials,
        })
    }

    async fn post(&self, body: Vec<u8>) -> Result<(), ExportError> {
        let mut request = self
            .poster
            .request()
            .header("content-type", "application/vnd.apache.thrift.binary");
        if let Some((name, password)) = &self.credentials {
            request = request.basic_auth(name, Some(password));
        }
        self.poster.send(request.body(body)).await.map(drop)
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
