//! The local trace store: every run of this user, with all spans of its trace, in one SQLite file.
//!
//! Lives here: the file and its migrations, runs, spans (one row a span id), what waits to be sent
//! again, retention. Elsewhere: making spans (`telemetry`), reading Jaeger (`trace::jaeger`). All of it
//! blocks: call it from a blocking thread. Safe with many processes at once: WAL, one transaction a
//! batch, and a bounded wait for the others. Start at [`Store::open`].

mod claim;
mod engines;
mod error;
mod glance;
mod measure;
mod open;
mod pack;
mod process;
mod receive;
mod retention;
mod runs;
mod schema;
mod search;
mod spans;
mod spool;
#[cfg(test)]
mod tests;
mod unended;

pub use claim::Claim;
pub use error::StoreError;
pub use glance::Glance;
pub use measure::Measured;
pub use open::Store;
pub use retention::{Limits, Pruned};
pub use runs::{NewRun, Run, RunFilter, RunId, State};
pub use search::{Dependency, Operation, SpanFilter};
pub use spool::{Asked, Claimed, Outgoing, SpoolLimits, SpoolRoute, Waiting, Wanted};
