//! The query client for Jaeger's HTTP API: one trace by its id.
//!
//! Lives here: the URL, the request, decoding the answer into [`trace::model`](super::model).
//! Elsewhere: asking again until the trace is whole (`verify::poll`). Start at [`JaegerClient`].
//!
//! Only `GET /api/traces/{id}` is used: it is the one route that every version of Jaeger has.

mod client;
mod decode;
mod node;
pub(super) mod span;
mod stream;
mod url;
pub mod write;

pub use client::JaegerClient;
pub use decode::{Answer, Broken, decode};
pub use url::{DEFAULT_QUERY_URL, QueryUrl, split_trace_url};
