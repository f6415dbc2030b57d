//! Receivers over HTTP: Jaeger's collector (thrift) and OTLP (protobuf and JSON).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::StreamExt as _;
use prost::Message as _;
use serde_json::json;
use tokio::sync::Semaphore;

use super::bounds::bearable;
use super::intake::{Intake, Untaken};
use crate::proto::google::rpc::Status;
use crate::proto::opentelemetry::proto::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use crate::trace::model::Span;
use crate::trace::{otlp, thrift};

/// Bytes of a body at most.
const BODY_BYTES: usize = 16 << 20;

/// Bodies read and decoded at one time; the others wait.
const BODIES: usize = 8;

/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(30);

/// What a receiver works with.
#[derive(Clone)]
struct Receiver {
    intake: Intake,
    bodies: Arc<Semaphore>,
}

impl Receiver {
    fn new(intake: Intake) -> Self {
        Self {
            intake,
            bodies: Arc::new(Semaphore::new(BODIES)),
        }
    }

    /// Reads a body and lets `decode` make spans of it, off the threads that serve; then takes them.
    async fn receive(
        &self,
        body: Body,
        decode: impl FnOnce(&[u8]) -> Result<Decoded, String> + Send + 'static,
    ) -> Result<usize, Refused> {
        let decoded = {
            let _permit = self.bodies.acquire().await;
            let bytes = read(body).await?;
            let decoded = tokio::task::spawn_blocking(move || decode(&bytes)).await;
            let decoded = decoded.map_err(|error| Refused::Unread(error.to_string()))?;
            decoded.map_err(Refused::Senseless)?
        };
        self.intake
            .take(decoded.spans)
            .await
            .map_err(Refused::Untaken)?;
        Ok(decoded.refused)
    }
}

/// What a body held.
struct Decoded {
    spans: Vec<Span>,
    /// Spans in it that are none.
    refused: usize,
}

/// Why nothing was received.
enum Refused {
    /// The body did not come.
    Unread(String),
    /// It is too large.
    Large,
    /// It is no batch.
    Senseless(String),
    /// It cannot be stored now.
    Untaken(Untaken),
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unread(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Large => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Senseless(_) => StatusCode::BAD_REQUEST,
            Self::Untaken(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Unread(why) => format!("the body did not come: {why}"),
            Self::Large => format!("a body has at most {BODY_BYTES} bytes"),
            Self::Senseless(why) => why.clone(),
            Self::Untaken(why) => why.to_string(),
        }
    }
}

async fn read(body: Body) -> Result<Vec<u8>, Refused> {
    let read = async {
        let mut bytes = Vec::new();
        let mut parts = body.into_data_stream();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| Refused::Unread(error.to_string()))?;
            if bytes.len() + part.len() > BODY_BYTES {
                return Err(Refused::Large);
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    };
    let read = tokio::time::timeout(BODY_TIME, read).await;
    read.unwrap_or_else(|_| Err(Refused::Unread("it took too long".into())))
}

/// A browser says where a page is from; no page has spans to send here, and other senders say nothing.
fn from_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN)
}

/// An answer; to one who is to come again later, with the time.
fn answer(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The media type without its parameters, in lower case; `None` if none is said.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let name = text.split(';').next().unwrap_or_default().trim();
    name.contains('/').then(|| name.to_ascii_lowercase())
}

/// Jaeger's collector, `POST /api/traces`, in its words.
pub fn jaeger(intake: Intake) -> Router {
    Router::new()
        .route("/api/traces", post(thrift_batch))
        .with_state(Receiver::new(intake))
}

async fn thrift_batch(State(receiver): State<Receiver>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bad = |status, text: &str| answer(status, "text/plain; charset=utf-8", format!("{text}\n"));
    if from_page(&parts.headers) {
        return bad(StatusCode::FORBIDDEN, "Pages cannot send spans");
    }
    match media_type(&parts.headers).as_deref() {
        Some("application/x-thrift" | "application/vnd.apache.thrift.binary") => {}
        None => return bad(StatusCode::BAD_REQUEST, "Cannot parse content type"),
        Some(other) => {
            let text = format!("Unsupported content type: {other}");
            return bad(StatusCode::BAD_REQUEST, &text);
        }
    }
    let decode = |bytes: &[u8]| {
        let batch = thrift::collected(bytes)
            .map_err(|error| format!("Unable to process request body: {error}"))?;
        Ok(Decoded {
            spans: batch.spans,
            refused: batch.refused,
        })
    };
    match receiver.receive(body, decode).await {
        Ok(refused) => {
            if refused > 0 {
                tracing::warn!(spans = refused, "spans without an id were left out");
            }
            StatusCode::ACCEPTED.into_response()
        }
        Err(refused @ Refused::Untaken(_)) => {
            let text = format!("Cannot submit Jaeger batch: {}", refused.message());
            bad(refused.status(), &text)
        }
        Err(refused) => bad(refused.status(), &refused.message()),
    }
}

/// OTLP, `POST /v1/traces`.
pub fn otlp(intake: Intake) -> Router {
    Router::new()
        .route("/v1/traces", post(otlp_request))
        .with_state(Receiver::new(intake))
}

/// How OTLP is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

impl Form {
    fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    fn decode(self, bytes: &[u8]) -> Result<Decoded, String> {
        let request = match self {
            Self::Protobuf => {
                if !bearable(bytes) {
                    return Err("it holds too many parts for one request".into());
                }
                ExportTraceServiceRequest::decode(bytes).map_err(|error| error.to_string())?
            }
            Self::Json => {
                let json = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
                otlp::request_from_json(&json).map_err(|error| error.to_string())?
            }
        };
        let read = otlp::read(&request);
        Ok(Decoded {
            spans: read.spans,
            refused: read.refused,
        })
    }

    /// An answer to a request that was received, all but so many spans.
    fn received(self, refused: usize) -> Response {
        let rejected = i64::try_from(refused).unwrap_or(i64::MAX);
        let why = "spans have an id of 16 bytes for their trace and one of 8 for themselves, and a request \
                   has at most 200,000 of them";
        let body = match (self, refused) {
            (Self::Protobuf, 0) => Vec::new(),
            (Self::Json, 0) => b"{}".to_vec(),
            (Self::Protobuf, _) => ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans: rejected,
                    error_message: why.into(),
                }),
            }
            .encode_to_vec(),
            (Self::Json, _) => {
                let partial = json!({"rejectedSpans": rejected.to_string(), "errorMessage": why});
                json!({"partialSuccess": partial}).to_string().into_bytes()
            }
        };
        answer(StatusCode::OK, self.media_type(), body)
    }

    /// As `google.rpc.Status`, which OTLP's senders read.
    fn refused(self, status: StatusCode, message: String) -> Response {
        // The codes of gRPC: invalid argument, resource exhausted, unavailable.
        let code = match status {
            StatusCode::PAYLOAD_TOO_LARGE => 8,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => 14,
            _ => 3,
        };
        let body = match self {
            Self::Json => json!({"code": code, "message": message})
                .to_string()
                .into_bytes(),
            Self::Protobuf => Status {
                code,
                message,
                details: Vec::new(),
            }
            .encode_to_vec(),
        };
        answer(status, self.media_type(), body)
    }
}

async fn otlp_request(State(receiver): State<Receiver>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let form = match media_type(&parts.headers).as_deref() {
        Some("application/x-protobuf" | "application/protobuf") => Form::Protobuf,
        Some("application/json") => Form::Json,
        other => {
            let said = other.unwrap_or("none");
            let text = format!(
                "unsupported media type {said}: application/x-protobuf or application/json"
            );
            return Form::Json.refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
        }
    };
    if from_page(&parts.headers) {
        return form.refused(StatusCode::FORBIDDEN, "pages cannot send spans".into());
    }
    let encoding = parts.headers.get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        let text = "compressed bodies are not read; set OTEL_EXPORTER_OTLP_COMPRESSION=none";
        return form.refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, text.into());
    }
    match receiver
        .receive(body, move |bytes| form.decode(bytes))
        .await
    {
        Ok(refused) => form.received(refused),
        Err(refused) => form.refused(refused.status(), refused.message()),
    }
}
