//! The former runs that a run is compared with: those of the local store that are like it.
//!
//! Like it is what did the same on the same engine and found as much in its cache: a cold build is always
//! slower than a warm one, and a failed one is over too soon.

use super::{VerifyContext, VerifyError};
use crate::trace::model::{Span, TraceId};
use crate::trace::store::{Run, RunFilter, Store};
use crate::verify::Held;
use crate::verify::expect::Baseline;

/// Runs that are looked through for those that are like one.
const LOOKED_AT: usize = 400;

/// Compares the run of a trace with former ones.
pub(super) async fn compare(
    baseline: Baseline,
    trace: TraceId,
    spans: Vec<Span>,
    context: &VerifyContext<'_>,
) -> Result<Vec<Held>, VerifyError> {
    let state_dir = context.state_dir.clone();
    let work = move || {
        let store = state_dir
            .map(|dir| Store::open_existing(&dir))
            .transpose()?;
        let former = match store.flatten() {
            Some(store) => former(&store, &baseline, trace, &spans)?,
            None => Vec::new(),
        };
        Ok::<_, VerifyError>(baseline.compare(&spans, &former))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)?
}

/// The last runs like this one, the newest first.
fn former(
    store: &Store,
    baseline: &Baseline,
    trace: TraceId,
    spans: &[Span],
) -> Result<Vec<Vec<Span>>, VerifyError> {
    let runs = store.runs_of_trace(trace)?;
    let Some(this) = runs.first().filter(|run| is_good(run)) else {
        return Ok(Vec::new());
    };
    let likeness = Likeness::of(spans);
    let filter = RunFilter {
        directory: Some(this.begun.directory.clone()),
        limit: Some(LOOKED_AT),
        ..RunFilter::default()
    };
    let mut former = Vec::new();
    let earlier = store.runs(&filter)?.into_iter().filter(|run| {
        is_good(run)
            && run.begun.started_ns < this.begun.started_ns
            && run.begun.command == this.begun.command
            && run.begun.args == this.begun.args
            && run.begun.plan_digest == this.begun.plan_digest
    });
    for run in earlier {
        let spans = store.trace(run.begun.trace)?;
        let on_branch = baseline
            .branch
            .as_ref()
            .is_none_or(|branch| says(&spans, "vcs.ref.head.name") == Some(branch));
        if on_branch && Likeness::of(&spans) == likeness {
            former.push(spans);
        }
        if former.len() == baseline.runs {
            break;
        }
    }
    Ok(former)
}

fn is_good(run: &Run) -> bool {
    run.exit_code == Some(0)
}

/// What runs must have in common.
#[derive(Debug, PartialEq, Eq)]
struct Likeness {
    engine: Option<String>,
    worker: Option<String>,
    cache: Cache,
}

/// How much was found in the cache.
#[derive(Debug, PartialEq, Eq)]
enum Cache {
    Cold,
    Partly,
    Warm,
}

impl Likeness {
    fn of(spans: &[Span]) -> Self {
        let text = |key: &str| {
            let mut said = spans.iter().filter_map(|span| span.text(key));
            said.next().map(str::to_owned)
        };
        // What the daemon does for itself is never cached.
        let steps = spans.iter().filter(|span| {
            let internal = ["[internal]", "exporting", "importing", "local://"];
            span.attribute("vertex").is_some()
                && !internal.iter().any(|begin| span.name.starts_with(begin))
        });
        let (mut all, mut cached) = (0_usize, 0_usize);
        for step in steps {
            all += 1;
            cached += usize::from(step.flag("buildkit.cached") == Some(true));
        }
        Self {
            engine: text("buildkit.address"),
            worker: text("buildkit.worker"),
            cache: match (cached, all) {
                (cached, all) if cached.saturating_mul(10) <= all => Cache::Cold,
                (cached, all) if cached.saturating_mul(10) >= all.saturating_mul(9) => Cache::Warm,
                _ => Cache::Partly,
            },
        }
    }
}

fn says<'a>(spans: &'a [Span], key: &str) -> Option<&'a str> {
    let all = spans.iter().flat_map(|span| &span.resource.attributes);
    let mut said = all.filter(|(name, _)| name == key);
    said.find_map(|(_, value)| match value {
        crate::trace::model::Value::Str(text) => Some(text.as_str()),
        _ => None,
    })
}
