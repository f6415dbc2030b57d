//! Spans out: from `tracing` to Jaeger.
//!
//! Lives here: the settings, the layer that records spans, the thread that exports them, Jaeger's
//! collector and agent, and the local store. Elsewhere: reading spans back (`trace`, `verify`). Other rooms know only
//! `tracing`; the fields that the recorder understands are in [`recorder`]. Start at [`start`].

mod agent;
mod backlog;
mod below;
pub mod ci;
mod clock;
mod collector;
mod cut;
mod daemon;
mod datagram;
mod encode;
mod exporter;
mod handle;
mod http;
mod local;
mod otlp;
mod parent;
mod pipeline;
mod push;
mod queue;
mod recorded;
pub mod recorder;
mod sampler;
mod settings;
mod way;

pub use daemon::{DaemonExport, DaemonSpans, Decision, Known, Share};
pub use exporter::{ExportError, Exporter};
pub use handle::{Handle, Telemetry, start};
pub(crate) use local::ENGINES_OWN;
pub use local::{Kept, LocalRun};
pub use parent::{ParentError, RemoteParent};
pub use push::{Push, Pushed};
pub use sampler::Sampler;
pub use settings::{Destination, Settings, SettingsError};
