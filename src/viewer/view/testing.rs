//! Spans for the tests of this folder.

use std::sync::Arc;

use crate::trace::model::{Kind, Resource, Span, SpanId, Status, TraceId, Value};

/// A span under construction.
#[derive(Clone)]
pub(super) struct Built(Span);

/// A span of service `dagger`, without a parent, of no length.
pub(super) fn span(id: u64) -> Built {
    let resource = Resource {
        service: "dagger".into(),
        attributes: Vec::new(),
    };
    Built(Span {
        trace: TraceId(1),
        id: SpanId(id),
        parent: None,
        name: format!("span {id}"),
        kind: Kind::Internal,
        start_ns: 1_795_497_451_000_000_000,
        end_ns: 1_795_497_451_000_000_000,
        status: Status::Unset,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
        resource: Arc::new(resource),
    })
}

impl Built {
    pub(super) fn under(mut self, parent: u64) -> Self {
        self.0.parent = Some(SpanId(parent));
        self
    }

    /// From one millisecond to another.
    pub(super) fn at(mut self, start: u64, end: u64) -> Self {
        self.0.end_ns = self.0.start_ns + end * 1_000_000;
        self.0.start_ns += start * 1_000_000;
        self
    }

    /// A step with this digest; `cached` is what `dagger` knows of it and the daemon does not tell.
    pub(super) fn step(mut self, vertex: &str, cached: Option<bool>) -> Self {
        let mut set = |key: &str, value| self.0.attributes.push((key.into(), value));
        set("vertex", Value::Str(vertex.into()));
        if let Some(cached) = cached {
            set("buildkit.cached", Value::Bool(cached));
        }
        self
    }

    pub(super) fn done(self) -> Span {
        self.0
    }
}
