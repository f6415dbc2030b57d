//! `dagger trace rm` and `prune`: runs that are no longer kept.

use std::time::{Duration, SystemTime};

use clap::Args;

use super::{pick, print};
use crate::cli::diagnostic::Failure;
use crate::cli::duration;
use crate::cli::env::Env;
use crate::cli::retain;
use crate::progress::bytes;
use crate::trace::ns;
use crate::trace::store::{RunFilter, State};

/// Arguments of `dagger trace rm`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RmArgs {
    /// The runs: their numbers, their traces' ids or how those begin, or `latest`
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<String>,
    /// All that are over
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

/// Arguments of `dagger trace prune`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PruneArgs {
    /// Keep so many runs, the newest [default: DAGGER_TRACE_RUNS, or 500]
    #[arg(long, value_name = "RUNS")]
    keep: Option<u64>,
    /// Remove runs older than this, e.g. 48h [default: DAGGER_TRACE_DAYS, or 30 days]
    #[arg(long, value_name = "TIME", value_parser = duration::parse_long)]
    older_than: Option<Duration>,
    /// Keep so many MiB [default: DAGGER_TRACE_MIB, or 512]
    #[arg(long, value_name = "MIB")]
    max_mib: Option<u64>,
}

pub(super) fn remove(args: &RmArgs, env: &Env) -> Result<(), Failure> {
    let store = pick::store(env)?;
    let mut runs = Vec::new();
    if args.all {
        runs = store.runs(&RunFilter::default())?;
        runs.retain(|run| run.state != State::Running);
    }
    // All are looked up before the first is removed: a mistake in one removes none.
    for id in &args.ids {
        runs.push(pick::run(&store, Some(id), env)?);
    }
    let (mut removed, mut waited) = (0, 0);
    for run in runs {
        let spooled = store.spooled(run.id)?;
        if store.remove(run.id)? {
            removed += 1;
            waited += spooled.iter().map(|(_, spans)| spans).sum::<u64>();
        }
    }
    let noun = if removed == 1 { "run" } else { "runs" };
    print(&format!("removed {removed} {noun}{}\n", dropped(waited)))
}

pub(super) fn prune(args: &PruneArgs, env: &Env) -> Result<(), Failure> {
    let store = pick::store(env)?;
    let now = SystemTime::now();
    let mut limits = retain::limits(env, now);
    if args.keep.is_some() {
        limits.runs = args.keep;
    }
    if let Some(age) = args.older_than {
        let since = now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        limits.since_ns = Some(ns::of(since));
    }
    if let Some(mib) = args.max_mib {
        limits.bytes = Some(mib.saturating_mul(1 << 20));
    }
    let pruned = store.prune(&limits)?;
    let noun = if pruned.runs == 1 { "run" } else { "runs" };
    let (freed, used) = (bytes(pruned.bytes), bytes(store.used_bytes()?));
    let waited = dropped(pruned.waiting);
    print(&format!(
        "removed {} {noun}, {freed} freed, {used} in use{waited}\n",
        pruned.runs
    ))
}

/// What goes with the runs that nobody gets any more.
fn dropped(spans: u64) -> String {
    match spans {
        0 => String::new(),
        spans => format!(", {spans} spans that waited to be sent dropped"),
    }
}
