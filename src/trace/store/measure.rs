//! Spans as numbers: what metrics are made of, without reading the rest of them.

use rusqlite::params;
use serde_json::Value as Json;

use super::error::StoreError;
use super::open::Store;
use super::pack;
use super::runs::RunId;
use super::spans::{kind, unsigned};
use crate::trace::model::{Attributes, Kind};

/// What is measured of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The service that made it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Whose side of a call it is.
    pub kind: Kind,
    /// `None`: not said; else whether it went well.
    pub ok: Option<bool>,
    /// How long it took, in nanoseconds.
    pub took_ns: u64,
    /// Values of the attributes that were asked for, as text, in their order.
    pub values: Vec<Option<String>>,
}

impl Store {
    /// How many spans each run has.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn sizes(&self) -> Result<Vec<(RunId, u64)>, StoreError> {
        self.with("read", |connection| {
            connection
                .prepare_cached("SELECT run, count(*) FROM spans GROUP BY run")?
                .query_map([], |row| {
                    Ok((RunId(row.get(0)?), row.get(1).map(unsigned)?))
                })?
                .collect()
        })
    }

    /// The spans of a run, measured, with the values of these attributes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn measured(&self, run: RunId, attributes: &[&str]) -> Result<Vec<Measured>, StoreError> {
        self.with("read", |connection| {
            connection
                .prepare_cached(
                    "SELECT r.service, s.name, s.kind, s.status, s.end_ns - s.start_ns, s.attributes
                     FROM spans s JOIN resources r ON r.id = s.resource WHERE s.run = ?",
                )?
                .query_map(params![run.0], |row| {
                    let text = row.get_ref(5)?.as_str()?;
                    Ok(Measured {
                        service: row.get(0)?,
                        name: row.get(1)?,
                        kind: kind(row.get(2)?),
                        ok: match row.get(3)? {
                            1 => Some(true),
                            2 => Some(false),
                            _ => None,
                        },
                        took_ns: row.get(4).map(unsigned)?,
                        values: values(text, attributes),
                    })
                })?
                .collect()
        })
    }
}

/// The values of these attributes in a column. Most spans have none of them, and are not parsed.
fn values(column: &str, attributes: &[&str]) -> Vec<Option<String>> {
    if !attributes.iter().any(|key| column.contains(key)) {
        return vec![None; attributes.len()];
    }
    let json: Json = serde_json::from_str(column).unwrap_or_default();
    let all: Attributes = pack::to_attributes(&json);
    let value = |key: &&str| {
        let found = all.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.to_string())
    };
    attributes.iter().map(value).collect()
}
