//! The former runs that a run is compared with: those of the local store that are like it or, where those are
//! too few and the trace came from a Jaeger, as in CI, those of that Jaeger.
//!
//! Like it is what did the same on the same engine and found as much in its cache: a cold build is always
//! slower than a warm one, and a failed one is over too soon.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::{VerifyContext, VerifyError};
use crate::trace::critical_path::entry;
use crate::trace::jaeger::{JaegerClient, Sought};
use crate::trace::model::{Span, TraceId};
use crate::trace::store::{Run, RunFilter, Store};
use crate::verify::Held;
use crate::verify::expect::{Baseline, LEAST_RUNS};

/// Runs that are looked through for those that are like one.
const LOOKED_AT: usize = 400;

/// How many traces of a Jaeger are looked at for each run that is wanted: not all are like this one.
const LOOKED_AT_EACH: usize = 4;

/// How far back they are looked for, in hours: a month.
const LOOKED_BACK: i64 = 30 * 24;

/// Compares the run of a trace with former ones; `jaeger` is where the trace came from.
pub(super) async fn compare(
    baseline: Baseline,
    trace: TraceId,
    spans: &[Span],
    jaeger: Option<&JaegerClient>,
    context: &VerifyContext<'_>,
) -> Result<Compared, VerifyError> {
    let state_dir = context.state_dir.clone();
    let (wanted, this) = (baseline.clone(), spans.to_vec());
    let work = move || {
        let store = state_dir
            .map(|dir| Store::open_existing(&dir))
            .transpose()?;
        match store.flatten() {
            Some(store) => former(&store, &wanted, trace, &this),
            None => Ok(Vec::new()),
        }
    };
    let mut former = tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)??;
    if let Some(jaeger) = jaeger.filter(|_| former.len() < LEAST_RUNS) {
        let there = former_in(jaeger, &baseline, trace, spans).await?;
        // One that is in both places is not two runs.
        if there.len() > former.len() {
            former = there;
        }
    }
    Ok(Compared {
        held: baseline.compare(spans, &former),
        likeness: Likeness::of(spans),
        former,
        baseline,
    })
}

/// What came of a comparison, and what it was with.
pub(super) struct Compared {
    pub(super) held: Vec<Held>,
    pub(super) former: Vec<Vec<Span>>,
    pub(super) likeness: Likeness,
    pub(super) baseline: Baseline,
}

/// The last runs like this one that a Jaeger has, the newest first.
async fn former_in(
    jaeger: &JaegerClient,
    baseline: &Baseline,
    trace: TraceId,
    spans: &[Span],
) -> Result<Vec<Vec<Span>>, VerifyError> {
    let Some(this) = Told::of(spans).filter(Told::is_good) else {
        return Ok(Vec::new());
    };
    let began = Timestamp::from_nanosecond(this.root.start_ns.into()).unwrap_or_default();
    let looked_at = baseline.runs.saturating_mul(LOOKED_AT_EACH);
    let sought = Sought {
        service: this.root.service(),
        operation: Some(&this.root.name),
        from: began
            .checked_sub(SignedDuration::from_hours(LOOKED_BACK))
            .unwrap_or_default(),
        to: began,
        limit: u32::try_from(looked_at).unwrap_or(u32::MAX),
    };
    let likeness = Likeness::of(spans);
    let mut former = Vec::new();
    for id in jaeger.search(&sought).await? {
        if id == trace {
            continue;
        }
        let answer = jaeger.trace(id).await?;
        let Some(earlier) = answer.map(|answer| answer.spans) else {
            continue;
        };
        let like =
            Told::of(&earlier).is_some_and(|told| told.is_good() && told.did_the_same(&this));
        if like && on_branch(&earlier, baseline) && Likeness::of(&earlier) == likeness {
            former.push(earlier);
        }
        if former.len() == baseline.runs {
            break;
        }
    }
    Ok(former)
}

/// What the spans of a run say of it, where there is no record.
struct Told<'a> {
    root: &'a Span,
    repository: Option<&'a str>,
}

impl<'a> Told<'a> {
    fn of(spans: &'a [Span]) -> Option<Self> {
        let entry = entry(spans)?;
        Some(Self {
            root: spans.iter().find(|span| span.id == entry)?,
            repository: says(spans, "vcs.repository.url.full"),
        })
    }

    fn is_good(&self) -> bool {
        self.root.int("dagger.exit_code") == Some(0)
    }

    fn did_the_same(&self, other: &Self) -> bool {
        self.root.name == other.root.name
            && self.root.text("dagger.args") == other.root.text("dagger.args")
            && self.repository == other.repository
            && self.root.start_ns < other.root.start_ns
    }
}

fn on_branch(spans: &[Span], baseline: &Baseline) -> bool {
    let wanted = baseline.branch.as_ref();
    wanted.is_none_or(|branch| says(spans, "vcs.ref.head.name") == Some(branch))
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
        if on_branch(&spans, baseline) && Likeness::of(&spans) == likeness {
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
pub(super) struct Likeness {
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
    pub(super) fn of(spans: &[Span]) -> Self {
        let text = |key: &str| {
            let mut said = spans.iter().filter_map(|span| span.text(key));
            said.next().map(str::to_owned)
        };
        // What the daemon does for itself is never cached. A step that several actions share was in the
        // cache if it was for the first of them as well: whether it was for the others is a matter of moments.
        let mut found: HashMap<&str, bool> = HashMap::new();
        for span in spans {
            let internal = ["[internal]", "exporting", "importing", "local://"];
            let step = span.text("vertex").zip(span.flag("buildkit.cached"));
            let Some((vertex, cached)) = step else {
                continue;
            };
            if !internal.iter().any(|begin| span.name.starts_with(begin)) {
                *found.entry(vertex).or_insert(true) &= cached;
            }
        }
        let (all, cached) = (
            found.len(),
            found.values().filter(|cached| **cached).count(),
        );
        Self {
            engine: text("buildkit.address"),
            worker: text("buildkit.worker"),
            cache: match (cached, all) {
                // A few are in the cache of a daemon that has just built the same, even if that is not to be used.
                (cached, all) if cached.saturating_mul(3) <= all => Cache::Cold,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::critical_path::tests::span;
    use crate::trace::model::Value;

    fn steps(steps: &[(&str, bool)]) -> Cache {
        let step = |(vertex, cached): &(&str, bool)| {
            let mut step = span(2, 1, 0, 1);
            step.attributes = vec![
                ("vertex".into(), Value::Str((*vertex).into())),
                ("buildkit.cached".into(), Value::Bool(*cached)),
            ];
            step
        };
        Likeness::of(&steps.iter().map(step).collect::<Vec<_>>()).cache
    }

    #[test]
    fn a_step_that_ran_for_one_action_was_not_in_the_cache_for_any() {
        assert_eq!(steps(&[("a", false), ("b", false)]), Cache::Cold);
        assert_eq!(
            steps(&[("a", true), ("a", false), ("a", true), ("b", false)]),
            Cache::Cold
        );
        assert_eq!(
            steps(&[("a", true), ("b", false), ("c", false)]),
            Cache::Cold
        );
        assert_eq!(steps(&[("a", true), ("b", false)]), Cache::Partly);
        assert_eq!(steps(&[("a", true), ("a", true)]), Cache::Warm);
    }
}
