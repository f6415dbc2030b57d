//! One call of the daemon: its server span, and the gRPC status it ends with.

use http::HeaderMap;
use tonic::{Code, Status};
use tracing::{Span, field::Empty, info_span};

use super::error::SessionError;

/// What was moved in a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Files whose content was moved.
    pub(super) files: u64,
    /// Bytes of content.
    pub(super) bytes: u64,
    /// Entries that were looked at.
    pub(super) entries: u64,
}

/// The span of a call, under the daemon's client span if the daemon says which.
///
/// `name` is `package.Service/Method`.
pub(super) fn span(parent: &Span, headers: &HeaderMap, name: &str) -> Span {
    let (service, method) = name.split_once('/').unwrap_or((name, ""));
    let traceparent = headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok());
    info_span!(
        parent: parent,
        "callback",
        otel.name = name,
        otel.kind = "server",
        otel.parent = traceparent,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = Empty,
        dagger.dir = Empty,
        dagger.id = Empty,
        dagger.entries = Empty,
        dagger.files = Empty,
        dagger.bytes = Empty,
        otel.status = Empty,
        otel.status_message = Empty,
    )
}

/// Records how a call ended, and gives the status to answer with.
pub(super) fn ended(span: &Span, result: &Result<Moved, SessionError>) -> Status {
    match result {
        Ok(moved) => {
            span.record("dagger.files", moved.files);
            span.record("dagger.bytes", moved.bytes);
            span.record("dagger.entries", moved.entries);
            span.record("rpc.grpc.status_code", Code::Ok as i64);
            Status::new(Code::Ok, "")
        }
        Err(error) => {
            let status = Status::new(error.code(), error.to_string());
            span.record("rpc.grpc.status_code", status.code() as i64);
            // The daemon often leaves a transfer once it has what it needs, and asks for what may be
            // there or not.
            let answers = matches!(
                error,
                SessionError::Cancelled | SessionError::Absent(_) | SessionError::Exists(_)
            );
            if !answers {
                span.record("otel.status", "error");
                span.record("otel.status_message", status.message());
            }
            status
        }
    }
}
