//! The end of a run's local trace: its record, retention of the older ones, and of what waits to be sent.

use std::time::{Duration, SystemTime};

use tracing::{debug, warn};

use super::env::Env;
use crate::telemetry::Kept;
use crate::trace::ns;
use crate::trace::report::RunRecord;
use crate::trace::store::{Limits, SpoolLimits, StoreError};

/// Runs that are kept, if `DAGGER_TRACE_RUNS` does not say otherwise.
const RUNS: u64 = 500;

/// Days that they are kept, if `DAGGER_TRACE_DAYS` does not say otherwise.
const DAYS: u64 = 30;

/// Size of the store in MiB, if `DAGGER_TRACE_MIB` does not say otherwise.
const MIB: u64 = 512;

/// Spans that may wait to be sent again, if `DAGGER_SPOOL_SPANS` does not say otherwise.
const SPOOL_SPANS: u64 = 200_000;

/// Days that they may wait, if `DAGGER_SPOOL_DAYS` does not say otherwise.
const SPOOL_DAYS: u64 = 14;

/// Ends the run in the store, and removes what the limits do not allow. Whatever goes wrong, the build
/// is what it is: there is one warning.
pub(super) fn keep(kept: Option<Kept>, record: &mut RunRecord, env: &Env) {
    let Some(kept) = kept else {
        warn!("HOME is not set: the run is not recorded");
        return;
    };
    let now = SystemTime::now();
    let finished = kept.run.as_ref().map(|(store, run)| {
        let expired = store.trim_spool(&spool_limits(env, now), ns::of(now))?;
        let pruned = store.prune(&limits(env, now))?;
        debug!(?pruned, "retention");
        let dropped = expired + pruned.waiting;
        if dropped > 0 {
            record.export.spool.get_or_insert_default().dropped = dropped;
        }
        store.finish(*run, record, ns::now())?;
        // Only now, so that whoever sends what is left finds the record.
        kept.claim
            .as_ref()
            .map_or(Ok(()), |claim| store.release(claim))?;
        Ok::<_, StoreError>(())
    });
    let error = kept.error.or(finished.and_then(Result::err));
    match error {
        Some(error) => warn!(%error, help = error.help(), "the local trace is not whole"),
        None if kept.run.is_none() => warn!("the local store did not answer in time"),
        None if kept.lost > 0 => warn!(spans = kept.lost, "the local trace is not whole"),
        None => {}
    }
    let dropped = record
        .export
        .spool
        .as_ref()
        .map_or(0, |spool| spool.dropped);
    if dropped > 0 {
        warn!(
            spans = dropped,
            "spans of earlier runs waited too long, or too many did, and were dropped"
        );
    }
}

/// What may stay, by the environment; 0 lifts a limit.
pub(super) fn limits(env: &Env, now: SystemTime) -> Limits {
    lasting(env)(now)
}

/// What may stay by the environment, asked again and again by a process that lasts.
pub(super) fn lasting(env: &Env) -> impl Fn(SystemTime) -> Limits + Send + 'static {
    let runs = limit(env, "DAGGER_TRACE_RUNS", RUNS);
    let days = limit(env, "DAGGER_TRACE_DAYS", DAYS);
    let bytes = limit(env, "DAGGER_TRACE_MIB", MIB).map(|mib| mib.saturating_mul(1 << 20));
    move |now| Limits {
        runs,
        since_ns: days.map(|days| days_before(now, days)),
        bytes,
    }
}

/// What may wait, by the environment; 0 lifts a limit.
fn spool_limits(env: &Env, now: SystemTime) -> SpoolLimits {
    SpoolLimits {
        spans: limit(env, "DAGGER_SPOOL_SPANS", SPOOL_SPANS),
        since_ns: limit(env, "DAGGER_SPOOL_DAYS", SPOOL_DAYS).map(|days| days_before(now, days)),
    }
}

fn limit(env: &Env, key: &str, usual: u64) -> Option<u64> {
    let given = env.get(key).and_then(|text| match text.trim().parse() {
        Ok(number) => Some(number),
        Err(_) => {
            warn!("ignored: {key} is no number");
            None
        }
    });
    Some(given.unwrap_or(usual)).filter(|limit| *limit > 0)
}

fn days_before(now: SystemTime, days: u64) -> u64 {
    let age = Duration::from_secs(days.saturating_mul(24 * 60 * 60));
    ns::of(now).saturating_sub(ns::of_length(age))
}
