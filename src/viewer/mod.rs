//! Traces on a screen: what the page shows, and the page itself.
//!
//! Lives here: the page's files ([`page`]) and its documents ([`view`]). Elsewhere: where spans come
//! from (`trace`), what is wrong with them (`verify`).

pub mod page;
pub mod view;
