//! Spans that had not ended when their process was killed: what was known of them, so that the tree has no
//! holes where the others hang.

use rusqlite::params;

use super::error::StoreError;
use super::open::Store;
use super::pack;
use super::process;
use super::runs::RunId;
use super::spans::{id, key, ns, resource_id};
use super::spool::SpoolRoute;
use crate::trace::model::{Span, Value};

impl Store {
    /// Takes down which spans of a run are open, in place of what was said before.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn note_open(&self, run: RunId, spans: &[Span]) -> Result<(), StoreError> {
        self.writing(|connection| {
            connection.execute("DELETE FROM open_spans WHERE run = ?", [run.0])?;
            let mut insert = connection.prepare_cached(
                "INSERT INTO open_spans (trace, id, run, parent, name, kind, start_ns, attributes, resource)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            )?;
            for span in spans {
                insert.execute(params![
                    key(span.trace),
                    id(span.id),
                    run.0,
                    span.parent.map(id),
                    span.name,
                    span.kind as i64,
                    ns(span.start_ns),
                    pack::attributes(&span.attributes).to_string(),
                    resource_id(connection, &span.resource)?,
                ])?;
            }
            Ok(())
        })
    }

    /// Says where a run's spans are sent.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn note_routes(&self, run: RunId, routes: &[SpoolRoute]) -> Result<(), StoreError> {
        self.writing(|connection| {
            for route in routes {
                connection.execute(
                    "INSERT INTO run_routes (run, kind, address) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                    params![run.0, route.route.word(), route.address],
                )?;
            }
            Ok(())
        })
    }

    /// Ends the spans that processes had left open which are gone: with the last that is known of their run,
    /// as errors, with `dagger.unfinished`. Where the run's spans were to be sent these are, too.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn end_left_open(&self, now_ns: u64) -> Result<u64, StoreError> {
        let runs = self.with("read", |connection| {
            connection
                .prepare_cached(
                    "SELECT id, pid, process FROM runs
                     WHERE ended_ns IS NULL AND id IN (SELECT run FROM open_spans)",
                )?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<Vec<(i64, u32, String)>>>()
        })?;
        let mut ended = 0;
        for (run, pid, recorded) in runs {
            if process::identity(pid) != recorded {
                ended += self.end_run(run, now_ns)?;
            }
        }
        Ok(ended)
    }

    fn end_run(&self, run: i64, now_ns: u64) -> Result<u64, StoreError> {
        let mark = pack::attributes(&vec![("dagger.unfinished".to_owned(), Value::Bool(true))]);
        self.writing(|connection| {
            // `json_patch` would replace a list; the mark goes to its end.
            let ended = connection.execute(
                "INSERT INTO spans (trace, id, run, parent, name, kind, start_ns, end_ns, status,
                    description, attributes, events, links, resource)
                 SELECT o.trace, o.id, o.run, o.parent, o.name, o.kind, o.start_ns,
                    max(o.start_ns, coalesce((SELECT max(end_ns) FROM spans WHERE run = o.run), 0)), 2,
                    'its process was killed', json_insert(o.attributes, '$[#]', json_extract(?2, '$[0]')),
                    '[]', '[]', o.resource
                 FROM open_spans o WHERE o.run = ?1
                 ON CONFLICT DO NOTHING",
                params![run, mark.to_string()],
            )?;
            connection.execute(
                "INSERT INTO spool (trace, span, kind, address, run, since_ns)
                 SELECT o.trace, o.id, r.kind, r.address, o.run, ?2
                 FROM open_spans o JOIN run_routes r ON r.run = o.run WHERE o.run = ?1
                 ON CONFLICT DO NOTHING",
                params![run, ns(now_ns)],
            )?;
            connection.execute(
                "UPDATE runs SET root = coalesce(root, (SELECT id FROM open_spans
                    WHERE run = ?1 AND parent IS runs.remote_parent)) WHERE id = ?1",
                [run],
            )?;
            connection.execute("DELETE FROM open_spans WHERE run = ?", [run])?;
            Ok(ended as u64)
        })
    }
}
