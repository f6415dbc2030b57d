//! Jaeger's agent: compact thrift over UDP. Nobody answers, so what is sent counts as delivered.
//!
//! What fits into a datagram is in `datagram`.
#![expect(
    deprecated,
    reason = "the exporter of its generation: docs/adr/0002-jaeger-exporter.md"
)]

mod pace;

use std::borrow::Cow;

use opentelemetry_sdk::export::trace::SpanExporter;

use super::datagram::{self, PACKET_BYTES};
use super::encode;
use super::exporter::{ExportError, Exporter};
use crate::trace::model::{Resource, Span};
use pace::Pace;

/// The agent.
pub(super) struct Agent {
    exporter: opentelemetry_jaeger::Exporter,
    runtime: tokio::runtime::Runtime,
    /// Bytes that a datagram has for spans.
    room: usize,
    pace: Pace,
}

impl Agent {
    /// Resolves the name. Made on the thread that exports.
    pub(super) fn new(host: &str, port: u16, resource: &Resource) -> Result<Self, ExportError> {
        let endpoint = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(ExportError::unsent)?;
        let (resource, room) = datagram::room(resource);
        let exporter = opentelemetry_jaeger::new_agent_pipeline()
            .with_endpoint(endpoint)
            .with_service_name(resource.service.clone())
            .with_trace_config(encode::config(&resource))
            .with_instrumentation_library_tags(false)
            .with_max_packet_size(PACKET_BYTES)
            .with_auto_split_batch(true)
            .build_sync_agent_exporter()
            .map_err(ExportError::unsent)?;
        Ok(Self {
            exporter,
            runtime,
            room,
            pace: Pace::new(host, port),
        })
    }

    fn send(&mut self, spans: &[Cow<'_, Span>]) -> Result<(), ExportError> {
        self.pace.wait();
        let spans = spans.iter().map(|span| encode::span(span)).collect();
        let sent = self.runtime.block_on(self.exporter.export(spans));
        sent.map_err(|error| ExportError {
            reason: error.to_string(),
            passing: false,
            // The datagrams before it have left.
            uncertain: true,
        })
    }
}

impl Exporter for Agent {
    fn export(&mut self, batch: &[Span]) -> Result<(), ExportError> {
        let mut parts = datagram::split(batch, self.room).into_iter();
        parts.try_for_each(|part| self.send(&part))
    }
}

#[cfg(test)]
pub(super) mod tests;
