//! Spans that others sent: into the run of their trace, or into a run of their own if there is none.
//!
//! A run that records itself and is received again is one run, with each span once.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::error::StoreError;
use super::open::Store;
use super::runs::RunId;
use super::spans::{insert, key, ns};
use crate::trace::model::{Span, TraceId};

/// What `process` says of a run that was received: it has none.
pub(super) const RECEIVED: &str = "received";

impl Store {
    /// Takes in spans that were received; when it returns they are on disk. Gives how many were new.
    ///
    /// # Errors
    /// When the store cannot be written; then none of them is in it.
    pub fn receive(&self, spans: &[Span]) -> Result<usize, StoreError> {
        let mut traces: HashMap<TraceId, Vec<Span>> = HashMap::new();
        for span in spans {
            traces.entry(span.trace).or_default().push(span.clone());
        }
        self.writing(|connection| {
            let mut new = 0;
            for (trace, spans) in &traces {
                let run = match run_of(connection, *trace)? {
                    Some(run) => run,
                    None => begin(connection, *trace)?,
                };
                new += insert(connection, run, spans)?;
                describe(connection, run, spans)?;
            }
            Ok(new)
        })
    }
}

/// The run that a trace's spans belong to: one that records itself before one that was received.
fn run_of(connection: &Connection, trace: TraceId) -> rusqlite::Result<Option<RunId>> {
    connection
        .prepare_cached("SELECT id FROM runs WHERE trace = ? ORDER BY pid = 0, id DESC LIMIT 1")?
        .query_row([key(trace)], |row| row.get(0).map(RunId))
        .optional()
}

fn begin(connection: &Connection, trace: TraceId) -> rusqlite::Result<RunId> {
    connection
        .prepare_cached(
            "INSERT INTO runs (trace, service, command, args, directory, started_ns, ended_ns, pid, process)
             VALUES (?, '', '', '', '', ?, 0, 0, ?)",
        )?
        .execute(params![key(trace), i64::MAX, RECEIVED])?;
    Ok(RunId(connection.last_insert_rowid()))
}

/// What a received run is called, and from when to when it went on, by the spans that came.
fn describe(connection: &Connection, run: RunId, spans: &[Span]) -> rusqlite::Result<()> {
    let top = spans
        .iter()
        .min_by_key(|span| (span.parent.is_some(), span.start_ns, span.id));
    let Some(top) = top else {
        return Ok(());
    };
    let start = spans.iter().map(|span| span.start_ns).min();
    let end = spans.iter().map(|span| span.end_ns).max();
    connection
        .prepare_cached(
            "UPDATE runs SET
                started_ns = min(started_ns, ?2), ended_ns = max(ended_ns, ?3),
                service = CASE WHEN ?4 OR command = '' THEN ?5 ELSE service END,
                command = CASE WHEN ?4 OR command = '' THEN ?6 ELSE command END
             WHERE id = ?1 AND process = ?7",
        )?
        .execute(params![
            run.0,
            ns(start.unwrap_or_default()),
            ns(end.unwrap_or_default()),
            top.parent.is_none(),
            top.service(),
            top.name,
            RECEIVED,
        ])?;
    Ok(())
}

/// Gives what was received of a trace to a run of it that records itself, in place of the received run.
pub(super) fn adopt(connection: &Connection, run: RunId, trace: TraceId) -> rusqlite::Result<()> {
    let of_trace = "trace = ?2 AND process = ?3 AND id <> ?1";
    let adopted = connection.execute(
        &format!("UPDATE spans SET run = ?1 WHERE run IN (SELECT id FROM runs WHERE {of_trace})"),
        params![run.0, key(trace), RECEIVED],
    )?;
    if adopted > 0 {
        connection.execute(
            &format!("DELETE FROM runs WHERE {of_trace}"),
            params![run.0, key(trace), RECEIVED],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::model::{Kind, SpanId, Status, Value};
    use crate::trace::store::{Limits, NewRun, RunFilter, State};

    fn span(id: u64, start_ns: u64) -> Span {
        Span {
            trace: TraceId(7),
            id: SpanId(id),
            parent: (id > 1).then_some(SpanId(1)),
            name: format!("span {id}"),
            kind: Kind::Internal,
            start_ns,
            end_ns: start_ns + 5_000,
            status: Status::Unset,
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            resource: std::sync::Arc::default(),
        }
    }

    fn own() -> NewRun {
        NewRun {
            trace: TraceId(7),
            root: Some(SpanId(1)),
            remote_parent: None,
            service: "dagger".into(),
            command: "up".into(),
            args: String::new(),
            directory: "/srv".into(),
            started_ns: 1_000,
            pid: std::process::id(),
            plan_digest: None,
        }
    }

    fn store() -> (Store, tempfile::TempDir) {
        let state = tempfile::tempdir().unwrap();
        (Store::open(state.path()).unwrap(), state)
    }

    #[test]
    fn a_received_trace_is_one_run_however_many_batches_it_comes_in() {
        let (store, _state) = store();
        assert_eq!(store.receive(&[span(2, 9_000)]).unwrap(), 1);
        assert_eq!(store.receive(&[span(1, 3_000), span(2, 9_000)]).unwrap(), 1);
        let runs = store.runs(&RunFilter::default()).unwrap();
        assert_eq!(runs.len(), 1);
        let run = &runs[0];
        assert_eq!((run.begun.command.as_str(), run.spans), ("span 1", 2));
        assert_eq!((run.begun.started_ns, run.ended_ns), (3_000, Some(14_000)));
        assert_eq!(run.state, State::Finished);
    }

    #[test]
    fn a_run_that_records_itself_is_not_doubled_whichever_comes_first() {
        let finer = || Span {
            attributes: vec![("whole".into(), Value::Bool(true))],
            ..span(1, 3_456)
        };
        for received_first in [true, false] {
            let (store, _state) = store();
            let receive = || store.receive(&[span(1, 3_000), span(2, 4_000)]).unwrap();
            if received_first {
                receive();
            }
            let run = store.begin(&own()).unwrap();
            store.append(run, &[finer()]).unwrap();
            receive();
            store.append(run, &[span(2, 4_000)]).unwrap();
            let runs = store.runs(&RunFilter::default()).unwrap();
            assert_eq!(runs.len(), 1, "{received_first}");
            assert_eq!((runs[0].id, runs[0].spans), (run, 2));
            let spans = store.trace(TraceId(7)).unwrap();
            // The copy that went through microseconds does not take the place of the other.
            assert_eq!(spans, [finer(), span(2, 4_000)], "{received_first}");
        }
    }

    #[test]
    fn received_traces_push_no_run_out() {
        let (store, _state) = store();
        let run = store.begin(&own()).unwrap();
        store.ended(run, 2_000).unwrap();
        for trace in 100..120 {
            let other = Span {
                trace: TraceId(trace),
                ..span(1, 50_000_000)
            };
            store.receive(&[other]).unwrap();
        }
        let limits = Limits {
            runs: Some(1),
            since_ns: None,
            bytes: None,
        };
        store.prune(&limits).unwrap();
        assert!(store.run(run).unwrap().is_some());
        assert_eq!(store.runs(&RunFilter::default()).unwrap().len(), 21);
    }
}
