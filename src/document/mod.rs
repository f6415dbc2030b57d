//! Files that people write: a tree of values with their places, and faults that are told with theirs.
//!
//! Lives here: reading YAML, JSON and TOML, serde on top of it, what a fault looks like. Elsewhere: what a
//! plan (`plan`) or an expectation file (`verify`) may say. Start at [`Node`].

mod at;
mod decode;
mod fault;
mod node;
mod places;
mod scalar;
mod similar;

pub use at::At;
pub use decode::DecodeError;
pub use fault::Fault;
pub use node::{Key, Node, Position, Value};
pub use scalar::Scalar;
pub use similar::similar;
