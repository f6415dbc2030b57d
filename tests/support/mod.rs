//! The test bed and the binary under test, as tests use them.
//!
//! Lives here: one bed a test process (real buildkitd, real Jaeger), running `dagger` in it, contexts
//! to build. Elsewhere: how the daemons come up (`tests/testbed/`).

mod bed;
mod context;
mod dagger;
mod fake;
mod gate;
mod jaeger;
mod mount;
mod own_jaeger;
mod own_jaeger2;
mod proxy;
mod relay;
mod serve;
mod waiting;

pub(crate) use bed::{Bed, Engine, bed, bed_dir, engines};
pub(crate) use context::Context;
pub(crate) use dagger::{Dagger, Finished};
pub(crate) use fake::{Fault, faulty_collector, silent_collector};
pub(crate) use gate::{Gate, gate};
pub(crate) use jaeger::{span_ids, span_ids_of};
pub(crate) use mount::Mount;
pub(crate) use own_jaeger::OwnJaeger;
pub(crate) use own_jaeger2::OwnJaeger2;
pub(crate) use proxy::{Meddling, meddling, without_traceparent};
pub(crate) use relay::{lossy_agent, relay};
pub(crate) use serve::{Serve, get_json};
pub(crate) use waiting::{plain_span, push_all, waiting};
