//! The state of a build that its events add up to: what every renderer draws.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::event::{BuildEvent, Log, Vertex, VertexStatus};
use super::format::between;

/// Last lines kept of each step: they are shown if it fails.
pub(super) const TAIL_LINES: usize = 10;

/// Bytes kept of a line without an end.
const LINE_BYTES: usize = 16 << 10;

/// The steps of a build, in the order in which they became known.
#[derive(Debug, Default)]
pub(super) struct Steps {
    list: Vec<Step>,
    by_digest: HashMap<Arc<str>, usize>,
}

/// One step.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) vertex: Vertex,
    /// Parts of its work, in order of appearance.
    pub(super) statuses: Vec<VertexStatus>,
    /// Its last lines.
    pub(super) tail: VecDeque<Line>,
    /// The line that has not ended.
    open: Vec<u8>,
    open_at: Option<SystemTime>,
    /// When it ran: a step may start and complete several times. By start.
    intervals: BTreeMap<SystemTime, SystemTime>,
}

/// A line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    /// Since the step's last start.
    pub(super) after: Duration,
}

/// How many steps there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) total: usize,
    pub(super) completed: usize,
}

/// What an event changed.
#[derive(Debug, PartialEq)]
pub(super) struct Change {
    /// Which step.
    pub(super) step: usize,
    /// Lines that are now whole.
    pub(super) lines: Vec<Line>,
}

impl Steps {
    /// Takes one event; `None` if it is about a step that nobody has heard of.
    pub(super) fn apply(&mut self, event: &BuildEvent) -> Option<Change> {
        match event {
            BuildEvent::Vertex(vertex) => {
                let step = self.index_of(&vertex.digest);
                let lines = self.list.get_mut(step)?.update(vertex);
                Some(Change { step, lines })
            }
            BuildEvent::Status(status) => {
                let step = *self.by_digest.get(&status.vertex)?;
                self.list.get_mut(step)?.status(status);
                Some(Change {
                    step,
                    lines: Vec::new(),
                })
            }
            BuildEvent::Log(log) => {
                let step = *self.by_digest.get(&log.vertex)?;
                let lines = self.list.get_mut(step)?.log(log);
                Some(Change { step, lines })
            }
            BuildEvent::Warning(warning) => Some(Change {
                step: *self.by_digest.get(&warning.vertex)?,
                lines: Vec::new(),
            }),
        }
    }

    fn index_of(&mut self, digest: &Arc<str>) -> usize {
        if let Some(index) = self.by_digest.get(digest) {
            return *index;
        }
        self.list.push(Step::default());
        self.by_digest.insert(digest.clone(), self.list.len() - 1);
        self.list.len() - 1
    }

    pub(super) fn get(&self, index: usize) -> Option<&Step> {
        self.list.get(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Step> {
        self.list.iter()
    }

    pub(super) fn counts(&self) -> Counts {
        let completed = self.list.iter().filter(|step| step.completed()).count();
        Counts {
            total: self.list.len(),
            completed,
        }
    }
}

impl Step {
    fn update(&mut self, vertex: &Vertex) -> Vec<Line> {
        // The first message may come again late; it must not undo a start.
        if vertex.started.is_none() && self.vertex.started.is_some() {
            return Vec::new();
        }
        self.vertex = vertex.clone();
        if let Some(start) = vertex.started {
            self.intervals
                .insert(start, vertex.completed.unwrap_or(start));
        }
        // A step that has ended writes no more.
        if vertex.completed.is_some() {
            self.end_line().into_iter().collect()
        } else {
            Vec::new()
        }
    }

    fn status(&mut self, status: &VertexStatus) {
        match self.statuses.iter_mut().find(|old| old.id == status.id) {
            Some(old) => old.clone_from(status),
            None => self.statuses.push(status.clone()),
        }
    }

    fn log(&mut self, log: &Log) -> Vec<Line> {
        let mut lines = Vec::new();
        for (index, part) in log.data.split(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                // An empty line is a line too.
                self.open_at = log.at.or(self.open_at);
                lines.push(self.take_line());
            }
            if !part.is_empty() {
                self.open_at = log.at.or(self.open_at);
                let room = LINE_BYTES.saturating_sub(self.open.len());
                self.open
                    .extend_from_slice(part.get(..room).unwrap_or(part));
            }
        }
        lines
    }

    fn end_line(&mut self) -> Option<Line> {
        (!self.open.is_empty()).then(|| self.take_line())
    }

    fn take_line(&mut self) -> Line {
        let after = match (self.vertex.started, self.open_at) {
            (Some(start), Some(at)) => between(start, at),
            _ => Duration::ZERO,
        };
        let line = Line {
            text: String::from_utf8_lossy(&self.open).into_owned(),
            after,
        };
        self.open.clear();
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line.clone());
        line
    }

    pub(super) fn started(&self) -> bool {
        self.vertex.started.is_some()
    }

    /// Has it ended, with all parts of its work?
    pub(super) fn completed(&self) -> bool {
        self.vertex.completed.is_some()
            && (self.vertex.error.is_some()
                || self
                    .statuses
                    .iter()
                    .all(|status| status.completed.is_some()))
    }

    pub(super) fn running(&self) -> bool {
        self.started() && !self.completed()
    }

    /// From its first start to its last end, as of `now`; `None` if it never began.
    pub(super) fn extent(&self, now: SystemTime) -> Option<(SystemTime, SystemTime)> {
        let first = *self.intervals.keys().next()?;
        let last = *self.intervals.values().max()?;
        let open = self.started() && self.vertex.completed.is_none();
        Some((first, if open { last.max(now) } else { last }))
    }

    /// How long it has run in all, as of `now`; times that overlap count once.
    pub(super) fn duration(&self, now: SystemTime) -> Duration {
        let mut sum = Duration::ZERO;
        let mut covered: Option<SystemTime> = None;
        for (start, end) in &self.intervals {
            let open = self.vertex.completed.is_none() && self.vertex.started == Some(*start);
            let end = if open { now } else { *end };
            let from = covered.map_or(*start, |covered| covered.max(*start));
            sum += between(from, end);
            covered = Some(covered.map_or(end, |covered| covered.max(end)));
        }
        sum
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Events for the tests of all renderers.

    use super::*;
    use crate::progress::event::Group;
    use base64::Engine as _;
    use serde_json::Value;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    pub(in crate::progress) struct Sink(Arc<std::sync::Mutex<Vec<u8>>>);

    impl Sink {
        pub(in crate::progress) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl std::io::Write for Sink {
        fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(data);
            Ok(data.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    pub(in crate::progress) fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000 + millis)
    }

    pub(in crate::progress) fn vertex(
        digest: &str,
        name: &str,
        start: Option<u64>,
        end: Option<u64>,
    ) -> BuildEvent {
        BuildEvent::Vertex(Vertex {
            digest: digest.into(),
            name: name.into(),
            started: start.map(at),
            completed: end.map(at),
            ..Vertex::default()
        })
    }

    pub(in crate::progress) fn failed(
        digest: &str,
        name: &str,
        start: u64,
        end: u64,
        error: &str,
    ) -> BuildEvent {
        let BuildEvent::Vertex(vertex) = vertex(digest, name, Some(start), Some(end)) else {
            unreachable!()
        };
        BuildEvent::Vertex(Vertex {
            error: Some(error.into()),
            ..vertex
        })
    }

    pub(in crate::progress) fn log(digest: &str, text: &str, millis: u64) -> BuildEvent {
        let data = bytes::Bytes::copy_from_slice(text.as_bytes());
        BuildEvent::Log(Log {
            vertex: digest.into(),
            stream: 1,
            data,
            at: Some(at(millis)),
        })
    }

    pub(in crate::progress) fn status(
        digest: &str,
        id: &str,
        current: i64,
        total: i64,
        end: Option<u64>,
    ) -> BuildEvent {
        BuildEvent::Status(VertexStatus {
            id: id.into(),
            vertex: digest.into(),
            current,
            total,
            at: Some(at(1)),
            started: Some(at(0)),
            completed: end.map(at),
        })
    }

    /// The events of a captured `--progress=rawjson`.
    pub(in crate::progress) fn captured(jsonl: &str) -> Vec<BuildEvent> {
        let time = |value: &Value| {
            let text = value.as_str()?;
            let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
            // All captures are of one day: only the clock counts.
            let _ = date;
            let mut parts = clock.split(':');
            let (h, m, s) = (parts.next()?, parts.next()?, parts.next()?);
            let seconds: f64 = h.parse::<f64>().ok()? * 3600.0
                + m.parse::<f64>().ok()? * 60.0
                + s.parse::<f64>().ok()?;
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds))
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut events = Vec::new();
        for line in jsonl.lines() {
            // What buildctl itself said at the end is no JSON.
            let Ok(message) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            for v in list(&message["vertexes"]) {
                events.push(BuildEvent::Vertex(Vertex {
                    digest: text(&v["digest"]).into(),
                    inputs: Vec::new(),
                    name: text(&v["name"]),
                    cached: v["cached"].as_bool().unwrap_or(false),
                    started: time(&v["started"]),
                    completed: time(&v["completed"]),
                    error: v["error"].as_str().map(str::to_owned),
                    group: None::<Group>,
                }));
            }
            for s in list(&message["statuses"]) {
                events.push(BuildEvent::Status(VertexStatus {
                    id: text(&s["id"]),
                    vertex: text(&s["vertex"]).into(),
                    current: s["current"].as_i64().unwrap_or(0),
                    total: s["total"].as_i64().unwrap_or(0),
                    at: time(&s["timestamp"]),
                    started: time(&s["started"]),
                    completed: time(&s["completed"]),
                }));
            }
            for l in list(&message["logs"]) {
                let data = base64::engine::general_purpose::STANDARD
                    .decode(text(&l["data"]))
                    .unwrap();
                events.push(BuildEvent::Log(Log {
                    vertex: text(&l["vertex"]).into(),
                    stream: l["stream"].as_i64().unwrap_or(1),
                    data: data.into(),
                    at: time(&l["timestamp"]),
                }));
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;

    #[test]
    fn times_that_overlap_count_once_and_a_late_first_message_undoes_nothing() {
        let mut steps = Steps::default();
        for event in [
            vertex("a", "A", None, None),
            vertex("a", "A", Some(0), Some(1000)),
            vertex("a", "A", Some(500), Some(2000)),
            vertex("a", "A", None, None),
            vertex("a", "A", Some(3000), None),
        ] {
            steps.apply(&event);
        }
        let step = steps.get(0).unwrap();
        assert!(step.running());
        assert_eq!(step.duration(at(3500)), Duration::from_millis(2500));
    }

    #[test]
    fn pieces_become_lines_and_the_last_one_ends_with_the_step() {
        let mut steps = Steps::default();
        steps.apply(&vertex("a", "A", Some(0), None));
        let mut lines = Vec::new();
        for event in [
            log("a", "on", 10),
            log("a", "e\n\ntw", 20),
            log("a", "o", 30),
            vertex("a", "A", Some(0), Some(40)),
        ] {
            lines.extend(steps.apply(&event).unwrap().lines);
        }
        let shown: Vec<_> = lines
            .iter()
            .map(|line| (line.text.as_str(), line.after.as_millis()))
            .collect();
        assert_eq!(shown, [("one", 20), ("", 20), ("two", 30)]);
    }

    #[test]
    fn what_is_about_an_unknown_step_is_passed_over() {
        assert_eq!(Steps::default().apply(&log("x", "a\n", 0)), None);
    }
}
