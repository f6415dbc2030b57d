//! What is on the spool, and what goes on and off it other than by being sent.

use rusqlite::{Row, params};

use super::{SpoolLimits, SpoolRoute, Waiting, claim, free_stale};
use crate::trace::report::Route;
use crate::trace::store::error::StoreError;
use crate::trace::store::open::Store;
use crate::trace::store::runs::RunId;
use crate::trace::store::spans::{ns, of_key, unsigned};

impl Store {
    /// Puts all spans of a run that is over on the spool, for a destination that had none of them. Those of
    /// other services than the run's own, or all if the run's `own` service is not said, may be there by
    /// another way: they are sent only if they are seen not to be.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn spool_run(
        &self,
        run: RunId,
        route: &SpoolRoute,
        own: Option<&str>,
        now_ns: u64,
    ) -> Result<usize, StoreError> {
        self.writing(|connection| {
            connection.execute(
                "INSERT INTO spool (trace, span, kind, address, run, since_ns, engine)
                 SELECT s.trace, s.id, ?2, ?3, ?1, ?4, CASE WHEN r.service = ?5 THEN NULL ELSE '' END
                 FROM spans s JOIN resources r ON r.id = s.resource WHERE s.run = ?1
                 ON CONFLICT DO NOTHING",
                params![run.0, route.route.word(), route.address, ns(now_ns), own],
            )
        })
    }

    /// How many of a run's own spans wait, for each destination.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn spooled(&self, run: RunId) -> Result<Vec<(SpoolRoute, u64)>, StoreError> {
        self.with("read", |connection| {
            connection
                .prepare_cached(
                    "SELECT kind, address, count(*) FROM spool WHERE run = ? AND engine IS NULL
                     GROUP BY kind, address",
                )?
                .query_map([run.0], |row| {
                    let route = route(row.get(0)?, row.get(1)?);
                    Ok((route, unsigned(row.get(2)?)))
                })?
                .collect()
        })
    }

    /// What waits for other destinations than `known` waits for `to` from now on. Nobody knows whether
    /// the one leads where the other does, so all of it may be there already.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn readdress(
        &self,
        known: &[SpoolRoute],
        to: &SpoolRoute,
        run: Option<RunId>,
        now_ns: u64,
    ) -> Result<(), StoreError> {
        self.writing(|connection| {
            free_stale(connection, now_ns)?;
            let routes: Vec<(String, String)> = connection
                .prepare_cached("SELECT DISTINCT kind, address FROM spool")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let is_known = |(kind, address): &(String, String)| {
                let same = |route: &SpoolRoute| route.route.word() == kind && route.address == *address;
                known.iter().any(same)
            };
            for (kind, address) in routes.iter().filter(|route| !is_known(route)) {
                let of_it = "kind = ? AND address = ? AND claim IS NULL AND (? IS NULL OR run = ?)";
                let run = run.map(|run| run.0);
                connection.execute(
                    &format!("UPDATE OR IGNORE spool SET kind = ?, address = ?, uncertain = 1 WHERE {of_it}"),
                    params![to.route.word(), to.address, kind, address, run, run],
                )?;
                // It waits for `to` as well.
                connection.execute(
                    &format!("DELETE FROM spool WHERE {of_it}"),
                    params![kind, address, run, run],
                )?;
            }
            Ok(())
        })
    }

    /// All that waits and that no run in progress is still sending, by destination and run.
    ///
    /// # Errors
    /// When the store cannot be written, as what processes that are gone had claimed is freed.
    pub fn waiting(&self, now_ns: u64) -> Result<Vec<Waiting>, StoreError> {
        self.writing(|connection| {
            free_stale(connection, now_ns)?;
            connection
                .prepare_cached(
                    "SELECT kind, address, run, trace, count(*), count(claim), min(since_ns), max(due_ns), count(engine)
                     FROM spool WHERE claim IS NULL OR claim LIKE ? || '%'
                     GROUP BY kind, address, run ORDER BY min(since_ns), run",
                )?
                .query_map([claim::PUSH], waiting)?
                .collect()
        })
    }

    /// Is there anything on the spool?
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_spooled(&self) -> Result<bool, StoreError> {
        self.with("read", |connection| {
            connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM spool)")?
                .query_row([], |row| row.get(0))
        })
    }

    /// Drops the oldest of what the limits do not allow to wait; returns how many spans that were.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn trim_spool(&self, limits: &SpoolLimits, now_ns: u64) -> Result<u64, StoreError> {
        // As good as always there is nothing to be done, and nobody is to wait for that.
        if !self.has_spooled()? {
            return Ok(0);
        }
        self.writing(|connection| {
            free_stale(connection, now_ns)?;
            let mut dropped = 0;
            if let Some(since) = limits.since_ns {
                dropped += connection.execute(
                    "DELETE FROM spool WHERE since_ns < ? AND claim IS NULL",
                    [ns(since)],
                )?;
            }
            if let Some(most) = limits.spans {
                dropped += connection.execute(
                    "DELETE FROM spool WHERE claim IS NULL AND (kind, address, trace, span) IN
                        (SELECT kind, address, trace, span FROM spool
                         ORDER BY since_ns DESC LIMIT -1 OFFSET ?)",
                    [i64::try_from(most).unwrap_or(i64::MAX)],
                )?;
            }
            Ok(dropped as u64)
        })
    }
}

fn waiting(row: &Row<'_>) -> rusqlite::Result<Waiting> {
    Ok(Waiting {
        route: route(row.get(0)?, row.get(1)?),
        run: RunId(row.get(2)?),
        trace: of_key(row.get_ref(3)?.as_blob()?),
        spans: unsigned(row.get(4)?),
        in_hand: unsigned(row.get(5)?),
        since_ns: unsigned(row.get(6)?),
        due_ns: unsigned(row.get(7)?),
        of_engines: unsigned(row.get(8)?),
    })
}

fn route(kind: String, address: String) -> SpoolRoute {
    SpoolRoute {
        route: Route::of_word(&kind).unwrap_or(Route::Collector),
        address,
    }
}
