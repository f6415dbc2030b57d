//! An OTLP receiver over HTTP (`POST /v1/traces`), as protobuf or as JSON.

use prost::Message as _;
use reqwest::Url;
use tokio::runtime::Runtime;

use super::exporter::{ExportError, Exporter};
use super::http::Poster;
use crate::proto::opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;
use crate::trace::model::Span;
use crate::trace::otlp;

/// The receiver.
pub(super) struct Otlp {
    runtime: Runtime,
    poster: Poster,
    headers: Vec<(String, String)>,
    json: bool,
}

impl Otlp {
    /// Nothing is sent yet. Made on the thread that exports.
    pub(super) fn new(
        url: &Url,
        headers: &[(String, String)],
        json: bool,
    ) -> Result<Self, ExportError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(ExportError::unsent)?;
        let looks_like = "is this an OTLP receiver's address, e.g. http://HOST:4318/v1/traces?";
        Ok(Self {
            runtime,
            poster: Poster::new(url.clone(), looks_like)?,
            headers: headers.to_vec(),
            json,
        })
    }
}

impl Exporter for Otlp {
    fn export(&mut self, batch: &[Span]) -> Result<(), ExportError> {
        let (kind, body) = if self.json {
            (
                "application/json",
                otlp::to_json(batch).to_string().into_bytes(),
            )
        } else {
            let request = otlp::request(batch);
            ("application/x-protobuf", request.encode_to_vec())
        };
        let mut request = self.poster.request().header("content-type", kind);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = self
            .runtime
            .block_on(self.poster.send(request.body(body)))?;
        match refused(&answer, self.json) {
            None => Ok(()),
            Some((spans, why)) => Err(ExportError {
                reason: format!("{spans} of {} spans were refused: {why}", batch.len()),
                passing: false,
                uncertain: true,
            }),
        }
    }
}

/// How many spans a receiver refused that took the request, and why.
fn refused(answer: &[u8], json: bool) -> Option<(i64, String)> {
    let (spans, why) = if json {
        let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
        let partial = answer.get("partialSuccess")?;
        let spans = partial.get("rejectedSpans")?;
        let text = || spans.as_str().and_then(|text| text.parse().ok());
        let spans = spans.as_i64().or_else(text)?;
        let why = partial.get("errorMessage").and_then(|why| why.as_str());
        (spans, why.unwrap_or_default().to_owned())
    } else {
        let partial = ExportTraceServiceResponse::decode(answer)
            .ok()?
            .partial_success?;
        (partial.rejected_spans, partial.error_message)
    };
    (spans > 0).then_some((spans, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::opentelemetry::proto::collector::trace::v1::ExportTracePartialSuccess;

    #[test]
    fn a_partial_success_is_a_refusal() {
        let answer = |rejected_spans| {
            let partial = ExportTracePartialSuccess {
                rejected_spans,
                error_message: "full".into(),
            };
            ExportTraceServiceResponse {
                partial_success: Some(partial),
            }
            .encode_to_vec()
        };
        assert_eq!(refused(&answer(3), false), Some((3, "full".into())));
        assert_eq!(refused(&answer(0), false), None);
        assert_eq!(refused(b"", false), None);
        let json = br#"{"partialSuccess":{"rejectedSpans":2}}"#;
        assert_eq!(refused(json, true), Some((2, String::new())));
        assert_eq!(refused(b"{}", true), None);
    }
}
