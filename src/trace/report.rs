//! What a run exported: the ids and counts that `verify` holds against what it reads back.
//!
//! Lives here: the record's shape. Elsewhere: filling it (`telemetry`), keeping it on disk
//! (`trace::store`), judging it (`verify`).

use serde::{Deserialize, Serialize};

/// How a run ended, and what became of its spans. One a run, JSON, in the local store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of this shape; 1.
    pub schema: u32,
    /// The trace's id, 32 hex digits.
    pub trace: String,
    /// The id of the run's entry span, 16 hex digits.
    pub root: String,
    /// The span named by `TRACEPARENT`, 16 hex digits, if the run had a parent elsewhere.
    pub remote_parent: Option<String>,
    /// The `service.name` that the spans carry.
    pub service: String,
    /// The subcommand, e.g. `up`.
    pub command: String,
    /// Absolute path of the project's directory: what "the last run of this directory" means.
    pub directory: String,
    /// Start of the run, in milliseconds since the epoch.
    pub started_ms: u64,
    /// The process's exit code.
    pub exit_code: i32,
    /// Where to query for the trace, if the run knew.
    pub query_url: Option<String>,
    /// Where the secrets of its build came from; never what they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<DeclaredSecret>,
    /// What became of its spans.
    pub export: ExportReport,
}

/// A secret that a build was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredSecret {
    /// What steps call it.
    pub id: String,
    /// Where its value can be read again.
    pub from: SecretFrom,
}

/// Where the value of a secret was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretFrom {
    /// A variable of the environment.
    Variable(String),
    /// A file, by its absolute path.
    File(String),
    /// A command, which is not run again.
    Command,
}

/// What became of a run's spans.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportReport {
    /// Every span that ended, 16 hex digits each, in order of their ends.
    pub spans: Vec<String>,
    /// Spans that were begun and had not ended when the run did.
    pub unfinished: Vec<String>,
    /// Spans that found the exporter's queue full and were not exported.
    pub dropped: Vec<String>,
    /// The ways out, one entry each; none if nothing was to be exported.
    pub routes: Vec<RouteReport>,
    /// Was nothing exported because of `TRACEPARENT`'s flags or `OTEL_TRACES_SAMPLER`?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsampled: bool,
    /// What became of the daemon's own spans; absent if no build was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon: Option<DaemonReport>,
    /// What became of spans of earlier runs that had waited; absent if none had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool: Option<SpoolReport>,
}

/// What became of the spans that the daemon made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonReport {
    /// Their ids, 16 hex digits each.
    pub spans: Vec<String>,
    /// Did we send them where ours go? If not, they were left to the daemon.
    pub imported: bool,
    /// Why.
    pub why: String,
    /// Why they could not be read.
    pub error: Option<String>,
    /// What its history said of the run's builds, as far as their records were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builds: Vec<BuildReport>,
}

/// What the daemon's history said of a build, right after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildReport {
    /// Its id: the `ref` of the solve.
    pub build: String,
    /// How it ended.
    pub end: BuildEnd,
    /// Its steps, also those that were never looked at.
    pub total: u32,
    /// Of them, those that ended.
    pub completed: u32,
    /// Of those, the ones whose result was there already.
    pub cached: u32,
}

/// How a build ended, as the daemon has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildEnd {
    /// Well.
    Done,
    /// It failed.
    Failed,
    /// It was stopped.
    Cancelled,
}

/// One way out of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteReport {
    /// Collector or agent.
    pub route: Route,
    /// Its address, without credentials.
    pub address: String,
    /// Spans that were handed over: accepted by a collector (2xx), or sent to an agent,
    /// which does not answer.
    pub delivered: u64,
    /// Ids of spans that were refused, or not handed over before the deadline.
    pub lost: Vec<String>,
    /// Of those, how many wait in the store to be sent again.
    #[serde(default, skip_serializing_if = "is_none_waiting")]
    pub spooled: u64,
    /// The last failure, in plain words.
    pub error: Option<String>,
}

fn is_none_waiting(spooled: &u64) -> bool {
    *spooled == 0
}

/// What became, during a run, of spans of earlier runs that had waited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolReport {
    /// Spans that were delivered meanwhile.
    pub delivered: u64,
    /// Spans that were dropped, as too many waited or for too long.
    pub dropped: u64,
    /// Why not all were delivered.
    pub error: Option<String>,
}

/// A kind of destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Jaeger's collector: thrift over HTTP, which answers.
    Collector,
    /// An OTLP receiver over HTTP, which answers.
    Otlp,
    /// Jaeger's agent: compact thrift over UDP, which does not.
    Agent,
}

impl Route {
    /// Its name, as it is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::Collector => "collector",
            Self::Otlp => "otlp",
            Self::Agent => "agent",
        }
    }

    /// The route of this name.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Collector, Self::Otlp, Self::Agent]
            .into_iter()
            .find(|route| route.word() == word)
    }
}

impl ExportReport {
    /// How many spans were to be exported: ours, and those of the daemon that we took over.
    pub fn total(&self) -> usize {
        let imported = self.daemon.as_ref().filter(|daemon| daemon.imported);
        self.spans.len() + imported.map_or(0, |daemon| daemon.spans.len())
    }

    /// Did every span leave by every way?
    pub fn clean(&self) -> bool {
        self.unfinished.is_empty()
            && self.dropped.is_empty()
            && self
                .routes
                .iter()
                .all(|route| route.lost.is_empty() && route.error.is_none())
    }
}
