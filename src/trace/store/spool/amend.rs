//! A run's record, when what it had called lost was delivered later.

use rusqlite::{Connection, params};

use super::SpoolRoute;
use crate::trace::model::SpanId;
use crate::trace::report::{RouteReport, RunRecord};

/// Takes down in a run's record that a destination has spans now that it had not then.
pub(super) fn delivered(
    connection: &Connection,
    run: i64,
    route: &SpoolRoute,
    spans: &[SpanId],
    of_engine: bool,
) -> rusqlite::Result<()> {
    let record: Option<String> = connection
        .prepare_cached("SELECT record FROM runs WHERE id = ?")?
        .query_row([run], |row| row.get(0))?;
    let read = record.and_then(|json| serde_json::from_str::<RunRecord>(&json).ok());
    let Some(mut record) = read else {
        // It has not ended.
        return Ok(());
    };
    let ids: std::collections::HashSet<String> = spans.iter().map(ToString::to_string).collect();
    let count = ids.len() as u64;
    if let (true, Some(daemon)) = (of_engine, &mut record.export.daemon) {
        daemon.imported = true;
        "they had not come by themselves".clone_into(&mut daemon.why);
    }
    let routes = &mut record.export.routes;
    let is_it = |known: &RouteReport| known.route == route.route && known.address == route.address;
    if !routes.iter().any(is_it) {
        routes.push(RouteReport {
            route: route.route,
            address: route.address.clone(),
            delivered: 0,
            lost: Vec::new(),
            spooled: 0,
            error: None,
        });
    }
    for known in routes.iter_mut() {
        let before = known.lost.len();
        known.lost.retain(|id| !ids.contains(id));
        known.spooled = known
            .spooled
            .saturating_sub((before - known.lost.len()) as u64);
        if is_it(known) {
            known.delivered += count;
        }
        if known.lost.is_empty() {
            known.error = None;
        }
    }
    // One that others were re-addressed from has nothing to say any more.
    routes.retain(|known| is_it(known) || known.delivered > 0 || !known.lost.is_empty());
    record.export.dropped.retain(|id| !ids.contains(id));
    let json = serde_json::to_string(&record).unwrap_or_default();
    connection
        .execute(
            "UPDATE runs SET record = ? WHERE id = ?",
            params![json, run],
        )
        .map(drop)
}
