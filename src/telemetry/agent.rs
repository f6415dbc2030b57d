//! Jaeger's agent: compact thrift over UDP. Nobody answers, so what is sent counts as delivered.
#![expect(
    deprecated,
    reason = "the exporter of its generation: docs/adr/0002-jaeger-exporter.md"
)]

use std::time::Duration;

use opentelemetry_sdk::export::trace::{SpanData, SpanExporter};

use super::encode;
use super::exporter::{ExportError, Exporter};
use crate::trace::model::{Resource, Span, Value};

/// Bytes in one datagram at most; the agent drops larger ones without a word.
const PACKET_BYTES: usize = 65_000;

/// Bytes of one span at most, by our estimate, which errs upwards.
const SPAN_BYTES: usize = 60_000;

/// Pause between two datagrams: an agent's socket has room for a few only, and what comes faster than
/// it is read is lost without a word.
const PACE: Duration = Duration::from_millis(2);

/// The agent.
pub(super) struct Agent {
    exporter: opentelemetry_jaeger::Exporter,
    runtime: tokio::runtime::Runtime,
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
        let exporter = opentelemetry_jaeger::new_agent_pipeline()
            .with_endpoint(endpoint)
            .with_service_name(resource.service.clone())
            .with_trace_config(encode::config(resource))
            .with_instrumentation_library_tags(false)
            .with_max_packet_size(PACKET_BYTES)
            .with_auto_split_batch(true)
            .build_sync_agent_exporter()
            .map_err(ExportError::unsent)?;
        Ok(Self { exporter, runtime })
    }
}

impl Exporter for Agent {
    fn export(&mut self, batch: &[Span]) -> Result<(), ExportError> {
        let mut datagram = Vec::new();
        let mut bytes = 0;
        for span in batch {
            let whole = size(span);
            let (span, size) = if whole > SPAN_BYTES {
                (encode::span(&cut(span)), SPAN_BYTES)
            } else {
                (encode::span(span), whole)
            };
            if bytes + size > SPAN_BYTES {
                self.send(std::mem::take(&mut datagram))?;
                bytes = 0;
                std::thread::sleep(PACE);
            }
            bytes += size;
            datagram.push(span);
        }
        self.send(datagram)
    }
}

impl Agent {
    fn send(&mut self, spans: Vec<SpanData>) -> Result<(), ExportError> {
        let sent = self.runtime.block_on(self.exporter.export(spans));
        sent.map_err(|error| ExportError {
            reason: error.to_string(),
            passing: false,
            // The datagrams before it have left.
            uncertain: true,
        })
    }
}

/// How large a span is in thrift, in bytes, rather too large than too small.
fn size(span: &Span) -> usize {
    let attributes = |list: &[(String, Value)]| -> usize {
        list.iter()
            .map(|(key, value)| {
                32 + key.len()
                    + if let Value::Str(text) = value {
                        text.len()
                    } else {
                        0
                    }
            })
            .sum()
    };
    let events: usize = span
        .events
        .iter()
        .map(|event| 48 + event.name.len() + attributes(&event.attributes))
        .sum();
    256 + span.name.len() + attributes(&span.attributes) + events
}

/// The span made to fit: its first events go, then long texts are shortened; `dagger.cut` says so.
fn cut(span: &Span) -> Span {
    let mut span = span.clone();
    span.attributes
        .push(("dagger.cut".to_owned(), Value::Bool(true)));
    while size(&span) > SPAN_BYTES && !span.events.is_empty() {
        // Half at a time: the last ones tell how it ended.
        let half = span.events.len().div_ceil(2);
        span.events.drain(..half);
    }
    let mut longest = SPAN_BYTES;
    while size(&span) > SPAN_BYTES && longest > 1 {
        longest /= 2;
        let texts = span
            .attributes
            .iter_mut()
            .filter_map(|(_, value)| match value {
                Value::Str(text) => Some(text),
                _ => None,
            });
        for text in texts.chain([&mut span.name]) {
            text.truncate(text.floor_char_boundary(longest));
        }
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::model::{Event, Kind, SpanId, Status, TraceId};
    use std::net::UdpSocket;
    use std::sync::Arc;

    fn span(id: u64, events: usize, line: usize) -> Span {
        let event = |at| Event {
            name: "output".into(),
            at_ns: at as u64,
            attributes: vec![("message".into(), Value::Str("x".repeat(line)))],
        };
        Span {
            trace: TraceId(1),
            id: SpanId(id),
            parent: None,
            name: "s".into(),
            kind: Kind::Internal,
            start_ns: 1_000_000,
            end_ns: 2_000_000,
            status: Status::Unset,
            attributes: Vec::new(),
            events: (0..events).map(event).collect(),
            links: Vec::new(),
            resource: Arc::default(),
        }
    }

    fn datagrams(batch: &[Span]) -> Vec<usize> {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let mut agent = Agent::new(
            "127.0.0.1",
            receiver.local_addr().unwrap().port(),
            &Resource::default(),
        )
        .unwrap();
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 70_000];
            std::iter::from_fn(|| receiver.recv(&mut buffer).ok()).collect()
        });
        agent.export(batch).unwrap();
        reader.join().unwrap()
    }

    #[test]
    fn no_datagram_is_too_large() {
        let batch: Vec<_> = (1..=40).map(|id| span(id, 10, 1000)).collect();
        let sizes = datagrams(&batch);
        assert!(
            sizes.len() > 5 && sizes.iter().all(|size| *size <= PACKET_BYTES),
            "{sizes:?}"
        );
    }

    #[test]
    fn an_oversized_span_is_cut_and_says_so() {
        let large = span(1, 500, 4000);
        let cut = cut(&large);
        assert_eq!(cut.flag("dagger.cut"), Some(true));
        assert_eq!(
            cut.events.last(),
            large.events.last(),
            "the end of the output is kept"
        );
        let sizes = datagrams(&[large]);
        assert!(sizes.len() == 1 && sizes[0] <= PACKET_BYTES, "{sizes:?}");
        let named = Span {
            name: "n".repeat(200_000),
            ..span(2, 0, 0)
        };
        assert_eq!(datagrams(&[named]).len(), 1);
    }
}
