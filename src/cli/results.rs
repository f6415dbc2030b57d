//! What a build leaves for other programs: `--metadata-file`, `--iidfile`, `--summary-file`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use clap::Args;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::diagnostic::Failure;
use super::env::Env;
use super::whole_file;
use crate::progress::event::{BuildEvent, Vertex};
use crate::solve::Solved;

/// Batches of events between the build and its display, while a summary is made. Full: the daemon's
/// stream is read more slowly.
const EVENT_BATCHES: usize = 64;

/// Steps of which a summary tells; of more, only the totals do.
const STEPS: usize = 100_000;

/// Files that tell of a build.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ResultFiles {
    /// Write what the exporters say (JSON)
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,

    /// Write the image's id
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,

    /// Write each step with its times, and the totals (JSON)
    #[arg(long, value_name = "FILE")]
    summary_file: Option<PathBuf>,
}

/// The steps of a build as far as they have come.
#[derive(Clone, Debug, Default)]
struct Summary(Arc<Mutex<Steps>>);

/// A summary that is being made.
pub(super) struct Watched {
    summary: Summary,
    relay: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Steps {
    order: Vec<Arc<str>>,
    steps: HashMap<Arc<str>, Step>,
    left_out: u64,
}

#[derive(Debug, Default)]
struct Step {
    vertex: Vertex,
    /// When it worked, by the start of each time.
    times: BTreeMap<SystemTime, SystemTime>,
    /// Bytes by status.
    bytes: HashMap<String, i64>,
}

impl ResultFiles {
    /// A flag that was given and tells of one build's result, which a plan does not have.
    pub(super) fn of_one_build(&self) -> Option<&'static str> {
        let metadata = self.metadata_file.as_ref().map(|_| "--metadata-file");
        metadata.or_else(|| self.iidfile.as_ref().map(|_| "--iidfile"))
    }

    /// Is a summary wanted? Then the events go through it to `events`.
    pub(super) fn watch(
        &self,
        events: mpsc::Sender<Vec<BuildEvent>>,
    ) -> (mpsc::Sender<Vec<BuildEvent>>, Option<Watched>) {
        if self.summary_file.is_none() {
            return (events, None);
        }
        let summary = Summary::default();
        let (sender, mut received) = mpsc::channel::<Vec<BuildEvent>>(EVENT_BATCHES);
        let taken = summary.clone();
        let relay = tokio::spawn(async move {
            while let Some(batch) = received.recv().await {
                taken.take(&batch);
                // Nobody draws any more: the summary is still wanted.
                let _ = events.send(batch).await;
            }
        });
        (sender, Some(Watched { summary, relay }))
    }

    /// Writes the summary; of a failed build too.
    pub(super) async fn write_summary(
        &self,
        env: &Env,
        watched: Option<Watched>,
        error: Option<String>,
    ) -> Result<(), Failure> {
        let (Some(path), Some(watched)) = (&self.summary_file, watched) else {
            return Ok(());
        };
        // It ends with the build; what it took is there in any case.
        let _ = watched.relay.await;
        write(&env.cwd.join(path), &pretty(&watched.summary.json(error)))
    }

    /// Writes what the exporters say.
    pub(super) fn write(&self, env: &Env, solved: &Solved) -> Result<(), Failure> {
        if let Some(path) = &self.metadata_file {
            let mut fields: Map<String, Value> = solved
                .response
                .iter()
                .map(|(key, value)| (key.clone(), readable(value)))
                .collect();
            fields.insert("dagger.build.ref".into(), solved.build.clone().into());
            write(&env.cwd.join(path), &pretty(&fields.into()))?;
        }
        if let Some(path) = &self.iidfile {
            let id = solved
                .response
                .get("containerimage.config.digest")
                .or_else(|| solved.response.get("containerimage.digest"));
            let id = id.ok_or_else(|| Failure::Usage {
                message: "--iidfile: the build made no image".into(),
                help: "add an output that is an image, e.g. `--output type=image`".into(),
            })?;
            write(&env.cwd.join(path), id)?;
        }
        Ok(())
    }
}

/// Values that are JSON, some of them in base 64, as what they are.
fn readable(value: &str) -> Value {
    let decoded = base64::engine::general_purpose::STANDARD.decode(value).ok();
    let text = decoded.as_deref().unwrap_or(value.as_bytes());
    match serde_json::from_slice(text) {
        Ok(object @ (Value::Object(_) | Value::Array(_))) => object,
        _ => value.into(),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    whole_file::write(path, text).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot write `{}`: {error}", path.display()),
        )
        .into()
    })
}

impl Summary {
    fn take(&self, events: &[BuildEvent]) {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            match event {
                BuildEvent::Vertex(vertex) => steps.vertex(vertex),
                BuildEvent::Status(status) => {
                    if let Some(step) = steps.steps.get_mut(&status.vertex) {
                        let bytes = step.bytes.entry(status.id.clone()).or_default();
                        *bytes = status.current.max(*bytes);
                    }
                }
                BuildEvent::Log(_) | BuildEvent::Warning(_) => {}
            }
        }
    }

    /// The summary as JSON.
    fn json(&self, error: Option<String>) -> Value {
        let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = || {
            let all = steps
                .order
                .iter()
                .filter_map(|digest| steps.steps.get(digest));
            all.filter(|step| step.vertex.started.is_some())
        };
        let (total, cached) = (
            begun().count(),
            begun().filter(|step| step.vertex.cached).count(),
        );
        let failed = begun().filter(|step| step.vertex.failed()).count();
        let first = begun().filter_map(|step| step.times.keys().next()).min();
        let last = begun().filter_map(|step| step.times.values().max()).max();
        let wall = first
            .zip(last)
            .and_then(|(first, last)| last.duration_since(*first).ok());
        // Of the whole there is a ratio only if there is a whole.
        #[expect(clippy::cast_precision_loss, reason = "far fewer steps than 2^52")]
        let ratio = (total > 0).then(|| cached as f64 / total as f64);
        json!({
            "schema": 1,
            "outcome": if error.is_some() { "failed" } else { "done" },
            "error": error,
            "totals": {
                "steps": total,
                "cached": cached,
                "failed": failed,
                "hit_ratio": ratio,
                "duration_ms": wall.map(millis),
                "bytes": begun().map(Step::bytes).sum::<i64>(),
                "left_out": steps.left_out,
            },
            "steps": begun().map(Step::json).collect::<Vec<_>>(),
        })
    }
}

impl Steps {
    fn vertex(&mut self, vertex: &Vertex) {
        if !self.steps.contains_key(&vertex.digest) {
            if self.order.len() == STEPS {
                self.left_out += 1;
                return;
            }
            self.order.push(vertex.digest.clone());
        }
        let step = self.steps.entry(vertex.digest.clone()).or_default();
        // The first message may come again late; it must not undo a start.
        if vertex.started.is_some() || step.vertex.started.is_none() {
            step.vertex = vertex.clone();
        }
        if let Some(started) = vertex.started {
            let ended = vertex.completed.unwrap_or(started);
            let known = step.times.entry(started).or_insert(ended);
            *known = ended.max(*known);
        }
    }
}

impl Step {
    fn bytes(&self) -> i64 {
        self.bytes.values().sum()
    }

    fn json(&self) -> Value {
        // Times that overlap count once.
        let (mut worked, mut until) = (Duration::ZERO, SystemTime::UNIX_EPOCH);
        for (&start, &end) in &self.times {
            worked += end.duration_since(start.max(until)).unwrap_or_default();
            until = until.max(end);
        }
        let vertex = &self.vertex;
        json!({
            "digest": &*vertex.digest,
            "name": vertex.name,
            "cached": vertex.cached,
            "started": self.times.keys().next().copied().map(stamp),
            "completed": vertex.completed.map(stamp),
            "duration_ms": millis(worked),
            "bytes": self.bytes(),
            "cancelled": vertex.cancelled(),
            "error": vertex.error.as_ref().filter(|_| vertex.failed()),
        })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn stamp(time: SystemTime) -> Option<String> {
    jiff::Timestamp::try_from(time)
        .ok()
        .map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn a_step_that_worked_twice_counts_both_times() {
        let summary = Summary::default();
        let queued = Vertex {
            digest: "a".into(),
            name: "A".into(),
            ..Vertex::default()
        };
        let times = |started, completed| {
            BuildEvent::Vertex(Vertex {
                started: at(started),
                completed: at(completed),
                ..queued.clone()
            })
        };
        let cached = BuildEvent::Vertex(Vertex {
            digest: "b".into(),
            started: at(9),
            completed: at(9),
            cached: true,
            ..Vertex::default()
        });
        let again = BuildEvent::Vertex(queued.clone());
        summary.take(&[
            again.clone(),
            times(1, 3),
            times(2, 4),
            times(6, 7),
            again,
            cached,
        ]);
        let json = summary.json(None);
        assert_eq!(json["steps"][0]["duration_ms"], 4_000);
        assert_eq!(json["steps"][0]["started"], "1970-01-01T00:00:01Z");
        assert_eq!(json["totals"]["duration_ms"], 8_000);
        assert_eq!(json["totals"]["hit_ratio"], 0.5);
    }

    #[test]
    fn values_are_what_they_are() {
        assert_eq!(readable("e30="), json!({}));
        assert_eq!(readable("{}"), json!({}));
        assert_eq!(readable("sha256:00"), json!("sha256:00"));
        assert_eq!(readable("1234"), json!("1234"));
    }
}
