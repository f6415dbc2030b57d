//! The end of a run's local trace: its record, and retention of the older ones.

use std::time::{Duration, SystemTime};

use tracing::{debug, warn};

use super::env::Env;
use crate::telemetry::Kept;
use crate::trace::report::RunRecord;
use crate::trace::store::{Limits, StoreError};

/// Runs that are kept, if `DAGGER_TRACE_RUNS` does not say otherwise.
const RUNS: u64 = 500;

/// Days that they are kept, if `DAGGER_TRACE_DAYS` does not say otherwise.
const DAYS: u64 = 30;

/// Size of the store in MiB, if `DAGGER_TRACE_MIB` does not say otherwise.
const MIB: u64 = 512;

/// Ends the run in the store, and removes what the limits do not allow. Whatever goes wrong, the build
/// is what it is: there is one warning.
pub(super) fn keep(kept: Option<Kept>, record: &RunRecord, env: &Env) {
    let Some(kept) = kept else {
        warn!("HOME is not set: the run is not recorded");
        return;
    };
    let finished = kept.run.as_ref().map(|(store, run)| {
        store.finish(*run, record, nanos(SystemTime::now()))?;
        let pruned = store.prune(&limits(env, SystemTime::now()))?;
        debug!(?pruned, "retention");
        Ok::<_, StoreError>(())
    });
    let error = kept.error.or(finished.and_then(Result::err));
    match error {
        Some(error) => warn!(%error, help = error.help(), "the local trace is not whole"),
        None if kept.run.is_none() => warn!("the local store did not answer in time"),
        None if kept.lost > 0 => warn!(spans = kept.lost, "the local trace is not whole"),
        None => {}
    }
}

/// What may stay, by the environment; 0 lifts a limit.
pub(super) fn limits(env: &Env, now: SystemTime) -> Limits {
    let limit = |key: &str, usual: u64| {
        let given = env.get(key).and_then(|text| text.trim().parse().ok());
        Some(given.unwrap_or(usual)).filter(|limit| *limit > 0)
    };
    let days = limit("DAGGER_TRACE_DAYS", DAYS);
    Limits {
        runs: limit("DAGGER_TRACE_RUNS", RUNS),
        since_ns: days.map(|days| {
            let age = Duration::from_secs(days.saturating_mul(24 * 60 * 60));
            nanos(now).saturating_sub(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX))
        }),
        bytes: limit("DAGGER_TRACE_MIB", MIB).map(|mib| mib.saturating_mul(1 << 20)),
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
