//! One call: its path, its client span, its metadata.
//!
//! Span attributes follow OpenTelemetry's conventions for RPC (`rpc.*`, `server.address`).

use std::sync::Arc;

use tonic::metadata::AsciiMetadataValue;
use tracing::{Span, field::Empty, info_span};

/// Gives the trace context of a span, to be sent along with a call.
pub trait Propagate: Send + Sync + 'static {
    /// The span as a W3C `traceparent`; `None` if it is not recorded.
    fn traceparent(&self, span: &Span) -> Option<String>;
    /// The `tracestate` to pass on, if any.
    fn tracestate(&self) -> Option<String>;
}

/// A method of a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method {
    /// `package.Service`
    pub(super) service: &'static str,
    /// `Method`
    pub(super) name: &'static str,
    /// `package.Service/Method`, the span's name.
    pub(super) full: &'static str,
    /// `/package.Service/Method`
    pub(super) path: &'static str,
}

/// Names a method of the control service.
macro_rules! control {
    ($name:literal) => {
        $crate::buildkit::call::Method {
            service: "moby.buildkit.v1.Control",
            name: $name,
            full: concat!("moby.buildkit.v1.Control/", $name),
            path: concat!("/moby.buildkit.v1.Control/", $name),
        }
    };
}
pub(super) use control;

/// The client span of a call: ended with its result, or marked as cancelled when it is dropped before.
#[derive(Debug)]
pub(super) struct CallSpan {
    span: Span,
    open: bool,
    probes: bool,
}

impl CallSpan {
    /// Opens the span under the current one.
    pub(super) fn open(method: Method, address: &str) -> Self {
        let span = info_span!(
            "rpc",
            otel.name = method.full,
            otel.kind = "client",
            rpc.system = "grpc",
            rpc.service = method.service,
            rpc.method = method.name,
            server.address = address,
            rpc.grpc.status_code = Empty,
            dagger.cancelled = Empty,
            dagger.retried = Empty,
            otel.status = Empty,
            otel.status_message = Empty,
        );
        Self {
            span,
            open: true,
            probes: false,
        }
    }

    /// Opens the span of a call that asks whether the daemon is there, and knows this call: who asked
    /// tries again or does without, so its failure is not the command's.
    pub(super) fn probe(method: Method, address: &str) -> Self {
        let mut call = Self::open(method, address);
        call.probes = true;
        call
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Puts the span's context into the request's metadata.
    pub(super) fn propagate<T>(
        &self,
        propagate: &Arc<dyn Propagate>,
        request: &mut tonic::Request<T>,
    ) {
        let headers = [
            ("traceparent", propagate.traceparent(&self.span)),
            ("tracestate", propagate.tracestate()),
        ];
        for (key, value) in headers {
            if let Some(value) = value.and_then(|text| AsciiMetadataValue::try_from(text).ok()) {
                request.metadata_mut().insert(key, value);
            }
        }
    }

    /// Ends the span with the call's result.
    pub(super) fn end<T>(&mut self, result: &Result<T, tonic::Status>) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        match result {
            Ok(_) => {
                self.span.record("rpc.grpc.status_code", 0);
            }
            Err(status) => {
                self.span
                    .record("rpc.grpc.status_code", status.code() as i64);
                if self.probes {
                    self.span.record("dagger.retried", true);
                }
                self.span.record("otel.status", "error");
                self.span.record("otel.status_message", status.message());
            }
        }
        self.span = Span::none();
    }

    /// Ends the span of a call that was ended by us on purpose.
    pub(super) fn end_cancelled(&mut self) {
        if std::mem::replace(&mut self.open, false) {
            self.span
                .record("rpc.grpc.status_code", tonic::Code::Cancelled as i64);
            self.span.record("dagger.cancelled", true);
            self.span = Span::none();
        }
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        self.end_cancelled();
    }
}
