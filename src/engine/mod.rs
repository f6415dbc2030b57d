//! Where to build: from `BUILDKIT_HOST` to a connection.
//!
//! Lives here: the grammar of addresses, the default, one file a transport. Elsewhere: what is said on
//! the connection (`buildkit`). Start at [`connect`].

mod address;
mod connect;
mod error;
mod tcp;
mod unix;

pub use address::{Address, Choice, ChosenBy};
pub use connect::{Connection, connect};
pub use error::EngineError;
