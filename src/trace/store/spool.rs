//! The spool: spans that a destination has not taken (yet), until it does.
//!
//! Every span that is to be exported is put here in the same transaction that stores it, claimed by its
//! run, and taken off when a destination has it. So whatever ends a run early, what was not delivered is
//! here.

mod amend;
mod manage;
#[cfg(test)]
mod tests;

use rusqlite::{Connection, TransactionBehavior, params};

use super::claim::{self, Claim};
use super::error::StoreError;
use super::open::Store;
use super::runs::RunId;
use super::spans::{id, insert, key, ns, of_key, unsigned};
use crate::trace::model::{Span, SpanId, TraceId};
use crate::trace::report::Route;

/// Where spans wait to be sent to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpoolRoute {
    /// What kind of destination.
    pub route: Route,
    /// Its address, without credentials.
    pub address: String,
}

/// Where new spans of a run are to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where to.
    pub routes: Vec<SpoolRoute>,
    /// Who sends them.
    pub claim: Claim,
}

/// Spans of an engine that may send them itself: nobody sends them before it was asked whether they are
/// there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The engine's address.
    pub engine: String,
    /// From when on they would be there, in nanoseconds since the epoch.
    pub due_ns: u64,
}

/// Which of the spans that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those of this run.
    pub run: Option<RunId>,
    /// Those that an engine may have sent itself.
    pub engines_only: bool,
}

/// A span that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Its trace.
    pub trace: TraceId,
    /// Its id.
    pub span: SpanId,
    /// May the destination have it all the same?
    pub uncertain: bool,
    /// The engine that may have sent it.
    pub engine: Option<String>,
}

/// Spans of a run that wait for one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Where to.
    pub route: SpoolRoute,
    /// Their run.
    pub run: RunId,
    /// Its trace.
    pub trace: TraceId,
    /// How many.
    pub spans: u64,
    /// How many of them another process is sending that began to push.
    pub in_hand: u64,
    /// How many of them an engine may have sent itself.
    pub of_engines: u64,
    /// Since when the first of them waits, in nanoseconds since the epoch.
    pub since_ns: u64,
    /// From when on the last of them may be sent, in nanoseconds since the epoch.
    pub due_ns: u64,
}

/// What may wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolLimits {
    /// So many spans.
    pub spans: Option<u64>,
    /// Spans that wait since then or later, in nanoseconds since the epoch.
    pub since_ns: Option<u64>,
}

impl Store {
    /// Appends spans of a run as [`append`](Self::append) does; all of them are to be sent, if they are `asked`
    /// for only by and by.
    ///
    /// # Errors
    /// When the store cannot be written; then none of them is in it.
    pub fn append_outgoing(
        &self,
        run: RunId,
        spans: &[Span],
        outgoing: &Outgoing,
        asked: Option<&Asked>,
        now_ns: u64,
    ) -> Result<usize, StoreError> {
        self.writing(|connection| {
            let new = insert(connection, run, spans)?;
            let ids = spans.iter().map(|span| (span.trace, span.id));
            enqueue(connection, run, ids, outgoing, asked, now_ns)?;
            Ok(new)
        })
    }

    /// Claims spans that wait for a destination, `most` of them; so no other process sends them too. Claims of
    /// processes that are gone count as none.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn claim(
        &self,
        route: &SpoolRoute,
        of: Wanted,
        claim: &Claim,
        most: usize,
        now_ns: u64,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.writing(|connection| {
            free_stale(connection, now_ns)?;
            let mut statement = connection.prepare_cached(
                "UPDATE spool SET claim = ?1, claimed_ns = ?2
                 WHERE kind = ?3 AND address = ?4 AND (trace, span) IN
                    (SELECT trace, span FROM spool
                     WHERE kind = ?3 AND address = ?4 AND claim IS NULL
                       AND (?5 IS NULL OR run = ?5) AND due_ns <= ?2
                       AND (?7 = 0 OR engine IS NOT NULL)
                     LIMIT ?6)
                 RETURNING trace, span, uncertain, engine",
            )?;
            let claimed = statement.query_map(
                params![
                    claim.as_str(),
                    ns(now_ns),
                    route.route.word(),
                    route.address,
                    of.run.map(|run| run.0),
                    i64::try_from(most).unwrap_or(i64::MAX),
                    of.engines_only,
                ],
                |row| {
                    Ok(Claimed {
                        trace: of_key(row.get_ref(0)?.as_blob()?),
                        span: SpanId(unsigned(row.get(1)?)),
                        uncertain: row.get(2)?,
                        engine: row.get(3)?,
                    })
                },
            )?;
            claimed.collect()
        })
    }

    /// Takes claimed spans off the spool: they are there, and the records of their runs say so. `by_us`: we
    /// have sent them, and not the engine whose they are.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn delivered(
        &self,
        route: &SpoolRoute,
        claim: &Claim,
        spans: &[(TraceId, SpanId)],
        by_us: bool,
    ) -> Result<(), StoreError> {
        self.writing(|connection| {
            let mut delete = connection.prepare_cached(
                "DELETE FROM spool
                 WHERE kind = ? AND address = ? AND trace = ? AND span = ? AND claim = ?
                 RETURNING run, engine IS NOT NULL",
            )?;
            let mut of_runs: Vec<((i64, bool), Vec<SpanId>)> = Vec::new();
            for (trace, span) in spans {
                let columns = params![
                    route.route.word(),
                    route.address,
                    key(*trace),
                    id(*span),
                    claim.as_str()
                ];
                let mut rows = delete.query(columns)?;
                while let Some(row) = rows.next()? {
                    let run: (i64, bool) = (row.get(0)?, row.get(1)?);
                    match of_runs.iter_mut().find(|(known, _)| *known == run) {
                        Some((_, ids)) => ids.push(*span),
                        None => of_runs.push((run, vec![*span])),
                    }
                }
            }
            for ((run, of_engine), ids) in of_runs {
                if by_us || !of_engine {
                    amend::delivered(connection, run, route, &ids, of_engine)?;
                }
            }
            Ok(())
        })
    }

    /// Says of claimed spans that a destination did not take them; `uncertain`: or perhaps it did.
    /// They stay claimed.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn refused(
        &self,
        route: &SpoolRoute,
        claim: &Claim,
        spans: &[(TraceId, SpanId)],
        uncertain: bool,
    ) -> Result<(), StoreError> {
        self.writing(|connection| {
            let mut update = connection.prepare_cached(
                "UPDATE spool SET uncertain = ?
                 WHERE kind = ? AND address = ? AND trace = ? AND span = ? AND claim = ?",
            )?;
            for (trace, span) in spans {
                update.execute(params![
                    uncertain,
                    route.route.word(),
                    route.address,
                    key(*trace),
                    id(*span),
                    claim.as_str()
                ])?;
            }
            Ok(())
        })
    }

    /// Gives up a claim: what was not delivered waits again.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.writing(|connection| {
            connection
                .execute(
                    "UPDATE spool SET claim = NULL, claimed_ns = NULL WHERE claim = ?",
                    [claim.as_str()],
                )
                .map(drop)
        })
    }

    /// One transaction that has the right to write from its begin.
    pub(super) fn writing<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.with("write to", |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }
}

fn enqueue(
    connection: &Connection,
    run: RunId,
    spans: impl Iterator<Item = (TraceId, SpanId)>,
    outgoing: &Outgoing,
    asked: Option<&Asked>,
    now_ns: u64,
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO spool (trace, span, kind, address, run, since_ns, claim, claimed_ns, engine, due_ns)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )?;
    for (trace, span) in spans {
        for route in &outgoing.routes {
            insert.execute(params![
                key(trace),
                id(span),
                route.route.word(),
                route.address,
                run.0,
                ns(now_ns),
                outgoing.claim.as_str(),
                ns(now_ns),
                asked.map(|asked| asked.engine.as_str()),
                asked.map_or(0, |asked| ns(asked.due_ns)),
            ])?;
        }
    }
    Ok(())
}

/// Frees what processes had claimed that are gone.
fn free_stale(connection: &Connection, now_ns: u64) -> rusqlite::Result<()> {
    let claims: Vec<(String, i64)> = connection
        .prepare_cached(
            "SELECT claim, max(claimed_ns) FROM spool WHERE claim IS NOT NULL GROUP BY claim",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (claim, claimed_ns) in claims {
        if claim::is_stale(&claim, unsigned(claimed_ns), now_ns) {
            connection.execute(
                "UPDATE spool SET claim = NULL, claimed_ns = NULL WHERE claim = ?",
                [claim],
            )?;
        }
    }
    Ok(())
}
