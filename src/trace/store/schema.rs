//! The tables, one migration a version (`PRAGMA user_version`). A migration that was released is
//! never changed.

use rusqlite::{Connection, TransactionBehavior};

/// The migrations; the version is how many were made.
const MIGRATIONS: [&str; 4] = [
    "
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        trace BLOB NOT NULL,
        root INTEGER,
        remote_parent INTEGER,
        service TEXT NOT NULL,
        command TEXT NOT NULL,
        args TEXT NOT NULL,
        directory TEXT NOT NULL,
        started_ns INTEGER NOT NULL,
        ended_ns INTEGER,
        -- The process, so that one that is gone is told from one that runs.
        pid INTEGER NOT NULL,
        process TEXT NOT NULL,
        plan_digest TEXT,
        exit_code INTEGER,
        record TEXT
    );
    CREATE INDEX runs_by_trace ON runs (trace);
    CREATE INDEX runs_by_start ON runs (started_ns);
    CREATE TABLE resources (
        id INTEGER PRIMARY KEY,
        service TEXT NOT NULL,
        attributes TEXT NOT NULL,
        UNIQUE (service, attributes)
    );
    CREATE TABLE spans (
        trace BLOB NOT NULL,
        id INTEGER NOT NULL,
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        parent INTEGER,
        name TEXT NOT NULL,
        kind INTEGER NOT NULL,
        start_ns INTEGER NOT NULL,
        end_ns INTEGER NOT NULL,
        status INTEGER NOT NULL,
        description TEXT,
        attributes TEXT NOT NULL,
        events TEXT NOT NULL,
        links TEXT NOT NULL,
        resource INTEGER NOT NULL REFERENCES resources (id),
        PRIMARY KEY (trace, id)
    ) WITHOUT ROWID;
    CREATE INDEX spans_by_run ON spans (run);
    CREATE TABLE spool (
        trace BLOB NOT NULL,
        span INTEGER NOT NULL,
        kind TEXT NOT NULL,
        address TEXT NOT NULL,
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        since_ns INTEGER NOT NULL,
        claim TEXT,
        claimed_ns INTEGER,
        PRIMARY KEY (kind, address, trace, span)
    ) WITHOUT ROWID;
    CREATE INDEX spool_by_run ON spool (run);
    ",
    "
    -- May the destination have it all the same? Nobody answered, or the answer did not come in time.
    ALTER TABLE spool ADD COLUMN uncertain INTEGER NOT NULL DEFAULT 1;
    CREATE INDEX spool_by_age ON spool (since_ns);
    CREATE INDEX spool_by_claim ON spool (claim) WHERE claim IS NOT NULL;
    -- What was seen of daemons whose environment cannot be read: do their spans come to Jaeger?
    CREATE TABLE engines (
        address TEXT NOT NULL,
        destination TEXT NOT NULL,
        exports INTEGER NOT NULL,
        seen_ns INTEGER NOT NULL,
        PRIMARY KEY (address, destination)
    ) WITHOUT ROWID;
    ",
    "
    -- Spans of an engine that may send them itself: from then on it is asked whether they have come.
    ALTER TABLE spool ADD COLUMN engine TEXT;
    ALTER TABLE spool ADD COLUMN due_ns INTEGER NOT NULL DEFAULT 0;
    ",
    "
    -- Spans that have not ended, of runs that go on or were killed, and where a run's spans go.
    CREATE TABLE open_spans (
        trace BLOB NOT NULL,
        id INTEGER NOT NULL,
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        parent INTEGER,
        name TEXT NOT NULL,
        kind INTEGER NOT NULL,
        start_ns INTEGER NOT NULL,
        attributes TEXT NOT NULL,
        resource INTEGER NOT NULL REFERENCES resources (id),
        PRIMARY KEY (trace, id)
    ) WITHOUT ROWID;
    CREATE INDEX open_spans_by_run ON open_spans (run);
    CREATE TABLE run_routes (
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        address TEXT NOT NULL,
        PRIMARY KEY (run, kind, address)
    ) WITHOUT ROWID;
    ",
];

/// The newest version that is known.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Makes the migrations that are missing. `Err(Ok(version))`: it is newer than what is known.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Result<i64, rusqlite::Error>> {
    let found = version(connection).map_err(Err)?;
    if found == VERSION {
        return Ok(());
    }
    // Others may do the same now: whoever gets the lock first does it, the others find it done.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(Err)?;
    let found = version(&transaction).map_err(Err)?;
    let known = usize::try_from(found).unwrap_or(usize::MAX);
    let Some(missing) = MIGRATIONS.get(known..) else {
        return Err(Ok(found));
    };
    for migration in missing {
        transaction.execute_batch(migration).map_err(Err)?;
    }
    transaction
        .pragma_update(None, "user_version", VERSION)
        .map_err(Err)?;
    transaction.commit().map_err(Err)
}

/// Makes a store as that version would have: the first migrations only.
#[cfg(test)]
pub(super) fn migrate_to(connection: &Connection, version: i64) {
    for migration in &MIGRATIONS[..usize::try_from(version).unwrap()] {
        connection.execute_batch(migration).unwrap();
    }
    connection
        .pragma_update(None, "user_version", version)
        .unwrap();
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
