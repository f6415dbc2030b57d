//! Searching over all spans: services, operations, and the traces that have a span of a kind.

use rusqlite::params;

use super::error::StoreError;
use super::open::Store;
use super::spans::{key, kind, ns, of_key, unsigned};
use crate::trace::model::{Kind, Span, TraceId};

/// A span's name together with its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The span's name.
    pub name: String,
    /// Whose side of a call it is.
    pub kind: Kind,
}

/// How often a service called another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Who called.
    pub parent: String,
    /// Who was called.
    pub child: String,
    /// How often.
    pub calls: u64,
}

/// Which spans are looked for; a trace is found if one of its spans fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanFilter {
    /// Of this service.
    pub service: Option<String>,
    /// With this name.
    pub name: Option<String>,
    /// That began then or later, in nanoseconds since the epoch.
    pub from_ns: Option<u64>,
    /// That began then or earlier, in nanoseconds since the epoch.
    pub to_ns: Option<u64>,
    /// That took this long or longer, in nanoseconds.
    pub min_ns: Option<u64>,
    /// That took this long or less, in nanoseconds.
    pub max_ns: Option<u64>,
}

impl Store {
    /// The services that have spans, in order of their names.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn services(&self) -> Result<Vec<String>, StoreError> {
        self.with("read", |connection| {
            connection
                .prepare_cached(
                    "SELECT DISTINCT service FROM resources
                     WHERE id IN (SELECT resource FROM spans) ORDER BY service",
                )?
                .query_map([], |row| row.get(0))?
                .collect()
        })
    }

    /// The names and kinds of a service's spans, in order of the names.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn operations(&self, service: &str) -> Result<Vec<Operation>, StoreError> {
        self.with("read", |connection| {
            connection
                .prepare_cached(
                    "SELECT DISTINCT s.name, s.kind FROM spans s JOIN resources r ON r.id = s.resource
                     WHERE r.service = ? ORDER BY s.name, s.kind",
                )?
                .query_map([service], |row| {
                    Ok(Operation {
                        name: row.get(0)?,
                        kind: kind(row.get(1)?),
                    })
                })?
                .collect()
        })
    }

    /// The traces with a span that fits, the newest first, at most `most`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn find(&self, filter: &SpanFilter, most: usize) -> Result<Vec<TraceId>, StoreError> {
        self.with("read", |connection| {
            connection
                .prepare_cached(
                    "SELECT s.trace, max(s.start_ns) AS newest
                     FROM spans s JOIN resources r ON r.id = s.resource
                     WHERE (?1 IS NULL OR r.service = ?1) AND (?2 IS NULL OR s.name = ?2)
                       AND (?3 IS NULL OR s.start_ns >= ?3) AND (?4 IS NULL OR s.start_ns <= ?4)
                       AND (?5 IS NULL OR s.end_ns - s.start_ns >= ?5)
                       AND (?6 IS NULL OR s.end_ns - s.start_ns <= ?6)
                     GROUP BY s.trace ORDER BY newest DESC LIMIT ?7",
                )?
                .query_map(
                    params![
                        filter.service,
                        filter.name,
                        filter.from_ns.map(ns),
                        filter.to_ns.map(ns),
                        filter.min_ns.map(ns),
                        filter.max_ns.map(ns),
                        i64::try_from(most).unwrap_or(i64::MAX),
                    ],
                    |row| Ok(of_key(row.get_ref(0)?.as_blob()?)),
                )?
                .collect()
        })
    }

    /// How many spans of a trace there are.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn size_of_trace(&self, trace: TraceId) -> Result<u64, StoreError> {
        self.with("read", |connection| {
            connection
                .prepare_cached("SELECT count(*) FROM spans WHERE trace = ?")?
                .query_row([key(trace)], |row| row.get(0).map(unsigned))
        })
    }

    /// Which service called which how often: spans whose parent is of another service, in traces that have
    /// a span which began in this time.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn dependencies(&self, from_ns: u64, to_ns: u64) -> Result<Vec<Dependency>, StoreError> {
        self.with("read", |connection| {
            connection
                .prepare_cached(
                    "SELECT pr.service, r.service, count(*)
                     FROM spans s
                     JOIN spans p ON p.trace = s.trace AND p.id = s.parent
                     JOIN resources r ON r.id = s.resource
                     JOIN resources pr ON pr.id = p.resource
                     WHERE r.service <> pr.service AND s.trace IN
                        (SELECT trace FROM spans WHERE start_ns > ?1 AND start_ns < ?2)
                     GROUP BY pr.service, r.service ORDER BY pr.service, r.service",
                )?
                .query_map([ns(from_ns), ns(to_ns)], |row| {
                    Ok(Dependency {
                        parent: row.get(0)?,
                        child: row.get(1)?,
                        calls: row.get(2).map(unsigned)?,
                    })
                })?
                .collect()
        })
    }
}

impl SpanFilter {
    /// Does this span fit?
    pub fn fits(&self, span: &Span) -> bool {
        let took_ns = span.end_ns.saturating_sub(span.start_ns);
        self.service
            .as_ref()
            .is_none_or(|service| service == span.service())
            && self.name.as_ref().is_none_or(|name| *name == span.name)
            && self.from_ns.is_none_or(|from| span.start_ns >= from)
            && self.to_ns.is_none_or(|to| span.start_ns <= to)
            && self.min_ns.is_none_or(|min| took_ns >= min)
            && self.max_ns.is_none_or(|max| took_ns <= max)
    }
}
