//! Spans: one row a span id, written a batch a transaction.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use serde_json::Value as Json;

use super::error::StoreError;
use super::open::Store;
use super::pack;
use super::runs::RunId;
use crate::trace::model::{Kind, Resource, Span, SpanId, Status, TraceId};

pub(super) const SELECT: &str =
    "SELECT s.id, s.parent, s.name, s.kind, s.start_ns, s.end_ns, s.status,
        s.description, s.attributes, s.events, s.links, s.resource, r.service, r.attributes
    FROM spans s JOIN resources r ON r.id = s.resource WHERE s.trace = ?";

impl Store {
    /// Appends spans of a run. One whose id the trace has already is left as it is, unless what is there
    /// went through Jaeger's microseconds and this has nanoseconds: then it is the original.
    ///
    /// Returns how many were new or better.
    ///
    /// # Errors
    /// When the store cannot be written; then none of them is in it.
    pub fn append(&self, run: RunId, spans: &[Span]) -> Result<usize, StoreError> {
        if spans.is_empty() {
            return Ok(0);
        }
        self.with("write to", |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let new = insert(&transaction, run, spans)?;
            transaction.commit()?;
            Ok(new)
        })
    }

    /// All spans of a trace, in order of start; empty if there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn trace(&self, trace: TraceId) -> Result<Vec<Span>, StoreError> {
        self.with("read", |connection| {
            let mut resources = HashMap::new();
            let mut statement =
                connection.prepare_cached(&format!("{SELECT} ORDER BY s.start_ns, s.id"))?;
            statement
                .query_map([key(trace)], |row| read(row, trace, &mut resources))?
                .collect()
        })
    }

    /// The spans of a trace that are known to have begun and have not ended, in order of start; their end
    /// is their start. Those of processes that are gone are among them until they are ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open_spans(&self, trace: TraceId) -> Result<Vec<Span>, StoreError> {
        self.with("read", |connection| {
            let mut resources = HashMap::new();
            connection
                .prepare_cached(
                    "SELECT s.id, s.parent, s.name, s.kind, s.start_ns, s.start_ns, 0,
                            NULL, s.attributes, '[]', '[]', s.resource, r.service, r.attributes
                     FROM open_spans s JOIN resources r ON r.id = s.resource
                     WHERE s.trace = ?1 AND s.id NOT IN (SELECT id FROM spans WHERE trace = ?1)
                     ORDER BY s.start_ns, s.id",
                )?
                .query_map([key(trace)], |row| read(row, trace, &mut resources))?
                .collect()
        })
    }

    /// A text that is another one when other spans of a trace are open.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open_mark(&self, trace: TraceId) -> Result<String, StoreError> {
        self.with("read", |connection| {
            connection
                .prepare_cached(
                    // Ids take all bits: their sum would not fit.
                    "SELECT count(*) || '.' || coalesce(sum(id % 1000000007), 0)
                     FROM open_spans WHERE trace = ?",
                )?
                .query_row([key(trace)], |row| row.get(0))
        })
    }

    /// Those of a trace's spans that have these ids; one that is not there is left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn spans(&self, trace: TraceId, ids: &[SpanId]) -> Result<Vec<Span>, StoreError> {
        self.with("read", |connection| {
            let mut resources = HashMap::new();
            let mut statement = connection.prepare_cached(&format!("{SELECT} AND s.id = ?"))?;
            let found = ids.iter().map(|wanted| {
                statement
                    .query_row(params![key(trace), id(*wanted)], |row| {
                        read(row, trace, &mut resources)
                    })
                    .optional()
            });
            found.filter_map(Result::transpose).collect()
        })
    }
}

pub(super) fn insert(
    connection: &Connection,
    run: RunId,
    spans: &[Span],
) -> rusqlite::Result<usize> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (trace, id) DO UPDATE SET
            parent = excluded.parent, name = excluded.name, kind = excluded.kind,
            start_ns = excluded.start_ns, end_ns = excluded.end_ns, status = excluded.status,
            description = excluded.description, attributes = excluded.attributes,
            events = excluded.events, links = excluded.links, resource = excluded.resource
         WHERE start_ns % 1000 = 0 AND end_ns % 1000 = 0
            AND start_ns = excluded.start_ns / 1000 * 1000
            AND (excluded.start_ns % 1000 <> 0 OR excluded.end_ns % 1000 <> 0)",
    )?;
    let mut resources: HashMap<*const Resource, i64> = HashMap::new();
    let mut new = 0;
    for span in spans {
        let at = Arc::as_ptr(&span.resource);
        let resource = match resources.get(&at) {
            Some(id) => *id,
            None => {
                let id = resource_id(connection, &span.resource)?;
                resources.insert(at, id);
                id
            }
        };
        let (status, description) = match &span.status {
            Status::Unset => (0, None),
            Status::Ok => (1, None),
            Status::Error(description) => (2, Some(description)),
        };
        new += insert.execute(params![
            key(span.trace),
            id(span.id),
            run.0,
            span.parent.map(id),
            span.name,
            span.kind as i64,
            ns(span.start_ns),
            ns(span.end_ns),
            status,
            description,
            pack::attributes(&span.attributes).to_string(),
            pack::events(&span.events).to_string(),
            pack::links(&span.links).to_string(),
            resource,
        ])?;
    }
    Ok(new)
}

/// The row of a resource, which is made if there is none.
pub(super) fn resource_id(connection: &Connection, resource: &Resource) -> rusqlite::Result<i64> {
    let attributes = pack::attributes(&resource.attributes).to_string();
    let find = |connection: &Connection| {
        connection
            .prepare_cached("SELECT id FROM resources WHERE service = ? AND attributes = ?")?
            .query_row(params![resource.service, attributes], |row| row.get(0))
            .optional()
    };
    if let Some(id) = find(connection)? {
        return Ok(id);
    }
    connection.execute(
        "INSERT INTO resources (service, attributes) VALUES (?, ?)",
        params![resource.service, attributes],
    )?;
    Ok(connection.last_insert_rowid())
}

pub(super) fn read(
    row: &Row<'_>,
    trace: TraceId,
    resources: &mut HashMap<i64, Arc<Resource>>,
) -> rusqlite::Result<Span> {
    let json = |column: usize| -> rusqlite::Result<Json> {
        let text = row.get_ref(column)?.as_str()?;
        Ok(serde_json::from_str(text).unwrap_or_default())
    };
    let resource = match resources.get(&row.get(11)?) {
        Some(resource) => resource.clone(),
        None => {
            let resource = Arc::new(Resource {
                service: row.get(12)?,
                attributes: pack::to_attributes(&json(13)?),
            });
            resources.insert(row.get(11)?, resource.clone());
            resource
        }
    };
    Ok(Span {
        trace,
        id: SpanId(unsigned(row.get(0)?)),
        parent: row.get::<_, Option<i64>>(1)?.map(unsigned).map(SpanId),
        name: row.get(2)?,
        kind: kind(row.get(3)?),
        start_ns: unsigned(row.get(4)?),
        end_ns: unsigned(row.get(5)?),
        status: match row.get(6)? {
            1 => Status::Ok,
            2 => Status::Error(row.get::<_, Option<String>>(7)?.unwrap_or_default()),
            _ => Status::Unset,
        },
        attributes: pack::to_attributes(&json(8)?),
        events: pack::to_events(&json(9)?),
        links: pack::to_links(&json(10)?),
        resource,
    })
}

/// A kind from a column.
pub(super) fn kind(column: i64) -> Kind {
    match column {
        1 => Kind::Client,
        2 => Kind::Server,
        3 => Kind::Producer,
        4 => Kind::Consumer,
        _ => Kind::Internal,
    }
}

/// A trace's id as a column.
pub(super) fn key(trace: TraceId) -> [u8; 16] {
    trace.0.to_be_bytes()
}

/// A trace's id from a column.
pub(super) fn of_key(key: &[u8]) -> TraceId {
    TraceId(key.try_into().map_or(0, u128::from_be_bytes))
}

/// A span's id as a column: the same bits, as SQLite's numbers have a sign.
pub(super) fn id(span: SpanId) -> i64 {
    i64::from_ne_bytes(span.0.to_ne_bytes())
}

/// The bits of a column as they were.
pub(super) fn unsigned(column: i64) -> u64 {
    u64::from_ne_bytes(column.to_ne_bytes())
}

/// Nanoseconds as a column; they fit until the year 2262, and sort right until then.
pub(super) fn ns(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}
