//! The stream of build events that everyone reads: renderers, the span recorder, the plan's result.
//!
//! Lives here: the events. Elsewhere: making them from the daemon's status stream (`solve`),
//! drawing them (the other files of this room).

use std::sync::Arc;
use std::time::SystemTime;

/// Something the daemon told of a build. Times are the daemon's.
#[derive(Clone, Debug, PartialEq)]
pub enum BuildEvent {
    /// A vertex as it now stands: replaces what was known of its digest.
    Vertex(Vertex),
    /// A part of a vertex's work, e.g. a transfer.
    Status(VertexStatus),
    /// A piece of output; not necessarily whole lines.
    Log(Log),
    /// A warning.
    Warning(Warning),
}

impl BuildEvent {
    /// The digest of the vertex that it is about.
    pub fn vertex(&self) -> &Arc<str> {
        match self {
            Self::Vertex(vertex) => &vertex.digest,
            Self::Status(status) => &status.vertex,
            Self::Log(log) => &log.vertex,
            Self::Warning(warning) => &warning.vertex,
        }
    }
}

/// A vertex of the build's graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vertex {
    /// `sha256:...`, the key of everything else.
    pub digest: Arc<str>,
    /// Digests of its inputs; some may never arrive.
    pub inputs: Vec<Arc<str>>,
    /// What people read.
    pub name: String,
    /// Was the result there already?
    pub cached: bool,
    /// Absent: queued.
    pub started: Option<SystemTime>,
    /// Absent: running.
    pub completed: Option<SystemTime>,
    /// Why it failed; ends in `context canceled` if it was only stopped.
    pub error: Option<String>,
    /// The group it is drawn in.
    pub group: Option<Group>,
}

impl Vertex {
    /// Was it stopped because something else failed, or by the user?
    pub fn cancelled(&self) -> bool {
        self.error
            .as_deref()
            .is_some_and(|error| error.ends_with("context canceled"))
    }

    /// Did it fail by itself?
    pub fn failed(&self) -> bool {
        self.error.is_some() && !self.cancelled()
    }
}

/// Vertices that are drawn as one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// What people read.
    pub name: String,
    /// Not shown for itself.
    pub weak: bool,
}

/// A part of a vertex's work. The key is (vertex, id).
#[derive(Clone, Debug, PartialEq)]
pub struct VertexStatus {
    /// What people read, e.g. `transferring context:`.
    pub id: String,
    /// The vertex it belongs to.
    pub vertex: Arc<str>,
    /// Done so far, mostly bytes.
    pub current: i64,
    /// Of how much; 0 if unknown.
    pub total: i64,
    /// When this was so.
    pub at: Option<SystemTime>,
    /// Its start.
    pub started: Option<SystemTime>,
    /// Its end.
    pub completed: Option<SystemTime>,
}

/// A piece of a vertex's output.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// The vertex that wrote it.
    pub vertex: Arc<str>,
    /// 1 standard output, 2 standard error.
    pub stream: i64,
    /// Any bytes; may begin and end inside a line.
    pub data: bytes::Bytes,
    /// When it was written.
    pub at: Option<SystemTime>,
}

/// A warning about a vertex, mostly from the frontend's checks.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    /// The vertex it is about.
    pub vertex: Arc<str>,
    /// Its level.
    pub level: i64,
    /// One line.
    pub short: String,
    /// More lines.
    pub detail: Vec<String>,
    /// Where to read on.
    pub url: String,
    /// Where in the source.
    pub source: Option<SourceExcerpt>,
}

/// A place in a source file (`errdefs.Source`, `pb.SourceInfo`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceExcerpt {
    /// The file's name.
    pub filename: String,
    /// The whole file.
    pub text: String,
    /// First and last line of each range, from 1.
    pub lines: Vec<(u32, u32)>,
}

/// How the build ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It went well.
    Done,
    /// It failed.
    Failed {
        /// The daemon's words, without the `failed to solve: ` that is put in front.
        message: String,
        /// The places in the source that the failure concerns, innermost first.
        sources: Vec<SourceExcerpt>,
    },
    /// The user stopped it.
    Cancelled,
}
