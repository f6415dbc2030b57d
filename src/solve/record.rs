//! The recorder: one span a vertex, with the daemon's times, made from the event stream.
//!
//! A vertex may start and complete several times (its cache is probed, then it runs), so a span is
//! closed when the stream ends, not at the first completion.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use tracing::{Span, field::Empty, info, info_span};

use crate::progress::event::{BuildEvent, Log, Vertex, Warning};

/// Output lines kept of one vertex, the last ones: they tell why it failed.
const OUTPUT_LINES: usize = 100;

/// Bytes kept of one line.
const LINE_BYTES: usize = 1024;

/// The vertices of a build as spans.
#[derive(Debug)]
pub(super) struct VertexRecorder {
    /// When the build began, by our clock.
    began: SystemTime,
    vertices: HashMap<Arc<str>, Recorded>,
}

/// How many vertices ran, and how they ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) total: u64,
    pub(super) cached: u64,
    pub(super) failed: u64,
    /// The vertex that began last and had not ended when the stream did.
    pub(super) unfinished: Option<String>,
}

#[derive(Debug)]
struct Recorded {
    span: Option<Span>,
    vertex: Vertex,
    started: Option<SystemTime>,
    output: VecDeque<(Option<SystemTime>, String)>,
    /// The last line, while it is not ended.
    open_line: Vec<u8>,
    left_out: u64,
}

impl VertexRecorder {
    pub(super) fn new(began: SystemTime) -> Self {
        Self {
            began,
            vertices: HashMap::new(),
        }
    }

    /// Takes down a batch of events; new spans hang under the current span.
    pub(super) fn record(&mut self, events: &[BuildEvent]) {
        for event in events {
            match event {
                BuildEvent::Vertex(vertex) => self.vertex(vertex),
                BuildEvent::Log(log) => self.log(log),
                BuildEvent::Warning(warning) => self.warning(warning),
                BuildEvent::Status(_) => {}
            }
        }
    }

    fn vertex(&mut self, vertex: &Vertex) {
        let recorded = self
            .vertices
            .entry(vertex.digest.clone())
            .or_insert_with(|| Recorded {
                span: None,
                vertex: vertex.clone(),
                started: None,
                output: VecDeque::new(),
                open_line: Vec::new(),
                left_out: 0,
            });
        // The first message may come again late; it must not undo a start.
        if vertex.started.is_some() || recorded.started.is_none() {
            recorded.vertex = vertex.clone();
        }
        if recorded.started.is_none() && vertex.started.is_some() {
            recorded.started = vertex.started;
            recorded.span = Some(info_span!(
                "vertex",
                otel.name = vertex.name,
                otel.start_ns = vertex.started.map(unix_ns),
                otel.end_ns = Empty,
                otel.status = Empty,
                otel.status_message = Empty,
                vertex = &*vertex.digest,
                buildkit.cached = Empty,
                dagger.cancelled = Empty,
                dagger.output.dropped = Empty,
                buildkit.shared = Empty,
            ));
        }
    }

    fn log(&mut self, log: &Log) {
        let Some(recorded) = self.vertices.get_mut(&log.vertex) else {
            return;
        };
        for (index, part) in log.data.split(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                recorded.end_line(log.at);
            }
            let room = LINE_BYTES.saturating_sub(recorded.open_line.len());
            recorded
                .open_line
                .extend_from_slice(part.get(..room).unwrap_or(part));
        }
    }

    fn warning(&mut self, warning: &Warning) {
        if let Some(span) = self
            .vertices
            .get(&warning.vertex)
            .and_then(|recorded| recorded.span.as_ref())
        {
            info!(parent: span, event = "warning", warning.message = warning.short, warning.url = warning.url);
        }
    }

    /// Has everything that began also ended, and `last` among it?
    pub(super) fn is_settled(&self, last: Option<&str>) -> bool {
        let ended = |recorded: &Recorded| recorded.vertex.completed.is_some();
        let mut began = self
            .vertices
            .values()
            .filter(|recorded| recorded.started.is_some());
        let last = last.is_none_or(|last| self.vertices.get(last).is_some_and(ended));
        last && began.all(ended)
    }

    /// Closes every span; what had not completed was cancelled, or lost, at `now`.
    pub(super) fn finish(self, now: SystemTime) -> Totals {
        let mut totals = Totals::default();
        // A step that another build had begun keeps its true start, which lies before our root. If all
        // steps lie before it, nobody had begun them: then the daemon's clock is another than ours.
        let early =
            |recorded: &Recorded| recorded.started.is_some_and(|started| started < self.began);
        let clocks_agree = self
            .vertices
            .values()
            .any(|recorded| recorded.started.is_some() && !early(recorded));
        let running = self
            .vertices
            .values()
            .filter(|recorded| recorded.started.is_some() && recorded.vertex.completed.is_none());
        let last = running.max_by_key(|recorded| recorded.started);
        totals.unfinished = last.map(|recorded| recorded.vertex.name.clone());
        for recorded in self.vertices.into_values() {
            if recorded.span.is_none() {
                continue;
            }
            let vertex = &recorded.vertex;
            totals.total += 1;
            totals.cached += u64::from(vertex.cached);
            totals.failed += u64::from(vertex.failed());
            let shared = clocks_agree && early(&recorded);
            recorded.close(now, shared);
        }
        totals
    }
}

impl Recorded {
    /// Ends the span with what is known of the vertex.
    fn close(mut self, now: SystemTime, shared: bool) {
        self.end_line(None);
        let Some(span) = self.span else { return };
        let vertex = self.vertex;
        span.record("buildkit.cached", vertex.cached);
        span.record("otel.end_ns", unix_ns(vertex.completed.unwrap_or(now)));
        if vertex.failed() {
            span.record("otel.status", "error");
            span.record(
                "otel.status_message",
                vertex.error.as_deref().unwrap_or_default(),
            );
        } else if vertex.cancelled() || vertex.completed.is_none() {
            span.record("dagger.cancelled", true);
        }
        if shared {
            span.record("buildkit.shared", true);
        }
        if self.left_out > 0 {
            span.record("dagger.output.dropped", self.left_out);
        }
        for (at, line) in self.output {
            info!(parent: &span, event = "output", otel.at_ns = at.map(unix_ns), message = line);
        }
    }

    fn end_line(&mut self, at: Option<SystemTime>) {
        if self.open_line.is_empty() {
            return;
        }
        if self.output.len() == OUTPUT_LINES {
            self.output.pop_front();
            self.left_out += 1;
        }
        let line = String::from_utf8_lossy(&self.open_line)
            .trim_end_matches('\r')
            .to_owned();
        self.output.push_back((at, line));
        self.open_line.clear();
    }
}

/// Nanoseconds since the epoch; 0 before it.
fn unix_ns(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    fn vertex(digest: &str) -> Vertex {
        Vertex {
            digest: digest.into(),
            name: digest.into(),
            ..Vertex::default()
        }
    }

    #[test]
    fn totals_count_what_started_once_each() {
        let mut recorder = VertexRecorder::new(SystemTime::UNIX_EPOCH);
        let started = Vertex {
            started: at(1),
            ..vertex("a")
        };
        let done = Vertex {
            completed: at(2),
            cached: true,
            ..started.clone()
        };
        let failed = Vertex {
            started: at(1),
            completed: at(2),
            error: Some("boom".into()),
            ..vertex("b")
        };
        let stopped = Vertex {
            error: Some("x: context canceled".into()),
            digest: "c".into(),
            ..failed.clone()
        };
        let events = [
            vertex("a"),
            started,
            done,
            vertex("a"),
            failed,
            stopped,
            vertex("d"),
        ];
        recorder.record(&events.map(BuildEvent::Vertex));
        assert_eq!(
            recorder.finish(SystemTime::UNIX_EPOCH),
            Totals {
                total: 3,
                cached: 1,
                failed: 1,
                unfinished: None,
            }
        );
    }

    #[test]
    fn the_last_lines_are_kept_and_the_rest_is_counted() {
        let mut recorder = VertexRecorder::new(SystemTime::UNIX_EPOCH);
        recorder.record(&[BuildEvent::Vertex(Vertex {
            started: at(1),
            ..vertex("a")
        })]);
        let text: String = (0..250).map(|line| format!("line {line}\n")).collect();
        for piece in text.as_bytes().chunks(7) {
            let data = bytes::Bytes::copy_from_slice(piece);
            recorder.record(&[BuildEvent::Log(Log {
                vertex: "a".into(),
                stream: 1,
                data,
                at: at(2),
            })]);
        }
        let recorded = &recorder.vertices["a"];
        assert_eq!(recorded.output.len(), OUTPUT_LINES);
        assert_eq!(recorded.output.back().unwrap().1, "line 249");
        assert_eq!(recorded.left_out, 150);
    }
}
