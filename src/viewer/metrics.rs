//! Metrics of spans, under the names that Jaeger v2's connector gives them, as Prometheus reads them.
//!
//! Counted are the spans that come while this process runs: a counter never goes down when old runs are
//! removed. Dashboards made for one work on the other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use crate::trace::model::Kind;
use crate::trace::store::{Measured, RunId, Store, StoreError};

/// Attributes that are labels, as `dashboards/jaeger.yaml` has them.
const DIMENSIONS: [(&str, &str); 2] = [
    ("buildkit.cached", "buildkit_cached"),
    ("dagger.cancelled", "dagger_cancelled"),
];

/// Upper bounds of the buckets, in milliseconds, and how they are written.
const BOUNDS: [(u64, &str); 13] = [
    (10, "10"),
    (50, "50"),
    (100, "100"),
    (250, "250"),
    (500, "500"),
    (1_000, "1000"),
    (2_500, "2500"),
    (5_000, "5000"),
    (15_000, "15000"),
    (60_000, "60000"),
    (300_000, "300000"),
    (900_000, "900000"),
    (3_600_000, "3.6e+06"),
];

/// Series at most. A step's name is a label; what is beyond it is counted under [`OTHERS`].
const SERIES: usize = 10_000;

/// The name of what is beyond the bound.
const OTHERS: &str = "(others)";

/// Runs whose spans may still come and be counted, the newest ones.
const GROWING: usize = 1_000;

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Series {
    service: String,
    name: String,
    kind: &'static str,
    status: &'static str,
    values: Vec<Option<String>>,
}

/// Of a series: how many, how long together, and how many in each bucket; the last has no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    ns: u64,
    buckets: [u64; BOUNDS.len() + 1],
}

/// What was counted so far.
#[derive(Debug, Default)]
pub struct Metrics {
    totals: BTreeMap<Series, Sum>,
    /// How many spans each run had, and its sums if it may grow.
    runs: HashMap<RunId, (u64, Option<HashMap<Series, Sum>>)>,
}

impl Metrics {
    /// Begins to count: what the store has already is not counted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn begin(store: &Store) -> Result<Self, StoreError> {
        let mut metrics = Self::default();
        metrics.look(store)?;
        metrics.totals.clear();
        Ok(metrics)
    }

    /// Counts what has come since, and gives all of it in Prometheus's text format.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn read(&mut self, store: &Store) -> Result<String, StoreError> {
        self.look(store)?;
        Ok(self.text())
    }

    fn look(&mut self, store: &Store) -> Result<(), StoreError> {
        let names = DIMENSIONS.map(|(attribute, _)| attribute);
        let mut sizes = store.sizes()?;
        sizes.sort_by_key(|(run, _)| std::cmp::Reverse(*run));
        let there: HashSet<_> = sizes.iter().map(|(run, _)| *run).collect();
        self.runs.retain(|run, _| there.contains(run));
        for (place, (run, size)) in sizes.into_iter().enumerate() {
            let growing = place < GROWING;
            let known = self.runs.get_mut(&run);
            match known {
                Some((seen, _)) if *seen == size && growing => continue,
                Some((seen, before)) if !growing => {
                    (*seen, *before) = (size, None);
                    continue;
                }
                None if !growing => {
                    self.runs.insert(run, (size, None));
                    continue;
                }
                _ => {}
            }
            let sums = sums(&store.measured(run, &names)?);
            let before = self.runs.insert(run, (size, Some(sums.clone())));
            let before = match before {
                // It was among those that do not grow: what it had then is not known.
                Some((_, None)) => continue,
                Some((_, Some(before))) => before,
                None => HashMap::new(),
            };
            for (series, sum) in sums {
                let more = sum.less(before.get(&series));
                if more.count > 0 {
                    self.total(series).add(&more);
                }
            }
        }
        Ok(())
    }

    fn total(&mut self, series: Series) -> &mut Sum {
        let series = if self.totals.len() < SERIES || self.totals.contains_key(&series) {
            series
        } else {
            Series {
                name: OTHERS.into(),
                ..series
            }
        };
        self.totals.entry(series).or_default()
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let (calls, took) = (
            "traces_span_metrics_calls_total",
            "traces_span_metrics_duration_milliseconds",
        );
        writeln!(out, "# HELP {calls} Spans that ended.")?;
        writeln!(out, "# TYPE {calls} counter")?;
        for (series, sum) in &self.totals {
            writeln!(out, "{calls}{{{}}} {}", series.labels(), sum.count)?;
        }
        writeln!(out, "# HELP {took} How long they took.")?;
        writeln!(out, "# TYPE {took} histogram")?;
        for (series, sum) in &self.totals {
            let labels = series.labels();
            let mut below = 0;
            let bounds = BOUNDS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
            for (bound, count) in bounds.zip(sum.buckets) {
                below += count;
                writeln!(out, "{took}_bucket{{{labels},le=\"{bound}\"}} {below}")?;
            }
            let ms = sum.ns as f64 / 1e6;
            writeln!(out, "{took}_sum{{{labels}}} {ms}")?;
            writeln!(out, "{took}_count{{{labels}}} {}", sum.count)?;
        }
        Ok(())
    }
}

fn sums(spans: &[Measured]) -> HashMap<Series, Sum> {
    let mut sums: HashMap<Series, Sum> = HashMap::new();
    for span in spans {
        let series = Series {
            service: span.service.clone(),
            name: span.name.clone(),
            kind: match span.kind {
                Kind::Internal => "SPAN_KIND_INTERNAL",
                Kind::Client => "SPAN_KIND_CLIENT",
                Kind::Server => "SPAN_KIND_SERVER",
                Kind::Producer => "SPAN_KIND_PRODUCER",
                Kind::Consumer => "SPAN_KIND_CONSUMER",
            },
            status: match span.ok {
                None => "STATUS_CODE_UNSET",
                Some(true) => "STATUS_CODE_OK",
                Some(false) => "STATUS_CODE_ERROR",
            },
            values: span.values.clone(),
        };
        sums.entry(series).or_default().count(span.took_ns);
    }
    sums
}

impl Sum {
    fn count(&mut self, took_ns: u64) {
        self.count += 1;
        self.ns = self.ns.saturating_add(took_ns);
        // A bound belongs to its bucket.
        let place = BOUNDS.partition_point(|(ms, _)| took_ns > ms * 1_000_000);
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
    }

    fn add(&mut self, more: &Self) {
        self.count += more.count;
        self.ns = self.ns.saturating_add(more.ns);
        for (bucket, more) in self.buckets.iter_mut().zip(more.buckets) {
            *bucket += more;
        }
    }

    /// Without what was counted before.
    fn less(mut self, before: Option<&Self>) -> Self {
        if let Some(before) = before {
            self.count = self.count.saturating_sub(before.count);
            self.ns = self.ns.saturating_sub(before.ns);
            for (bucket, before) in self.buckets.iter_mut().zip(before.buckets) {
                *bucket = bucket.saturating_sub(before);
            }
        }
        self
    }
}

impl Series {
    fn labels(&self) -> String {
        let mut labels = format!(
            "service_name=\"{}\",span_kind=\"{}\",span_name=\"{}\",status_code=\"{}\"",
            escaped(&self.service),
            self.kind,
            escaped(&self.name),
            self.status
        );
        for ((_, label), value) in DIMENSIONS.iter().zip(&self.values) {
            if let Some(value) = value {
                labels.push_str(&format!(",{label}=\"{}\"", escaped(value)));
            }
        }
        labels
    }
}

/// A label's value as Prometheus's text format has it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::model::{Resource, Span, SpanId, Status, TraceId, Value};

    fn cached(id: u64, ms: u64) -> Span {
        let resource = Resource {
            service: "s".into(),
            attributes: Vec::new(),
        };
        Span {
            trace: TraceId(1),
            id: SpanId(id),
            parent: None,
            name: "RUN \"a\\b\"\n".into(),
            kind: Kind::Internal,
            start_ns: 1_000,
            end_ns: 1_000 + ms * 1_000_000,
            status: Status::Unset,
            attributes: vec![("buildkit.cached".into(), Value::Bool(true))],
            events: Vec::new(),
            links: Vec::new(),
            resource: std::sync::Arc::new(resource),
        }
    }

    #[test]
    fn what_comes_is_counted_once_and_stays_counted() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        store.receive(&[cached(1, 5)]).unwrap();
        let mut metrics = Metrics::begin(&store).unwrap();
        assert!(
            !metrics.read(&store).unwrap().contains('{'),
            "it was there before"
        );
        store
            .receive(&[cached(2, 10), cached(3, 11), cached(4, 4_000_000)])
            .unwrap();
        let labels = "{service_name=\"s\",span_kind=\"SPAN_KIND_INTERNAL\",span_name=\"RUN \\\"a\\\\b\\\"\\n\",\
                      status_code=\"STATUS_CODE_UNSET\",buildkit_cached=\"true\"";
        for _ in 0..2 {
            let text = metrics.read(&store).unwrap();
            for line in [
                format!("traces_span_metrics_calls_total{labels}}} 3"),
                format!("traces_span_metrics_duration_milliseconds_bucket{labels},le=\"10\"}} 1"),
                format!("traces_span_metrics_duration_milliseconds_bucket{labels},le=\"50\"}} 2"),
                format!(
                    "traces_span_metrics_duration_milliseconds_bucket{labels},le=\"3.6e+06\"}} 2"
                ),
                format!("traces_span_metrics_duration_milliseconds_bucket{labels},le=\"+Inf\"}} 3"),
                format!("traces_span_metrics_duration_milliseconds_sum{labels}}} 4000021"),
            ] {
                assert!(text.lines().any(|is| is == line), "{line}\nin\n{text}");
            }
        }
        let run = store.sizes().unwrap()[0].0;
        store.remove(run).unwrap();
        assert!(
            metrics
                .read(&store)
                .unwrap()
                .contains("buildkit_cached=\"true\"} 3")
        );
    }

    #[test]
    fn series_are_bounded() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let mut metrics = Metrics::begin(&store).unwrap();
        let spans: Vec<_> = (1..=SERIES as u64 + 50)
            .map(|id| Span {
                name: format!("step {id}"),
                ..cached(id, 1)
            })
            .collect();
        store.receive(&spans).unwrap();
        let text = metrics.read(&store).unwrap();
        let others = text
            .lines()
            .find(|line| line.contains("span_name=\"(others)\""))
            .unwrap();
        assert!(others.ends_with("} 50"), "{others}");
    }
}
