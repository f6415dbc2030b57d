//! A trace at a glance: what a list shows of it, without reading all that its spans hold.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, params};

use super::error::StoreError;
use super::open::Store;
use super::spans::{SELECT, id, key, read, unsigned};
use crate::trace::model::{Span, SpanId, TraceId};

/// A trace at a glance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Glance {
    /// The earliest span without a parent, else the earliest.
    pub first: Option<Span>,
    /// The span that was asked for, if it is there.
    pub root: Option<Span>,
    /// Spans in all.
    pub spans: u64,
    /// The earliest start, in nanoseconds since the epoch.
    pub start_ns: u64,
    /// The latest end, in nanoseconds since the epoch.
    pub end_ns: u64,
    /// The spans that tell of build steps: they have `vertex` or `buildkit.cached`.
    pub steps: Vec<Span>,
}

impl Store {
    /// Looks at a trace, and at one of its spans.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn glance(&self, trace: TraceId, root: Option<SpanId>) -> Result<Glance, StoreError> {
        self.with("read", |connection| {
            let mut glance = connection
                .prepare_cached(
                    "SELECT count(*), coalesce(min(start_ns), 0), coalesce(max(end_ns), 0)
                     FROM spans WHERE trace = ?",
                )?
                .query_row([key(trace)], |row| {
                    Ok(Glance {
                        spans: row.get(0).map(unsigned)?,
                        start_ns: row.get(1).map(unsigned)?,
                        end_ns: row.get(2).map(unsigned)?,
                        ..Glance::default()
                    })
                })?;
            let mut resources = HashMap::new();
            glance.first = connection
                .prepare_cached(&format!(
                    "{SELECT} ORDER BY s.parent IS NOT NULL, s.start_ns, s.id LIMIT 1"
                ))?
                .query_row([key(trace)], |row| read(row, trace, &mut resources))
                .optional()?;
            if let Some(root) = root {
                glance.root = connection
                    .prepare_cached(&format!("{SELECT} AND s.id = ?"))?
                    .query_row(params![key(trace), id(root)], |row| {
                        read(row, trace, &mut resources)
                    })
                    .optional()?;
            }
            // The column is written by `pack`, always in this way.
            glance.steps = connection
                .prepare_cached(&format!(
                    "{SELECT} AND (instr(s.attributes, '[\"vertex\",') > 0
                        OR instr(s.attributes, '[\"buildkit.cached\",') > 0)
                     ORDER BY s.start_ns, s.id"
                ))?
                .query_map([key(trace)], |row| read(row, trace, &mut resources))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(glance)
        })
    }
}
