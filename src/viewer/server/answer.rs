//! Answers in Jaeger's shapes and in the page's, and what is said of a request that makes no sense.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::trace::store::StoreError;

/// In whose words an error is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Jaeger's query API, version 1.
    V1,
    /// Its version 3.
    V3,
    /// The page's own routes.
    Page,
}

/// A request that is not answered as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    status: StatusCode,
    message: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// The request makes no sense.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is nothing of what it asks for.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// As an answer in this shape.
    pub(super) fn respond(&self, shape: Shape) -> Response {
        let (code, message) = (self.status.as_u16(), &self.message);
        let body = match shape {
            Shape::V1 => envelope(Json::Null, 0, json!([{"code": code, "msg": message}])),
            Shape::V3 => json!({"error": {"httpCode": code, "message": message}}),
            Shape::Page => json!({"error": message}),
        };
        respond(self.status, body.to_string().into())
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, help = error.help(), "a request was not answered");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("{error}; see the log of `dagger trace serve`"),
        )
    }
}

impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

/// Version 1's envelope. Traces are never counted in `total`, as Jaeger does not.
pub(super) fn envelope(data: Json, total: usize, errors: Json) -> Json {
    json!({"data": data, "total": total, "limit": 0, "offset": 0, "errors": errors})
}

/// Version 1's envelope around traces.
pub(super) fn traces(data: &[impl Serialize], errors: Json) -> Result<Response, Refused> {
    #[derive(Serialize)]
    struct Envelope<'a, T> {
        data: &'a [T],
        total: usize,
        limit: usize,
        offset: usize,
        errors: Json,
    }
    found(&Envelope {
        data,
        total: 0,
        limit: 0,
        offset: 0,
        errors,
    })
}

/// What was asked for, as JSON.
pub(super) fn found(body: &impl Serialize) -> Result<Response, Refused> {
    Ok(respond(StatusCode::OK, serde_json::to_vec(body)?.into()))
}

fn respond(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
