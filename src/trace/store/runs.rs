//! Runs: who began, in which trace, and how it ended.

use std::path::{Path, PathBuf};

use rusqlite::{Row, params};

use super::error::StoreError;
use super::open::Store;
use super::process;
use super::receive;
use super::spans::{id, key, ns, of_key, unsigned};
use crate::trace::model::{SpanId, TraceId};
use crate::trace::report::RunRecord;

/// A run's number: grows with each run, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub i64);

/// A run as it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// Its trace.
    pub trace: TraceId,
    /// Its entry span; `None` if that is not known (spans that were received or imported).
    pub root: Option<SpanId>,
    /// The span named by `TRACEPARENT`.
    pub remote_parent: Option<SpanId>,
    /// The `service.name` of its spans.
    pub service: String,
    /// The subcommand, e.g. `up`.
    pub command: String,
    /// The arguments, secrets redacted.
    pub args: String,
    /// Absolute path of the project's directory.
    pub directory: PathBuf,
    /// Start, in nanoseconds since the epoch.
    pub started_ns: u64,
    /// The process; 0: none, all of it happened elsewhere.
    pub pid: u32,
    /// SHA-256 of the plan, if there is one.
    pub plan_digest: Option<String>,
}

/// Is a run over?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its process is there.
    Running,
    /// It ended and said so.
    Finished,
    /// Its process is gone without having said so: it was killed, or the machine went down.
    Unfinished,
}

/// A run of the store.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// How it began.
    pub begun: NewRun,
    /// Is it over?
    pub state: State,
    /// The process's exit code, if it finished.
    pub exit_code: Option<i32>,
    /// End, in nanoseconds since the epoch, if it finished.
    pub ended_ns: Option<u64>,
    /// Spans of it in the store.
    pub spans: u64,
    /// Its record with the export report, if it finished.
    pub record: Option<RunRecord>,
}

/// Which runs are asked for; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// That began then or later, in nanoseconds since the epoch.
    pub since_ns: Option<u64>,
    /// In this directory.
    pub directory: Option<PathBuf>,
    /// With this exit code class: `true`: 0, `false`: any other.
    pub succeeded: Option<bool>,
    /// That took this long or longer, in nanoseconds.
    pub min_duration_ns: Option<u64>,
    /// That took this long or less, in nanoseconds.
    pub max_duration_ns: Option<u64>,
    /// With this subcommand.
    pub command: Option<String>,
    /// At most so many.
    pub limit: Option<usize>,
}

const COLUMNS: &str =
    "id, trace, root, remote_parent, service, command, args, directory, started_ns,
    ended_ns, pid, process, plan_digest, exit_code, record,
    (SELECT count(*) FROM spans WHERE spans.run = runs.id)";

impl Store {
    /// Takes down that a run begins. What was received of its trace becomes its own.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn begin(&self, run: &NewRun) -> Result<RunId, StoreError> {
        self.writing(|connection| {
            connection.execute(
                "INSERT INTO runs (trace, root, remote_parent, service, command, args, directory,
                    started_ns, pid, process, plan_digest)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    key(run.trace),
                    run.root.map(id),
                    run.remote_parent.map(id),
                    run.service,
                    run.command,
                    run.args,
                    run.directory.to_string_lossy(),
                    ns(run.started_ns),
                    run.pid,
                    process::identity(run.pid),
                    run.plan_digest,
                ],
            )?;
            let id = RunId(connection.last_insert_rowid());
            receive::adopt(connection, id, run.trace)?;
            Ok(id)
        })
    }

    /// Says what a run's entry span is, and the digest of its plan, where they were not known at once.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn describe(
        &self,
        run: RunId,
        root: Option<SpanId>,
        plan_digest: Option<&str>,
    ) -> Result<(), StoreError> {
        self.with("write to", |connection| {
            connection
                .execute(
                    "UPDATE runs SET root = coalesce(?, root), plan_digest = coalesce(?, plan_digest)
                     WHERE id = ?",
                    params![root.map(id), plan_digest, run.0],
                )
                .map(drop)
        })
    }

    /// Takes down how a run ended.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn finish(&self, run: RunId, record: &RunRecord, ended_ns: u64) -> Result<(), StoreError> {
        let json = serde_json::to_string(record).unwrap_or_default();
        let root = record.root.parse::<SpanId>().ok();
        self.with("write to", |connection| {
            connection
                .execute(
                    "UPDATE runs SET ended_ns = ?, exit_code = ?, record = ?, root = coalesce(?, root)
                     WHERE id = ?",
                    params![ns(ended_ns), record.exit_code, json, root.map(id), run.0],
                )
                .map(drop)
        })
    }

    /// Says when a run was over of which nothing else is known: it was imported. A later end counts.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn ended(&self, run: RunId, ended_ns: u64) -> Result<(), StoreError> {
        self.with("write to", |connection| {
            connection
                .execute(
                    "UPDATE runs SET ended_ns = max(coalesce(ended_ns, 0), ?) WHERE id = ?",
                    params![ns(ended_ns), run.0],
                )
                .map(drop)
        })
    }

    /// The runs that fit, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM runs
             WHERE (?1 IS NULL OR started_ns >= ?1)
               AND (?2 IS NULL OR directory = ?2)
               AND (?3 IS NULL OR (exit_code = 0) = ?3)
               AND (?4 IS NULL OR ended_ns - started_ns >= ?4)
               AND (?5 IS NULL OR command = ?5)
               AND (?6 IS NULL OR ended_ns - started_ns <= ?6)
             ORDER BY started_ns DESC, id DESC LIMIT ?7"
        );
        let directory = filter.directory.as_deref().map(Path::to_string_lossy);
        let limit = filter
            .limit
            .map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        self.with("read", |connection| {
            connection
                .prepare_cached(&sql)?
                .query_map(
                    params![
                        filter.since_ns.map(ns),
                        directory,
                        filter.succeeded,
                        filter.min_duration_ns.map(ns),
                        filter.command,
                        filter.max_duration_ns.map(ns),
                        limit
                    ],
                    read,
                )?
                .collect()
        })
    }

    /// One run by its number.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn run(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE id = ?");
        self.with("read", |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query_map([run.0], read)?;
            rows.next().transpose()
        })
    }

    /// The runs that took part in a trace, newest first; with a common `TRACEPARENT` there may be
    /// several.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs_of_trace(&self, trace: TraceId) -> Result<Vec<Run>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM runs WHERE trace = ? ORDER BY started_ns DESC, id DESC");
        self.with("read", |connection| {
            connection
                .prepare_cached(&sql)?
                .query_map([key(trace)], read)?
                .collect()
        })
    }

    /// Removes a run with its spans and what of it waits to be sent. `false` if there was none.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remove(&self, run: RunId) -> Result<bool, StoreError> {
        self.with("write to", |connection| {
            let removed = connection.execute("DELETE FROM runs WHERE id = ?", [run.0])?;
            Ok(removed > 0)
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    let span = |column: usize| -> rusqlite::Result<Option<SpanId>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(unsigned).map(SpanId))
    };
    let ended_ns = row.get::<_, Option<i64>>(9)?.map(unsigned);
    let pid: u32 = row.get(10)?;
    let recorded: String = row.get(11)?;
    let record: Option<String> = row.get(14)?;
    Ok(Run {
        id: RunId(row.get(0)?),
        begun: NewRun {
            trace: of_key(row.get_ref(1)?.as_blob()?),
            root: span(2)?,
            remote_parent: span(3)?,
            service: row.get(4)?,
            command: row.get(5)?,
            args: row.get(6)?,
            directory: row.get::<_, String>(7)?.into(),
            started_ns: unsigned(row.get(8)?),
            pid,
            plan_digest: row.get(12)?,
        },
        state: match ended_ns {
            Some(_) => State::Finished,
            None if pid == 0 => State::Finished,
            None if process::identity(pid) == recorded => State::Running,
            None => State::Unfinished,
        },
        exit_code: row.get(13)?,
        ended_ns,
        spans: unsigned(row.get(15)?),
        record: record.and_then(|json| serde_json::from_str(&json).ok()),
    })
}
