//! Retention: the oldest runs go when there are too many, they are too old, or the file is too large.

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::open::Store;
use super::spans::{ns, unsigned};

/// What may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// So many runs.
    pub runs: Option<u64>,
    /// Runs that began then or later, in nanoseconds since the epoch.
    pub since_ns: Option<u64>,
    /// So many bytes of the file that are in use.
    pub bytes: Option<u64>,
}

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Runs that were removed.
    pub runs: u64,
    /// Bytes of the file that became free; later runs use them.
    pub bytes: u64,
    /// Spans of these runs that had waited to be sent.
    pub waiting: u64,
}

/// Runs removed in one transaction while the file is too large.
const STEP: i64 = 10;

impl Store {
    /// Removes the oldest runs that the limits do not allow. Runs that have not ended stay, and so
    /// does the newest. Runs that were received count by age and size, not by number: a daemon sends
    /// many small ones.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune(&self, limits: &Limits) -> Result<Pruned, StoreError> {
        self.with("write to", |connection| {
            let before = used(connection)?;
            let waited = waiting(connection)?;
            let mut removed = 0;
            if let Some(since) = limits.since_ns {
                removed += connection.execute(
                    "DELETE FROM runs WHERE started_ns < ? AND (ended_ns IS NOT NULL OR pid = 0)
                     AND id <> (SELECT max(id) FROM runs)",
                    [ns(since)],
                )?;
            }
            if let Some(most) = limits.runs {
                let most = i64::try_from(most).unwrap_or(i64::MAX);
                removed += connection.execute(
                    "DELETE FROM runs WHERE id IN
                        (SELECT id FROM runs WHERE process <> 'received'
                         ORDER BY started_ns DESC, id DESC LIMIT -1 OFFSET ?)
                     AND (ended_ns IS NOT NULL OR pid = 0)",
                    [most],
                )?;
            }
            if let Some(bytes) = limits.bytes {
                while used(connection)? > bytes {
                    let gone = connection.execute(
                        "DELETE FROM runs WHERE id IN
                            (SELECT id FROM runs
                             WHERE (ended_ns IS NOT NULL OR pid = 0)
                               AND id <> (SELECT max(id) FROM runs)
                             ORDER BY started_ns, id LIMIT ?)",
                        params![STEP],
                    )?;
                    if gone == 0 {
                        break;
                    }
                    removed += gone;
                }
            }
            if removed > 0 {
                connection.execute(
                    "DELETE FROM resources WHERE id NOT IN (SELECT resource FROM spans)
                     AND id NOT IN (SELECT resource FROM open_spans)",
                    [],
                )?;
            }
            Ok(Pruned {
                runs: removed as u64,
                bytes: before.saturating_sub(used(connection)?),
                waiting: if removed > 0 {
                    waited.saturating_sub(waiting(connection)?)
                } else {
                    0
                },
            })
        })
    }

    /// Bytes of the file that are in use.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn used_bytes(&self) -> Result<u64, StoreError> {
        self.with("read", |connection| used(connection))
    }
}

fn waiting(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT count(*) FROM spool", [], |row| {
        row.get(0).map(unsigned)
    })
}

fn used(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name: &str| -> rusqlite::Result<u64> {
        connection.pragma_query_value(None, name, |row| row.get(0).map(unsigned))
    };
    let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
    Ok(pages.saturating_mul(pragma("page_size")?))
}
