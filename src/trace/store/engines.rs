//! Engines whose variables cannot be read: what was seen of whether their spans come to Jaeger.

use rusqlite::{OptionalExtension, params};

use super::error::StoreError;
use super::open::Store;
use super::spans::ns;

impl Store {
    /// Did an engine's own spans come into this Jaeger by themselves? `None`: that was not seen since.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn engine_exports(
        &self,
        engine: &str,
        jaeger: &str,
        since_ns: u64,
    ) -> Result<Option<bool>, StoreError> {
        self.with("read", |connection| {
            connection
                .prepare_cached(
                    "SELECT exports FROM engines
                     WHERE address = ? AND destination = ? AND seen_ns >= ?",
                )?
                .query_row(params![engine, jaeger, ns(since_ns)], |row| row.get(0))
                .optional()
        })
    }

    /// Remembers what was seen.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn note_engine(
        &self,
        engine: &str,
        jaeger: &str,
        exports: bool,
        now_ns: u64,
    ) -> Result<(), StoreError> {
        self.with("write to", |connection| {
            connection
                .execute(
                    "INSERT INTO engines (address, destination, exports, seen_ns)
                     VALUES (?, ?, ?, ?)
                     ON CONFLICT DO UPDATE SET exports = excluded.exports, seen_ns = excluded.seen_ns",
                    params![engine, jaeger, exports, ns(now_ns)],
                )
                .map(drop)
        })
    }
}
