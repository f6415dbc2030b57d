//! What a rule may look at.

use std::collections::HashSet;
use std::time::Duration;

use super::index::Index;
use super::names;
use super::scope::Scope;
use super::target::Target;
use crate::trace::error::TraceError;
use crate::trace::model::{Kind, Span, SpanId};
use crate::trace::report::DaemonReport;

/// What a rule may look at.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// What is verified.
    pub target: &'a Target,
    /// All spans of the trace.
    pub index: &'a Index<'a>,
    /// The part of them that is the run's.
    pub scope: Scope,
    /// How far times may be off.
    pub tolerance: Tolerance,
    /// Why spans of the answer could not be read.
    pub unreadable: &'a [String],
    /// Tags that hold something else than their type says.
    pub mistyped: &'a [(SpanId, String)],
    /// How many spans of other traces were in the answer.
    pub foreign: usize,
    /// Why the last read failed.
    pub error: Option<&'a TraceError>,
}

/// How far times may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// Within one process: Jaeger cuts times to microseconds.
    pub rounding: Duration,
    /// Between the clocks of two hosts.
    pub clocks: Duration,
    /// What time it is, in nanoseconds since the epoch, if that can be said.
    pub now_ns: Option<u64>,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            rounding: Duration::from_micros(2),
            clocks: Duration::from_millis(100),
            now_ns: None,
        }
    }
}

impl<'a> Evidence<'a> {
    /// The run's first span, if it is there.
    pub fn entry(&self) -> Option<&'a Span> {
        self.scope.entry.and_then(|id| self.index.get(id))
    }

    /// The spans of the run's part of the trace, in order of start.
    pub fn members(&self) -> impl Iterator<Item = &'a Span> {
        let spans = self.index.spans().iter().copied();
        spans.filter(|span| self.scope.contains(span))
    }

    /// Is the engine one that makes no spans? Those that do say their version.
    pub fn engine_is_mute(&self) -> bool {
        let mut connects = self.ours().filter(|span| span.name == names::CONNECT);
        connects.any(|span| !span.is_error() && span.text(names::VERSION) == Some(""))
    }

    /// Of those, the ones that our process made.
    pub fn ours(&self) -> impl Iterator<Item = &'a Span> {
        self.members().filter(|span| self.is_ours(span))
    }

    /// Did our process make it?
    pub fn is_ours(&self, span: &Span) -> bool {
        span.service() == self.target.service
    }

    /// Our calls to the daemon that it answered, so that it must have a span of them.
    pub fn answered_calls(&self) -> impl Iterator<Item = &'a Span> {
        self.ours().filter(|span| {
            span.kind == Kind::Client && span.name.starts_with(names::DAEMON_CALL) && answered(span)
        })
    }

    /// The daemon's span of our call.
    pub fn daemon_side(&self, call: &Span) -> Option<&'a Span> {
        let children = self.index.children(call.id).iter().copied();
        children
            .filter(|child| child.kind == Kind::Server && child.service() == names::DAEMON)
            .min_by_key(|child| child.start_ns)
    }

    /// The spans of steps that our process made.
    pub fn vertices(&self) -> impl Iterator<Item = &'a Span> {
        self.ours()
            .filter(|span| span.attribute(names::VERTEX).is_some())
    }

    /// Spans of the run's part whose parent is not in the trace, and should be.
    pub fn orphans(&self) -> impl Iterator<Item = &'a Span> {
        let unended = self.unended();
        let orphans = self.without_parent();
        orphans
            .filter(move |(_, parent)| !unended.contains(parent))
            .map(|(span, _)| span)
    }

    /// The spans of the daemon that it had not ended when its record was read: its sides of calls that we
    /// gave up, and the steps that were stopped with them. Their ids are known only by what hangs under them.
    /// More of them than there are such calls and steps is another matter.
    fn unended(&self) -> HashSet<SpanId> {
        let Some(run) = &self.target.run else {
            return HashSet::new();
        };
        // Where the daemon sends its spans itself, those come too once they have ended.
        let by_record = run.export.daemon.as_ref();
        let alone = |daemon: &DaemonReport| daemon.imported || self.target.exported_nowhere();
        if !by_record.is_some_and(alone) {
            return HashSet::new();
        }
        let given_up = self.ours().filter(|span| {
            let call = span.kind == Kind::Client && span.name.starts_with(names::DAEMON_CALL);
            let told = if call {
                self.daemon_side(span).is_some()
            } else {
                span.attribute(names::VERTEX).is_none() || self.is_named_by_daemon(span)
            };
            is_cancelled(span) && !told
        });
        let of_daemon = self.without_parent();
        let mut missing: HashSet<SpanId> = of_daemon
            .filter(|(span, _)| span.service() == names::DAEMON)
            .map(|(_, parent)| parent)
            .collect();
        for own in &run.spans {
            missing.remove(own);
        }
        if missing.len() > given_up.count() {
            return HashSet::new();
        }
        missing
    }

    /// Has the daemon a span of this step itself, not only of what it asked its cache?
    fn is_named_by_daemon(&self, step: &Span) -> bool {
        let digest = step.text(names::VERTEX).unwrap_or_default();
        let mut of_step = self.index.of_vertex(digest).iter();
        of_step.any(|other| other.service() == names::DAEMON && other.name == step.name)
    }

    /// Spans of the run's part whose parent is not in the trace, each with its parent.
    fn without_parent(&self) -> impl Iterator<Item = (&'a Span, SpanId)> {
        let remote = self.target.remote_parent;
        self.members().filter_map(move |span| {
            let parent = span.parent.filter(|parent| Some(*parent) != remote)?;
            self.index.get(parent).is_none().then_some((span, parent))
        })
    }
}

/// Is it the span of a whole command of dagger's?
pub(super) fn is_command(span: &Span) -> bool {
    span.name.starts_with(names::COMMAND)
}

/// Was it ended on purpose, because something else ended?
pub(super) fn is_cancelled(span: &Span) -> bool {
    span.flag(names::CANCELLED) == Some(true)
}

/// Did the daemon surely see this call? Not if it was cancelled, or if nobody answered: gRPC's
/// `CANCELLED`, `DEADLINE_EXCEEDED`, `UNAVAILABLE`.
pub(super) fn answered(span: &Span) -> bool {
    !is_cancelled(span) && !matches!(span.int(names::GRPC_STATUS), Some(1 | 4 | 14))
}
