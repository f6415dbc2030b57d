//! The spool: spans that a destination did not take, until it does.

use rusqlite::{TransactionBehavior, params};

use super::error::StoreError;
use super::open::Store;
use super::runs::RunId;
use super::spans::{id, key, ns, of_key, unsigned};
use crate::trace::model::{SpanId, TraceId};

/// A claim older than this is of a process that died while it sent, in nanoseconds.
const CLAIM_NS: u64 = 60_000_000_000;

/// Where spans wait to be sent to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpoolRoute {
    /// `collector`, `agent` or `otlp`.
    pub kind: String,
    /// Its address, without credentials.
    pub address: String,
}

/// A span that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    /// Where to.
    pub route: SpoolRoute,
    /// Its trace.
    pub trace: TraceId,
    /// Its id.
    pub span: SpanId,
    /// Since when, in nanoseconds since the epoch.
    pub since_ns: u64,
}

impl Store {
    /// Takes down that a destination did not take these spans of a run.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn spool(
        &self,
        run: RunId,
        route: &SpoolRoute,
        trace: TraceId,
        spans: &[SpanId],
        now_ns: u64,
    ) -> Result<(), StoreError> {
        self.with("write to", |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            {
                let mut insert = transaction.prepare_cached(
                    "INSERT INTO spool (trace, span, kind, address, run, since_ns)
                     VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                )?;
                for span in spans {
                    insert.execute(params![
                        key(trace),
                        id(*span),
                        route.kind,
                        route.address,
                        run.0,
                        ns(now_ns)
                    ])?;
                }
            }
            transaction.commit()
        })
    }

    /// All that waits, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn pending(&self) -> Result<Vec<Spooled>, StoreError> {
        self.with("read", |connection| {
            connection
                .prepare_cached(
                    "SELECT kind, address, trace, span, since_ns FROM spool
                     ORDER BY since_ns, trace, span",
                )?
                .query_map([], |row| {
                    Ok(Spooled {
                        route: SpoolRoute {
                            kind: row.get(0)?,
                            address: row.get(1)?,
                        },
                        trace: of_key(row.get_ref(2)?.as_blob()?),
                        span: SpanId(unsigned(row.get(3)?)),
                        since_ns: unsigned(row.get(4)?),
                    })
                })?
                .collect()
        })
    }

    /// Claims what waits for a destination, so that no other process sends it too. `claim` is a word
    /// of this process's own. A claim that was neither delivered nor released is free again after a
    /// minute.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn claim(
        &self,
        route: &SpoolRoute,
        trace: Option<TraceId>,
        claim: &str,
        now_ns: u64,
    ) -> Result<Vec<(TraceId, SpanId)>, StoreError> {
        let stale = now_ns.saturating_sub(CLAIM_NS);
        self.with("write to", |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute(
                "UPDATE spool SET claim = ?1, claimed_ns = ?2
                 WHERE kind = ?3 AND address = ?4 AND (?5 IS NULL OR trace = ?5)
                   AND (claim IS NULL OR claimed_ns < ?6)",
                params![
                    claim,
                    ns(now_ns),
                    route.kind,
                    route.address,
                    trace.map(key),
                    ns(stale)
                ],
            )?;
            let claimed = transaction
                .prepare_cached(
                    "SELECT trace, span FROM spool WHERE claim = ? AND kind = ? AND address = ?",
                )?
                .query_map(params![claim, route.kind, route.address], |row| {
                    Ok((
                        of_key(row.get_ref(0)?.as_blob()?),
                        SpanId(unsigned(row.get(1)?)),
                    ))
                })?
                .collect::<rusqlite::Result<_>>()?;
            transaction.commit()?;
            Ok(claimed)
        })
    }

    /// Takes claimed spans off the spool: they were delivered.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn delivered(
        &self,
        route: &SpoolRoute,
        claim: &str,
        spans: &[(TraceId, SpanId)],
    ) -> Result<(), StoreError> {
        self.with("write to", |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            {
                let mut delete = transaction.prepare_cached(
                    "DELETE FROM spool
                     WHERE kind = ? AND address = ? AND trace = ? AND span = ? AND claim = ?",
                )?;
                for (trace, span) in spans {
                    delete.execute(params![
                        route.kind,
                        route.address,
                        key(*trace),
                        id(*span),
                        claim
                    ])?;
                }
            }
            transaction.commit()
        })
    }

    /// Gives up a claim: what was not delivered waits again.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn release(&self, claim: &str) -> Result<(), StoreError> {
        self.with("write to", |connection| {
            connection
                .execute(
                    "UPDATE spool SET claim = NULL, claimed_ns = NULL WHERE claim = ?",
                    [claim],
                )
                .map(drop)
        })
    }

    /// Drops what has waited since before `since_ns`; returns how many spans that were.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn expire_spool(&self, since_ns: u64) -> Result<usize, StoreError> {
        self.with("write to", |connection| {
            connection.execute("DELETE FROM spool WHERE since_ns < ?", [ns(since_ns)])
        })
    }
}
