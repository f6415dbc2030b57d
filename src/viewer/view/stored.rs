//! The documents of what the local store holds.

use std::collections::{HashMap, HashSet};

use super::columns::Flag;
use super::findings::{Findings, findings};
use super::info::{RunInfo, RunState, RunsView, Seen};
use super::run::{RunView, Segment};
use crate::trace::critical_path::{critical_path, entry};
use crate::trace::model::{Span, SpanId, Status, TraceId};
use crate::trace::store::{Run, RunFilter, RunId, State, Store, StoreError};
use crate::verify::Target;

/// Runs in the list, the newest ones.
const RUNS: usize = 500;

/// The list of runs. It remembers what it has counted, so that a look at a store in which little
/// changed reads little.
#[derive(Debug, Default)]
pub struct RunList {
    counted: HashMap<RunId, (u64, RunState, RunInfo)>,
}

impl RunList {
    /// The newest runs of the store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn read(&mut self, store: &Store) -> Result<RunsView, StoreError> {
        let newest = RunFilter {
            limit: Some(RUNS),
            ..RunFilter::default()
        };
        let runs = store.runs(&newest)?;
        let mut counted = HashMap::with_capacity(runs.len());
        let mut infos = Vec::with_capacity(runs.len());
        for run in runs {
            let now = state_of(&run);
            let known = self.counted.remove(&run.id).filter(|(spans, state, _)| {
                *spans == run.spans && *state == now && now != RunState::Running
            });
            let info = match known {
                Some((_, _, info)) => info,
                None => {
                    let glance = store.glance(run.begun.trace, run.begun.root)?;
                    RunInfo::of_run_seen(&run, &Seen::of_glance(&glance))
                }
            };
            counted.insert(run.id, (run.spans, now, info.clone()));
            infos.push(info);
        }
        self.counted = counted;
        Ok(RunsView { runs: infos })
    }
}

impl RunInfo {
    /// What the store knows of a run, `spans` being those of its trace.
    pub fn of_run(run: &Run, spans: &[Span]) -> Self {
        Self::of_run_seen(run, &Seen::of_spans(spans, run.begun.root))
    }

    fn of_run_seen(run: &Run, of_trace: &Seen<'_>) -> Self {
        let seen = Self::of_seen(of_trace);
        let begun = &run.begun;
        if begun.pid == 0 {
            return Self {
                trace: begun.trace.to_string(),
                run: Some(run.id.0),
                ..seen
            };
        }
        let root = of_trace.root;
        let error = root.and_then(|root| match &root.status {
            Status::Error(text) => Some(text.clone()),
            _ => None,
        });
        let cancelled = root.is_some_and(|root| root.flag("dagger.cancelled") == Some(true));
        let took = |ended: u64| ended.saturating_sub(begun.started_ns) / 1_000;
        let args = begun.args.trim();
        let args = args
            .strip_prefix(&*begun.command)
            .map_or(args, str::trim_start);
        Self {
            trace: begun.trace.to_string(),
            run: Some(run.id.0),
            name: format!("dagger {}", begun.command),
            args: (!args.is_empty())
                .then(|| args.to_owned())
                .into_iter()
                .collect(),
            directory: begun.directory.display().to_string(),
            service: begun.service.clone(),
            state: match state_of(run) {
                RunState::Done | RunState::Failed if cancelled => RunState::Cancelled,
                state => state,
            },
            exit_code: run.exit_code,
            started_ms: begun.started_ns / 1_000_000,
            duration_us: match run.state {
                State::Running => None,
                _ => run.ended_ns.map(took).or(seen.duration_us),
            },
            spans: usize::try_from(run.spans).unwrap_or(usize::MAX),
            steps: of_trace.steps,
            error,
        }
    }
}

impl RunView {
    /// The document of a trace of the store; `None` if it holds none of it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of_store(store: &Store, trace: TraceId) -> Result<Option<Self>, StoreError> {
        let runs = store.runs_of_trace(trace)?;
        let spans = store.trace(trace)?;
        let run = runs.iter().find(|run| run.begun.pid != 0).or(runs.first());
        if run.is_none() && spans.is_empty() {
            return Ok(None);
        }
        let open = match run.map(state_of) {
            Some(RunState::Running) => store.open_spans(trace)?,
            _ => Vec::new(),
        };
        Ok(Some(Self::of_run_at_work(run, spans, open)))
    }

    /// The same with the spans that have not ended: they last for as long as anything is known.
    fn of_run_at_work(run: Option<&Run>, mut spans: Vec<Span>, mut open: Vec<Span>) -> Self {
        if open.is_empty() {
            return Self::of_run(run, &spans);
        }
        let ids: HashSet<String> = open.iter().map(|span| span.id.to_string()).collect();
        let times = |span: &Span| span.start_ns.max(span.end_ns);
        let latest = spans.iter().chain(&open).map(times).max().unwrap_or(0);
        for span in &mut open {
            span.end_ns = latest;
        }
        let ended = spans.len();
        spans.append(&mut open);
        let mut view = Self::of_run(run, &spans);
        view.run.spans = ended;
        view.spans.mark(&ids, Flag::Open);
        view
    }

    /// The document of a trace's spans, and of the run that made them if it is known.
    pub fn of_run(run: Option<&Run>, spans: &[Span]) -> Self {
        let info = run.map_or_else(
            || RunInfo::of_spans(spans),
            |run| RunInfo::of_run(run, spans),
        );
        let remote = run.and_then(|run| run.begun.remote_parent);
        // Of a run under way much is missing that is still to come.
        let found = match (info.state, spans.first()) {
            (RunState::Running, _) | (_, None) => Findings::default(),
            (_, Some(first)) => findings(&target(run, first.trace, remote), spans),
        };
        let begun = run.and_then(|run| run.begun.root);
        let root = begun.filter(|root| spans.iter().any(|span| span.id == *root));
        let path: Vec<Segment> = root
            .or_else(|| entry(spans))
            .map_or_else(Vec::new, |root| critical_path(spans, root))
            .into_iter()
            .map(|segment| (segment.span, segment.start_ns, segment.end_ns))
            .collect();
        Self::new(info, spans, remote, &path, found)
    }
}

fn target(run: Option<&Run>, trace: TraceId, remote: Option<SpanId>) -> Target {
    let record = run.and_then(|run| run.record.as_ref());
    let told = record.and_then(|record| Target::of_run(record).ok());
    told.unwrap_or_else(|| {
        let service = run.map(|run| run.begun.service.clone());
        Target::of_trace(trace, service.filter(|name| !name.is_empty()), remote)
    })
}

/// How far a run is, or how its process ended.
pub(crate) fn state_of(run: &Run) -> RunState {
    match (run.state, run.exit_code) {
        (State::Running, _) => RunState::Running,
        (State::Unfinished, _) => RunState::Unfinished,
        (State::Finished, Some(130)) => RunState::Cancelled,
        (State::Finished, Some(0) | None) => RunState::Done,
        (State::Finished, Some(_)) => RunState::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::store::NewRun;
    use crate::viewer::view::Flag;
    use crate::viewer::view::testing::span;

    fn begun(pid: u32) -> NewRun {
        NewRun {
            trace: TraceId(1),
            root: Some(SpanId(1)),
            remote_parent: None,
            service: "dagger".into(),
            command: "up".into(),
            args: "up --push".into(),
            directory: "/srv/project".into(),
            started_ns: span(1).done().start_ns,
            pid,
            plan_digest: None,
        }
    }

    #[test]
    fn run_under_way_has_no_findings_and_its_open_spans_are_no_holes() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let run = store.begin(&begun(std::process::id())).unwrap();
        store
            .append(run, &[span(2).under(1).at(1, 4).done()])
            .unwrap();
        let view = RunView::of_store(&store, TraceId(1)).unwrap().unwrap();
        assert_eq!(view.run.state, RunState::Running);
        assert!(view.findings.found.is_empty());
        assert_eq!(
            view.spans.flags[0],
            Flag::Missing as u16 | Flag::Open as u16
        );
        // Once their names are known they are rows like others.
        store
            .note_open(run, &[span(1).done(), span(3).under(1).at(2, 2).done()])
            .unwrap();
        assert_eq!(store.open_mark(TraceId(1)).unwrap(), "2.4");
        let view = RunView::of_store(&store, TraceId(1)).unwrap().unwrap();
        assert_eq!(view.spans.flags, [Flag::Open as u16, 0, Flag::Open as u16]);
        assert_eq!(view.spans.dur, [4_000, 3_000, 2_000]);
        assert_eq!(view.run.spans, 1);
        let list = RunList::default().read(&store).unwrap();
        assert_eq!(
            (list.runs[0].name.as_str(), list.runs[0].duration_us),
            ("dagger up", None)
        );
        assert_eq!(list.runs[0].args, ["--push"]);
    }

    #[test]
    fn a_glance_sees_what_reading_all_spans_does() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let run = store.begin(&begun(std::process::id())).unwrap();
        let text = |text: &str| crate::trace::model::Value::Str(text.into());
        let truth = crate::trace::model::Value::Bool;
        let with = |id: u64, attributes, failed: bool| Span {
            attributes,
            status: if failed {
                Status::Error("why".into())
            } else {
                Status::Unset
            },
            ..span(id).under(1).at(id, id + 2).done()
        };
        let vertex = ("vertex".to_owned(), text("sha256:\"x"));
        let spans = [
            with(1, vec![("dagger.cancelled".into(), truth(true))], true),
            with(
                2,
                vec![vertex.clone(), ("buildkit.cached".into(), truth(true))],
                false,
            ),
            with(
                3,
                vec![("buildkit.cached".into(), truth(false)), vertex.clone()],
                true,
            ),
            with(
                4,
                vec![
                    ("other".into(), text("[\"vertex\",\"")),
                    ("vertex".into(), truth(true)),
                ],
                true,
            ),
        ];
        store.append(run, &spans).unwrap();
        let run = store.run(run).unwrap().unwrap();
        let glance = store.glance(TraceId(1), run.begun.root).unwrap();
        let seen = RunInfo::of_run_seen(&run, &Seen::of_glance(&glance));
        assert_eq!(
            seen,
            RunInfo::of_run(&run, &store.trace(TraceId(1)).unwrap())
        );
        assert_eq!(
            seen.steps
                .map(|steps| (steps.total, steps.cached, steps.failed)),
            Some((2, 1, 1))
        );
    }

    #[test]
    fn received_trace_is_called_as_its_first_span() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let run = store
            .begin(&NewRun {
                root: None,
                ..begun(0)
            })
            .unwrap();
        store.append(run, &[span(1).at(0, 5).done()]).unwrap();
        let mut list = RunList::default();
        for _ in 0..2 {
            let runs = list.read(&store).unwrap().runs;
            assert_eq!(runs[0].name, "span 1");
        }
        assert!(RunView::of_store(&store, TraceId(2)).unwrap().is_none());
    }
}
