//! Traces on a screen: what the page shows, and the page itself.
//!
//! Lives here: the page's files ([`page`]), its documents ([`view`]), and serving both with
//! Jaeger's query API ([`server`]), receiving spans ([`collector`]),
//! counting them ([`metrics`]). Elsewhere: where spans come
//! from (`trace`), what is wrong with them (`verify`).

pub mod collector;
pub mod metrics;
pub mod page;
pub mod server;
pub mod view;
