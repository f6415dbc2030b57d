//! The query client for Jaeger's HTTP API: one trace by its id, or the last of a service.
//!
//! Lives here: the URL, the request, decoding the answer into [`trace::model`](super::model).
//! Elsewhere: asking again until the trace is whole (`verify::poll`). Start at [`JaegerClient`].
//!
//! `GET /api/traces/{id}` is asked first: it is the one route that every version of Jaeger has. Where it
//! is not, and for searching where the old route is gone, `/api/v3` is asked.

mod client;
mod decode;
mod node;
pub(super) mod span;
mod split;
mod stream;
mod tags;
mod url;
mod v3;
pub mod write;

pub use client::JaegerClient;
pub use decode::{Answer, Broken, decode};
pub use url::{DEFAULT_QUERY_URL, QueryUrl, Sought, split_trace_url};
pub use v3::decode_v3;
