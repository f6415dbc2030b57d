//! What is known of a run without looking at its spans: a row of the list, the head of its page.

use std::collections::HashSet;

use serde::Serialize;

use crate::trace::model::{Span, SpanId, Value};
use crate::trace::store::Glance;

/// The answer of `GET /api/dagger/runs`.
#[derive(Clone, Debug, Serialize)]
pub struct RunsView {
    /// Newest first.
    pub runs: Vec<RunInfo>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunInfo {
    /// The trace's id, 32 hex digits.
    pub trace: String,
    /// The run's number in the store; `None` for a trace that another program sent.
    pub run: Option<i64>,
    /// What to call it: `dagger up`, or the name of the trace's first span.
    pub name: String,
    /// The arguments behind the command, secrets taken out.
    pub args: Vec<String>,
    /// The project's directory.
    pub directory: String,
    /// `service.name`.
    pub service: String,
    /// How far it is, or how it ended.
    pub state: RunState,
    /// The process's exit code, once it has one.
    pub exit_code: Option<i32>,
    /// Start, in milliseconds since the epoch.
    pub started_ms: u64,
    /// From start to end, in microseconds; `None` while it runs.
    pub duration_us: Option<u64>,
    /// Spans that are there so far.
    pub spans: usize,
    /// The build's steps, if any ran.
    pub steps: Option<Steps>,
    /// Why it failed, in the words of its first span.
    pub error: Option<String>,
}

/// How far a run is, or how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its process is at work.
    Running,
    /// It ended well.
    #[default]
    Done,
    /// It ended with an error.
    Failed,
    /// It was interrupted.
    Cancelled,
    /// Its process is gone and did not say how it ended.
    Unfinished,
}

impl RunState {
    /// A state by its name in JSON.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "running" => Self::Running,
            "done" => Self::Done,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            "unfinished" => Self::Unfinished,
            _ => return None,
        })
    }
}

/// How many steps ran, and how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Steps {
    /// All of them.
    pub total: u64,
    /// Those whose result was in the cache.
    pub cached: u64,
    /// Those that failed.
    pub failed: u64,
}

impl RunInfo {
    /// What the spans alone tell of a run: for a trace that another program sent.
    ///
    /// The first span is the earliest one without a parent, or else the earliest.
    pub fn of_spans(spans: &[Span]) -> Self {
        Self::of_seen(&Seen::of_spans(spans, None))
    }

    pub(super) fn of_seen(seen: &Seen<'_>) -> Self {
        let Some(first) = seen.first else {
            return Self::default();
        };
        let error = match &first.status {
            crate::trace::model::Status::Error(text) => Some(text.clone()),
            _ => None,
        };
        let state = match (&error, first.flag("dagger.cancelled")) {
            (_, Some(true)) => RunState::Cancelled,
            (Some(_), _) => RunState::Failed,
            (None, _) => RunState::Done,
        };
        Self {
            trace: first.trace.to_string(),
            run: None,
            name: first.name.clone(),
            args: Vec::new(),
            directory: String::new(),
            service: first.service().to_owned(),
            state,
            exit_code: first
                .int("dagger.exit_code")
                .and_then(|code| i32::try_from(code).ok()),
            started_ms: seen.start_ns / 1_000_000,
            duration_us: Some(seen.end_ns.saturating_sub(seen.start_ns) / 1_000),
            spans: seen.spans,
            steps: seen.steps,
            error,
        }
    }
}

/// What was seen of a run's trace.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    /// The earliest span without a parent, or else the earliest.
    first: Option<&'a Span>,
    /// The run's entry span.
    pub(super) root: Option<&'a Span>,
    start_ns: u64,
    end_ns: u64,
    spans: usize,
    pub(super) steps: Option<Steps>,
}

impl<'a> Seen<'a> {
    pub(super) fn of_spans(spans: &'a [Span], root: Option<SpanId>) -> Self {
        Self {
            first: spans
                .iter()
                .min_by_key(|span| (span.parent.is_some(), span.start_ns, span.id)),
            root: root.and_then(|root| spans.iter().find(|span| span.id == root)),
            start_ns: spans.iter().map(|span| span.start_ns).min().unwrap_or(0),
            end_ns: spans.iter().map(|span| span.end_ns).max().unwrap_or(0),
            spans: spans.len(),
            steps: Steps::of(spans),
        }
    }

    pub(super) fn of_glance(glance: &'a Glance) -> Self {
        Self {
            first: glance.first.as_ref(),
            root: glance.root.as_ref(),
            start_ns: glance.start_ns,
            end_ns: glance.end_ns,
            spans: usize::try_from(glance.spans).unwrap_or(usize::MAX),
            steps: Steps::of(&glance.steps),
        }
    }
}

impl Steps {
    /// Counts the steps among the spans; `None` if there are none.
    ///
    /// The daemon has a span of its own for a step that ran: it counts only where nobody else tells.
    pub fn of(spans: &[Span]) -> Option<Self> {
        let told = spans
            .iter()
            .any(|span| span.attribute("buildkit.cached").is_some());
        let mut seen = HashSet::new();
        let mut steps = Self::default();
        for span in spans {
            let Some(Value::Str(vertex)) = span.attribute("vertex") else {
                continue;
            };
            let counts = match told {
                true => span.attribute("buildkit.cached").is_some(),
                false => seen.insert(vertex),
            };
            if counts {
                steps.total += 1;
                steps.cached += u64::from(span.flag("buildkit.cached") == Some(true));
                steps.failed += u64::from(span.is_error());
            }
        }
        (steps.total > 0).then_some(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::view::testing::{Built, span};

    fn steps(built: impl IntoIterator<Item = Built>) -> Option<Steps> {
        Steps::of(&built.into_iter().map(Built::done).collect::<Vec<_>>())
    }

    #[test]
    fn step_and_the_daemons_span_of_it_are_one() {
        let ours = span(1).step("sha256:1", Some(true));
        let other = span(2).step("sha256:2", Some(false));
        let daemons = span(3).step("sha256:2", None);
        let counted = steps([ours, other, daemons]).unwrap();
        assert_eq!((counted.total, counted.cached), (2, 1));
    }

    #[test]
    fn steps_that_only_the_daemon_tells_of_are_counted_once_each() {
        let spans = [1, 1, 2].map(|digest| span(1).step(&format!("sha256:{digest}"), None));
        assert_eq!(steps(spans).unwrap().total, 2);
        assert_eq!(steps([span(1)]), None);
    }
}
