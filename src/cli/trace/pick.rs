//! Which run is meant: a number, a trace's id or how it begins, `latest`, or the last of this directory.

use tracing::debug;

use crate::cli::diagnostic::Failure;
use crate::cli::env::Env;
use crate::trace::model::{Span, TraceId};
use crate::trace::ns;
use crate::trace::store::{Run, RunFilter, RunId, Store};

/// A run with all spans of its trace.
pub(super) struct Picked {
    pub(super) run: Run,
    pub(super) spans: Vec<Span>,
}

/// Letters that tell a trace at least: fewer fit by chance.
const PREFIX: usize = 4;

/// Opens the store.
pub(super) fn store(env: &Env) -> Result<Store, Failure> {
    existing(env)?.ok_or_else(|| Failure::Usage {
        message: "no run is recorded yet".into(),
        help: "run `dagger up` first".into(),
    })
}

/// Opens the store; `None` if nothing was ever recorded.
pub(super) fn existing(env: &Env) -> Result<Option<Store>, Failure> {
    let state = env.state_dir().ok_or_else(|| Failure::Usage {
        message: "there is no trace store: HOME is not set".into(),
        help: "set HOME or XDG_STATE_HOME".into(),
    })?;
    let store = Store::open_existing(&state)?;
    if let Some(store) = &store {
        // A store that cannot be written can be read all the same.
        if let Err(error) = store.end_left_open(ns::now()) {
            debug!(%error, "spans of killed runs stay open");
        }
    }
    Ok(store)
}

/// The run that is meant, with its trace.
pub(super) fn picked(store: &Store, given: Option<&str>, env: &Env) -> Result<Picked, Failure> {
    let run = run(store, given, env)?;
    let spans = store.trace(run.begun.trace)?;
    Ok(Picked { run, spans })
}

/// The run that is meant.
pub(super) fn run(store: &Store, given: Option<&str>, env: &Env) -> Result<Run, Failure> {
    let newest = |directory| {
        let found = store.runs(&RunFilter {
            directory,
            limit: Some(1),
            ..RunFilter::default()
        })?;
        Ok::<_, Failure>(found.into_iter().next())
    };
    let Some(given) = given else {
        return newest(Some(env.cwd.clone()))?.ok_or_else(|| Failure::Usage {
            message: format!("no run of `{}` is recorded", env.cwd.display()),
            help:
                "name one: its number or trace id, as `dagger trace list` shows them, or `latest`"
                    .into(),
        });
    };
    if given == "latest" {
        return newest(None)?.ok_or_else(|| unknown(given));
    }
    if let Ok(number) = given.parse::<i64>()
        && let Some(run) = store.run(RunId(number))?
    {
        return Ok(run);
    }
    if let (32, Ok(trace)) = (given.len(), given.parse::<TraceId>()) {
        let found = store.runs_of_trace(trace)?;
        return found.into_iter().next().ok_or_else(|| unknown(given));
    }
    let prefix = given.to_ascii_lowercase();
    if prefix.len() < PREFIX || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(unknown(given));
    }
    let mut found: Vec<Run> = store.runs(&RunFilter::default())?;
    found.retain(|run| {
        let id = run.begun.trace.to_string();
        // Jaeger prints 16 digits where the high half is zero.
        id.starts_with(&prefix) || id.trim_start_matches('0').starts_with(&prefix)
    });
    let first = found.first().map(|run| run.begun.trace);
    let others = found
        .iter()
        .filter(|run| Some(run.begun.trace) != first)
        .count();
    if others > 0 {
        return Err(Failure::Usage {
            message: format!("`{given}` is the begin of several traces"),
            help: "give more of the id; `dagger trace list --format json` shows it whole".into(),
        });
    }
    found.into_iter().next().ok_or_else(|| unknown(given))
}

fn unknown(given: &str) -> Failure {
    // It may be an address with a secret before the `@`.
    let shown = given.rsplit_once('@').map_or(given, |(_, host)| host);
    Failure::Usage {
        message: format!("there is no run `{shown}` in the local store"),
        help: "give a run's number or trace id, as `dagger trace list` shows them, or `latest`"
            .into(),
    }
}
