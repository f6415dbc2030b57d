//! The server behind `dagger trace serve`: Jaeger's query API, the page and its documents.
//!
//! Lives here: routes, who may ask (`guard`), answers in Jaeger's shapes (`v1`, `v3`), the page with its
//! live events (`page`, `events`), connections (`listen`). Elsewhere: the documents (`viewer::view`),
//! receiving spans (`viewer::collector`), the spans themselves (`trace::store`). Start at [`router`].

mod answer;
mod durations;
mod events;
mod guard;
mod listen;
mod page;
mod parameters;
mod search;
mod served;
mod summaries;
#[cfg(test)]
mod tests;
mod v1;
mod v3;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};

pub use guard::Hosts;
pub use listen::serve;
pub use served::Served;

/// Bytes of a request's body; only an upload has one.
const BODY_BYTES: usize = 32 << 20;

/// All routes.
pub fn router(served: Served) -> Router {
    Router::new()
        .route("/api/services", get(v1::services))
        .route("/api/services/{service}/operations", get(v1::operations_of))
        .route("/api/operations", get(v1::operations))
        .route("/api/traces", get(v1::search))
        .route("/api/traces/{id}", get(v1::trace))
        .route("/api/archive/{id}", post(v1::archive))
        .route("/api/transform", post(v1::transform))
        .route("/api/dependencies", get(v1::dependencies))
        .route("/api/metrics/{*what}", get(v1::metrics))
        .route("/api/v3/services", get(v3::services))
        .route("/api/v3/operations", get(v3::operations))
        .route("/api/v3/traces", get(v3::search))
        .route("/api/v3/traces/{id}", get(v3::trace))
        .route("/api/v3/trace-summaries", get(v3::summaries))
        .route("/api/dagger/runs", get(page::runs))
        .route("/api/dagger/runs/{trace}", get(page::run))
        .route("/api/dagger/events", get(events::listen))
        .route("/metrics", get(page::metrics))
        .route("/", get(page::document))
        .route("/run/{trace}", get(page::link))
        .route("/trace/{trace}", get(page::link))
        .route("/{file}", get(page::file))
        .fallback(page::unknown)
        .method_not_allowed_fallback(page::wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(served.clone(), guard::check))
        .with_state(served)
}
