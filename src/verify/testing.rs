//! Traces for tests: a builder, whole traces shaped like the real ones, and the captured ones.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::expect::Expectations;
use super::index::LayOut;
use super::judge::judge_along;
use super::{Outcome, Severity, Target, Tolerance};
use crate::trace::critical_path::critical_path;
use crate::trace::jaeger::{Answer, decode};
use crate::trace::model::{Event, Kind, Resource, Span, SpanId, Status, TraceId, Value};
use crate::trace::report::{
    BuildEnd, BuildReport, DaemonReport, ExportReport, Route, RouteReport, RunRecord,
};

/// The trace that built spans belong to.
pub(crate) const TRACE: TraceId = TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);

/// The id of the build that built traces are of.
const BUILD: &str = "0123456789abcdefghijklmno";

/// Start of built traces: in the year 2026, in microseconds.
const EPOCH_US: u64 = 1_795_497_451_000_000;

/// A span under construction.
#[derive(Clone)]
pub(crate) struct Built(Span);

/// A span of service `dagger`, without a parent.
pub(crate) fn span(id: u64) -> Built {
    let resource = resource("dagger");
    Built(Span {
        trace: TRACE,
        id: SpanId(id),
        parent: None,
        name: format!("span {id}"),
        kind: Kind::Internal,
        start_ns: EPOCH_US * 1_000,
        end_ns: EPOCH_US * 1_000,
        status: Status::Unset,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
        resource: Arc::new(resource),
    })
}

fn resource(service: &str) -> Resource {
    let said = ["service.version", "host.name", "telemetry.sdk.name"];
    Resource {
        service: service.into(),
        attributes: said.map(|key| (key.into(), Value::Str("x".into()))).into(),
    }
}

impl Built {
    pub(crate) fn under(mut self, parent: u64) -> Self {
        self.0.parent = Some(SpanId(parent));
        self
    }

    pub(crate) fn named(mut self, name: &str) -> Self {
        self.0.name = name.into();
        self
    }

    pub(crate) fn of(mut self, service: &str) -> Self {
        self.0.resource = Arc::new(resource(service));
        self
    }

    /// From one millisecond of the trace to another.
    fn at_ms(mut self, start: u64, end: u64) -> Self {
        self.0.start_ns = (EPOCH_US + start * 1_000) * 1_000;
        self.0.end_ns = (EPOCH_US + end * 1_000) * 1_000;
        self
    }

    fn kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.0.attributes.push((key.into(), value));
        self
    }

    pub(crate) fn calling(self) -> Self {
        self.kind(Kind::Client)
    }

    fn int(self, key: &str, value: i64) -> Self {
        self.with(key, Value::Int(value))
    }

    fn flag(self, key: &str, value: bool) -> Self {
        self.with(key, Value::Bool(value))
    }

    fn step(self, digit: char) -> Self {
        let digest = format!("sha256:{}", digit.to_string().repeat(64));
        self.with("vertex", Value::Str(digest))
    }

    fn failed(mut self, why: &str) -> Self {
        self.0.status = Status::Error(why.into());
        self
    }

    fn event(mut self, name: &str) -> Self {
        self.0.events.push(Event {
            name: name.into(),
            at_ns: self.0.end_ns,
            attributes: vec![("line".into(), Value::Str("boom".into()))],
        });
        self
    }

    pub(crate) fn done(self) -> Span {
        self.0
    }
}

/// A whole trace, and what is known of it beforehand.
#[derive(Clone)]
pub(crate) struct Whole {
    pub(crate) name: String,
    pub(crate) spans: Vec<Span>,
    pub(crate) record: RunRecord,
    pub(crate) foreign: usize,
    /// What lays out its critical path.
    pub(crate) lay_out: LayOut,
}

impl Whole {
    fn built(name: &str, spans: Vec<Built>, end: BuildEnd, [completed, cached]: [u32; 2]) -> Self {
        let spans: Vec<Span> = spans.into_iter().map(Built::done).collect();
        let mut whole = Self::with_record(name, spans, "dagger", SpanId(1));
        let build = BuildReport {
            build: BUILD.into(),
            end,
            total: completed + 1,
            completed,
            cached,
        };
        whole.record.export.daemon = Some(DaemonReport {
            builds: vec![build],
            ..DaemonReport::default()
        });
        whole
    }

    /// Makes up the record that a run would have left.
    fn with_record(name: &str, spans: Vec<Span>, service: &str, root: SpanId) -> Self {
        let ours = spans.iter().filter(|span| span.service() == service);
        let exported: Vec<String> = ours.map(|span| span.id.to_string()).collect();
        let entry = spans.iter().find(|span| span.id == root).unwrap();
        let record = RunRecord {
            schema: 1,
            trace: entry.trace.to_string(),
            root: root.to_string(),
            remote_parent: entry.parent.map(|id| id.to_string()),
            service: service.into(),
            command: "up".into(),
            directory: "/srv/project".into(),
            started_ms: entry.start_ns / 1_000_000,
            exit_code: entry
                .int("dagger.exit_code")
                .map_or(0, |code| i32::try_from(code).unwrap()),
            query_url: None,
            secrets: Vec::new(),
            export: ExportReport {
                routes: vec![RouteReport {
                    route: Route::Collector,
                    address: "http://localhost:14268/api/traces".into(),
                    delivered: exported.len() as u64,
                    lost: Vec::new(),
                    spooled: 0,
                    error: None,
                }],
                spans: exported,
                ..ExportReport::default()
            },
        };
        Self {
            name: name.into(),
            spans,
            record,
            foreign: 0,
            lay_out: critical_path,
        }
    }

    pub(crate) fn target(&self) -> Target {
        Target::of_run(&self.record).unwrap()
    }

    pub(crate) fn answer(&self) -> Answer {
        Answer {
            spans: self.spans.clone(),
            foreign: self.foreign,
            ..Answer::default()
        }
    }

    /// The id of the first span for which this holds.
    pub(crate) fn find(&self, fits: impl Fn(&Span) -> bool) -> Option<SpanId> {
        self.spans.iter().find(|span| fits(span)).map(|s| s.id)
    }

    pub(crate) fn get(&mut self, id: SpanId) -> &mut Span {
        self.spans.iter_mut().find(|span| span.id == id).unwrap()
    }

    pub(crate) fn remove(&mut self, id: SpanId) {
        self.spans.retain(|span| span.id != id);
    }

    /// The rules that found something, with the severity of the worst.
    pub(crate) fn fired(&self) -> BTreeSet<(&'static str, Severity)> {
        fired_along(self.lay_out, &self.target(), &self.answer())
    }
}

/// The rules that found something, with the severity of the worst.
pub(crate) fn fired(target: &Target, answer: &Answer) -> BTreeSet<(&'static str, Severity)> {
    fired_along(critical_path, target, answer)
}

fn fired_along(
    lay_out: LayOut,
    target: &Target,
    answer: &Answer,
) -> BTreeSet<(&'static str, Severity)> {
    let judged = judge_along(
        lay_out,
        target,
        answer,
        None,
        Tolerance::default(),
        &Expectations::default(),
        Vec::new(),
    );
    judged
        .outcomes
        .into_iter()
        .filter_map(|(rule, outcome)| match outcome {
            Outcome::Checked(findings) => findings
                .iter()
                .map(|finding| finding.severity.unwrap_or(rule.severity))
                .max()
                .map(|worst| (rule.id, worst)),
            Outcome::Skipped(_) => None,
        })
        .collect()
}

/// Our call to the daemon, and the daemon's side of it under the next id.
fn call(id: u64, parent: u64, method: &str, start: u64, end: u64) -> [Built; 2] {
    let name = format!("moby.buildkit.v1.Control/{method}");
    let call = span(id).under(parent).named(&name);
    [
        call.kind(Kind::Client)
            .at_ms(start, end)
            .int("rpc.grpc.status_code", 0),
        span(id + 1)
            .under(id)
            .named(&name)
            .of("buildkitd")
            .kind(Kind::Server)
            .at_ms(start + 1, end - 1),
    ]
}

/// The daemon's call back, and our side of it under the next id.
fn callback(id: u64, parent: u64, start: u64, end: u64) -> [Built; 2] {
    let name = "moby.filesync.v1.FileSync/DiffCopy";
    let daemon = span(id).under(parent).named(name).of("buildkitd");
    [
        daemon.kind(Kind::Client).at_ms(start, end),
        span(id + 1)
            .under(id)
            .named(name)
            .kind(Kind::Server)
            .at_ms(start + 1, end - 1),
    ]
}

/// What every `dagger up` begins with; the root has id 1 and the daemon's side of `Solve` 31.
fn frame(exit_code: i64, totals: [i64; 3]) -> Vec<Built> {
    let mut spans = vec![
        span(1)
            .named("dagger up")
            .at_ms(0, 1_000)
            .int("dagger.exit_code", exit_code)
            .with("dagger.version", Value::Str("0.1.0".into())),
        span(2).under(1).named("connect").at_ms(1, 20),
        span(20)
            .under(1)
            .named("solve")
            .at_ms(21, 990)
            .with("buildkit.ref", Value::Str(BUILD.into()))
            .int("buildkit.steps.total", totals[0])
            .int("buildkit.steps.cached", totals[1])
            .int("buildkit.steps.failed", totals[2]),
    ];
    spans.extend(call(10, 2, "Info", 3, 8));
    spans.extend(call(12, 2, "ListWorkers", 9, 19));
    spans.extend(call(30, 20, "Solve", 23, 980));
    spans.extend(call(32, 20, "Status", 23, 985));
    spans.extend(call(34, 20, "Session", 22, 988));
    spans
}

/// A build that went well: one step ran, one sent files, one was cached.
pub(crate) fn good_build() -> Whole {
    let mut spans = frame(0, [3, 1, 0]);
    let daemon = |id: u64| span(id).under(31).of("buildkitd");
    let step = |id: u64| span(id).under(20);
    spans.extend([
        daemon(40)
            .named("[internal] load build context")
            .step('a')
            .at_ms(30, 100),
        daemon(41)
            .named("load cache: [base 1/1] ADD rootfs.tar /")
            .step('b')
            .at_ms(100, 101),
        daemon(42)
            .named("[a 1/1] RUN echo one > /one")
            .step('c')
            .at_ms(101, 900)
            .event("ExecOp started"),
        daemon(43).named("create history record").at_ms(901, 970),
        step(50)
            .named("[internal] load build context")
            .step('a')
            .flag("buildkit.cached", false)
            .at_ms(30, 100),
        step(51)
            .named("[base 1/1] ADD rootfs.tar /")
            .step('b')
            .flag("buildkit.cached", true)
            .at_ms(100, 101),
        step(52)
            .named("[a 1/1] RUN echo one > /one")
            .step('c')
            .flag("buildkit.cached", false)
            .at_ms(101, 900),
    ]);
    spans.extend(callback(60, 40, 40, 90));
    Whole::built("built: good build", spans, BuildEnd::Done, [3, 1])
}

/// A build in which one step failed, and its neighbour was cancelled for it.
pub(crate) fn failed_build() -> Whole {
    let mut spans = frame(1, [2, 0, 1]);
    let why = "process \"/bin/sh -c false\" did not complete successfully: exit code: 1";
    for built in &mut spans {
        if [1, 20, 30, 31].contains(&built.0.id.0) {
            built.0.status = Status::Error(why.into());
        }
        if built.0.id == SpanId(30) {
            built.0.attributes = vec![("rpc.grpc.status_code".into(), Value::Int(2))];
        }
    }
    spans.extend([
        span(40)
            .under(31)
            .of("buildkitd")
            .named("[a 1/1] RUN false")
            .step('a')
            .at_ms(40, 900)
            .failed(why)
            .event("exception"),
        // The daemon reports a cancelled step as failed; that is not for us to judge.
        span(41)
            .under(31)
            .of("buildkitd")
            .named("[b 1/1] RUN sleep 9")
            .step('b')
            .at_ms(40, 901)
            .failed("context canceled"),
        span(50)
            .under(20)
            .named("[a 1/1] RUN false")
            .step('a')
            .flag("buildkit.cached", false)
            .at_ms(40, 900)
            .failed("")
            .event("output"),
        span(51)
            .under(20)
            .named("[b 1/1] RUN sleep 9")
            .step('b')
            .flag("buildkit.cached", false)
            .flag("dagger.cancelled", true)
            .at_ms(40, 901),
    ]);
    Whole::built("built: failed build", spans, BuildEnd::Failed, [2, 0])
}

/// A good build under another job's span (`TRACEPARENT`), beside another build of the same job.
pub(crate) fn build_of_a_job() -> Whole {
    let mut whole = good_build();
    whole.name = "built: build of a job".into();
    whole.get(SpanId(1)).parent = Some(SpanId(0x900));
    whole.record.remote_parent = Some(SpanId(0x900).to_string());
    whole.spans.extend(
        [
            span(0x900).named("job").of("ci").at_ms(0, 5_000),
            // None of this is ours to judge: it fails, hangs in the air and lasts too long.
            span(0x901)
                .under(0x900)
                .named("dagger up")
                .at_ms(2_000, 9_000),
            span(0x902).under(0x901).named("solve").failed(""),
            span(0x903).under(0x999).of("ci"),
        ]
        .map(Built::done),
    );
    whole
}

/// The captured traces in `tests/fixtures/traces/`, each with the run's record or one made up.
pub(crate) fn captured() -> Vec<Whole> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/traces");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.ends_with(".json") && !name.ends_with(".run.json")
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "the captured traces are gone");
    paths.into_iter().map(read_captured).collect()
}

fn read_captured(path: PathBuf) -> Whole {
    let json = std::fs::read(&path).unwrap();
    let envelope: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let id = envelope["data"][0]["traceID"].as_str().unwrap();
    let spans = decode(&json, id.parse().unwrap()).unwrap().unwrap().spans;
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    if let Ok(record) = std::fs::read(path.with_extension("run.json")) {
        let record = serde_json::from_slice(&record).unwrap();
        return Whole {
            name,
            spans,
            record,
            foreign: 0,
            lay_out: critical_path,
        };
    }
    let root = spans.iter().find(|span| span.parent.is_none()).unwrap();
    let (root, service) = (root.id, root.service().to_owned());
    Whole::with_record(&name, spans, &service, root)
}

/// Every whole trace there is.
pub(crate) fn wholes() -> Vec<Whole> {
    let mut wholes = vec![good_build(), failed_build(), build_of_a_job()];
    wholes.extend(captured());
    wholes
}
