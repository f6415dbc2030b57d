//! One JSON object a line, for programs.
//!
//! Every object has `type` and `time` (RFC 3339, UTC): when the daemon says it was so, else when it was
//! seen here. Absent means unknown or not yet; sizes are bytes.
//!
//! | `type` | other fields |
//! |---|---|
//! | `vertex` | `digest`, `name`, `inputs`, `cached`, `started`, `completed`, `error` |
//! | `status` | `vertex`, `id`, `current`, `total`, `started`, `completed` |
//! | `log` | `vertex`, `stream` (1 output, 2 errors), `text`, or `data` (base64) if it is not UTF-8 |
//! | `warning` | `vertex`, `level`, `short`, `detail`, `url`, `file`, `lines` |
//! | `done` | `outcome` (`done`, `failed`, `cancelled`), `error`, `sources`, `summary`: `steps`, `cached`, `failed`, `cancelled`, `seconds`, `transferred_bytes`, `longest` (each `name`, `seconds`) |

use std::io::{self, BufWriter, Write};
use std::time::SystemTime;

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::event::{BuildEvent, Outcome, SourceExcerpt};
use super::format::rfc3339;
use super::renderer::Renderer;
use super::steps::Steps;
use super::summary::Summary;

/// Writes each event as it comes.
pub(super) struct Json {
    out: BufWriter<Box<dyn Write + Send>>,
    quiet: bool,
    /// For the figures at the end; what steps print does not count.
    steps: Steps,
}

impl Json {
    /// `quiet`: only the end is written.
    pub(super) fn new(out: Box<dyn Write + Send>, quiet: bool) -> Self {
        Self {
            out: BufWriter::new(out),
            quiet,
            steps: Steps::default(),
        }
    }

    fn line(&mut self, object: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, object)?;
        self.out.write_all(b"\n")
    }
}

impl Renderer for Json {
    fn events(&mut self, events: &[BuildEvent], now: SystemTime) -> io::Result<()> {
        for event in events {
            if matches!(event, BuildEvent::Vertex(_) | BuildEvent::Status(_)) {
                self.steps.apply(event);
            }
        }
        if self.quiet {
            return Ok(());
        }
        for event in events {
            self.line(&object(event, now))?;
        }
        self.out.flush()
    }

    fn finish(&mut self, outcome: &Outcome, now: SystemTime) -> io::Result<()> {
        let mut done = json!({"type": "done", "time": rfc3339(now), "outcome": "done"});
        match outcome {
            Outcome::Done => {}
            Outcome::Cancelled => set(&mut done, "outcome", Some("cancelled")),
            Outcome::Failed { message, sources } => {
                set(&mut done, "outcome", Some("failed"));
                set(&mut done, "error", Some(message));
                let sources: Vec<_> = sources.iter().map(place).collect();
                set(&mut done, "sources", Some(sources));
            }
        }
        set(
            &mut done,
            "summary",
            Some(figures(&Summary::of(&self.steps, now))),
        );
        self.line(&done)?;
        self.out.flush()
    }
}

fn object(event: &BuildEvent, now: SystemTime) -> Value {
    match event {
        BuildEvent::Vertex(vertex) => {
            let at = vertex.completed.or(vertex.started).unwrap_or(now);
            let mut object = json!({
                "type": "vertex", "time": rfc3339(at), "digest": *vertex.digest, "name": vertex.name,
                "cached": vertex.cached,
            });
            if !vertex.inputs.is_empty() {
                set(
                    &mut object,
                    "inputs",
                    Some(
                        vertex
                            .inputs
                            .iter()
                            .map(|input| &**input)
                            .collect::<Vec<_>>(),
                    ),
                );
            }
            set(&mut object, "started", vertex.started.map(rfc3339));
            set(&mut object, "completed", vertex.completed.map(rfc3339));
            set(&mut object, "error", vertex.error.as_deref());
            object
        }
        BuildEvent::Status(status) => {
            let mut object = json!({
                "type": "status", "time": rfc3339(status.at.unwrap_or(now)), "vertex": *status.vertex,
                "id": status.id, "current": status.current,
            });
            set(
                &mut object,
                "total",
                Some(status.total).filter(|total| *total > 0),
            );
            set(&mut object, "started", status.started.map(rfc3339));
            set(&mut object, "completed", status.completed.map(rfc3339));
            object
        }
        BuildEvent::Log(log) => {
            let mut object = json!({
                "type": "log", "time": rfc3339(log.at.unwrap_or(now)), "vertex": *log.vertex, "stream": log.stream,
            });
            match std::str::from_utf8(&log.data) {
                Ok(text) => set(&mut object, "text", Some(text)),
                Err(_) => set(
                    &mut object,
                    "data",
                    Some(base64::engine::general_purpose::STANDARD.encode(&log.data)),
                ),
            }
            object
        }
        BuildEvent::Warning(warning) => {
            let mut object = json!({
                "type": "warning", "time": rfc3339(now), "vertex": *warning.vertex, "level": warning.level,
                "short": warning.short, "detail": warning.detail, "url": warning.url,
            });
            if let Some(source) = &warning.source {
                set(&mut object, "file", Some(&source.filename));
                set(&mut object, "lines", Some(&source.lines));
            }
            object
        }
    }
}

fn figures(summary: &Summary) -> Value {
    let longest = summary.longest.iter();
    let longest: Vec<_> = longest
        .map(|(name, spent)| json!({"name": name, "seconds": spent.as_secs_f64()}))
        .collect();
    json!({
        "steps": summary.steps,
        "cached": summary.cached,
        "failed": summary.failed,
        "cancelled": summary.cancelled,
        "seconds": summary.spent.as_secs_f64(),
        "transferred_bytes": summary.transferred_bytes,
        "longest": longest,
    })
}

fn place(source: &SourceExcerpt) -> Map<String, Value> {
    let mut place = Map::new();
    place.insert("file".into(), json!(source.filename));
    place.insert("lines".into(), json!(source.lines));
    place
}

/// Sets a field that is known.
fn set<T: serde::Serialize>(object: &mut Value, key: &str, value: Option<T>) {
    if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
        object.insert(key.to_owned(), json!(value));
    }
}

#[cfg(test)]
mod tests {
    use super::super::steps::testing::*;
    use super::*;

    #[test]
    fn each_event_has_its_object() {
        let sink = Sink::default();
        let mut json = Json::new(Box::new(sink.clone()), false);
        let raw = BuildEvent::Log(crate::progress::event::Log {
            vertex: "a".into(),
            stream: 2,
            data: bytes::Bytes::from_static(b"\xff"),
            at: None,
        });
        let events = [
            vertex("a", "A", Some(0), None),
            status("a", "transferring context:", 5, 10, None),
            log("a", "hi\n", 7),
            raw,
            failed("a", "A", 0, 9, "boom"),
        ];
        json.events(&events, at(100)).unwrap();
        json.finish(&Outcome::Cancelled, at(200)).unwrap();
        insta::assert_snapshot!(sink.text());
    }
}
