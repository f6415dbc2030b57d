//! The test bed and the binary under test, as tests use them.
//!
//! Lives here: one bed a test process (real buildkitd, real Jaeger), running `dagger` in it, contexts
//! to build. Elsewhere: how the daemons come up (`tests/testbed/`).

mod bed;
mod context;
mod dagger;

pub use bed::{Bed, Engine, bed};
pub use context::Context;
pub use dagger::{Dagger, Finished};
