//! Sending what waits on the spool: spans that a destination had refused, or that had not left in time.
//!
//! Each span is claimed before it is sent, so that of ten processes one sends it. Of what may have arrived
//! all the same, Jaeger is asked first, where it is known.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tracing::debug;

use super::pipeline::{BATCH_SPANS, Exporters, by_resource};
use super::settings::Destination;
use crate::trace::jaeger::{JaegerClient, QueryUrl};
use crate::trace::model::{Resource, Span, SpanId, TraceId};
use crate::trace::ns;
use crate::trace::store::{Claim, Claimed, SpoolRoute, Store, StoreError, Wanted};

/// How long Jaeger may take to say what it has of one trace.
const ASK: Duration = Duration::from_secs(5);

/// What is to be sent, and how.
pub struct Push<'a> {
    /// Where it waits.
    pub store: &'a Store,
    /// Where it is sent to.
    pub destinations: &'a [Destination],
    /// Who we are; spans have resources of their own.
    pub resource: &'a Resource,
    /// Where Jaeger can be asked what it has.
    pub query_url: Option<&'a QueryUrl>,
    /// Which of them.
    pub of: Wanted,
    /// No batch is begun later.
    pub until: Instant,
    /// Nor when this is true.
    pub stop: &'a dyn Fn() -> bool,
}

/// What became of spans that had waited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Spans that were handed over, for each destination that took some.
    pub delivered: Vec<(SpoolRoute, u64)>,
    /// Traces that they belong to.
    pub traces: HashSet<TraceId>,
    /// Spans that Jaeger had already.
    pub known: u64,
    /// Spans that the store no longer has.
    pub gone: u64,
    /// Destinations that did not take all, and why.
    pub errors: Vec<(SpoolRoute, String)>,
}

impl Pushed {
    /// How many spans were handed over.
    pub fn spans(&self) -> u64 {
        self.delivered.iter().map(|(_, spans)| spans).sum()
    }
}

impl Push<'_> {
    /// Sends what waits for the destinations. Blocks; must not run on a thread that drives a runtime.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn run(&self) -> Result<Pushed, StoreError> {
        let mut pushed = Pushed::default();
        let claim = Claim::push();
        let mut jaeger = Jaeger::new(self.query_url);
        for destination in self.destinations {
            let sent = self.to(destination, &claim, &mut jaeger, &mut pushed);
            self.store.release(&claim)?;
            sent?;
        }
        Ok(pushed)
    }

    fn to(
        &self,
        destination: &Destination,
        claim: &Claim,
        jaeger: &mut Jaeger,
        pushed: &mut Pushed,
    ) -> Result<(), StoreError> {
        let route = destination.route();
        let mut exporters = None;
        while !(self.stop)() && Instant::now() < self.until {
            let claimed = self
                .store
                .claim(&route, self.of, claim, BATCH_SPANS, ns::now())?;
            if claimed.is_empty() {
                break;
            }
            let exporters =
                exporters.get_or_insert_with(|| Exporters::new(destination, self.resource));
            for (trace, spans) in by_trace(&claimed) {
                let spans = self.left(&route, claim, trace, &spans, jaeger, pushed)?;
                for part in by_resource(spans) {
                    let keys: Vec<_> = part.iter().map(|span| (trace, span.id)).collect();
                    match exporters.send(&part) {
                        Ok(()) => {
                            self.store.delivered(&route, claim, &keys, true)?;
                            pushed.count(&route, keys.len() as u64);
                            pushed.traces.insert(trace);
                        }
                        Err(error) => {
                            debug!(%error, spans = keys.len(), "spans that waited were not taken");
                            self.store.refused(&route, claim, &keys, error.uncertain)?;
                            pushed.fail(&route, &error.reason);
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The spans that are to be sent: neither gone from the store nor in Jaeger already.
    fn left(
        &self,
        route: &SpoolRoute,
        claim: &Claim,
        trace: TraceId,
        claimed: &[Claimed],
        jaeger: &mut Jaeger,
        pushed: &mut Pushed,
    ) -> Result<Vec<Span>, StoreError> {
        let keys = |spans: &[SpanId]| spans.iter().map(|span| (trace, *span)).collect::<Vec<_>>();
        let mut wanted: Vec<SpanId> = claimed.iter().map(|one| one.span).collect();
        if claimed
            .iter()
            .any(|one| one.uncertain || one.engine.is_some())
        {
            let has = self.ask(jaeger, route, trace);
            let is_there = |span: &SpanId| has.as_ref().is_ok_and(|has| has.contains(span));
            let (known, unknown): (Vec<_>, Vec<_>) = wanted.into_iter().partition(is_there);
            wanted = unknown;
            self.store.delivered(route, claim, &keys(&known), false)?;
            pushed.known += known.len() as u64;
            match &has {
                Ok(has) => self.learn(claimed, has)?,
                // Of what an engine may have sent itself nothing is sent on a guess.
                Err(why) => {
                    let doubtful: HashSet<_> = claimed
                        .iter()
                        .filter(|one| one.engine.is_some())
                        .map(|one| one.span)
                        .collect();
                    wanted.retain(|span| !doubtful.contains(span));
                    if !doubtful.is_empty() {
                        pushed.fail(route, why);
                    }
                }
            }
        }
        let spans = self.store.spans(trace, &wanted)?;
        let found: HashSet<_> = spans.iter().map(|span| span.id).collect();
        wanted.retain(|span| !found.contains(span));
        self.store.delivered(route, claim, &keys(&wanted), false)?;
        pushed.gone += wanted.len() as u64;
        Ok(spans)
    }

    /// What Jaeger has of a trace, or why that is not known.
    fn ask<'j>(
        &self,
        jaeger: &'j mut Jaeger,
        route: &SpoolRoute,
        trace: TraceId,
    ) -> Result<&'j HashSet<SpanId>, String> {
        match self.speaks_for() {
            Some(speaks) if speaks.route() == *route => jaeger.has(trace),
            Some(_) => Err("there is no Jaeger to be asked about it".to_owned()),
            None => Err("JAEGER_QUERY_URL does not say where to ask".to_owned()),
        }
    }

    /// The destination whose spans are read at the query URL: of several the one on its host, else the first.
    fn speaks_for(&self) -> Option<&Destination> {
        let host = self.query_url?.host();
        let on_it = |destination: &&Destination| destination.host() == host;
        let mut destinations = self.destinations.iter();
        destinations.find(on_it).or(self.destinations.first())
    }

    /// Remembers whether engines send their spans themselves: of a trace that Jaeger knows, it has all of
    /// those that wait, or none.
    fn learn(&self, claimed: &[Claimed], has: &HashSet<SpanId>) -> Result<(), StoreError> {
        let Some(jaeger) = self.query_url.filter(|_| !has.is_empty()) else {
            return Ok(());
        };
        let mut engines: HashMap<&str, (bool, bool)> = HashMap::new();
        for one in claimed {
            // Of spans whose engine is not known nothing is to be learnt.
            if let Some(engine) = one.engine.as_ref().filter(|engine| !engine.is_empty()) {
                let (all, none) = engines.entry(engine).or_insert((true, true));
                *all &= has.contains(&one.span);
                *none &= !has.contains(&one.span);
            }
        }
        for (engine, (all, none)) in engines {
            if all || none {
                let jaeger = jaeger.to_string();
                self.store.note_engine(engine, &jaeger, all, ns::now())?;
            }
        }
        Ok(())
    }
}

impl Pushed {
    /// Adds what another try has done.
    pub fn add(&mut self, more: Self) {
        for (route, spans) in &more.delivered {
            self.count(route, *spans);
        }
        self.traces.extend(more.traces);
        self.known += more.known;
        self.gone += more.gone;
        self.errors.extend(more.errors);
    }

    fn fail(&mut self, route: &SpoolRoute, why: &str) {
        if !self.errors.iter().any(|(known, _)| known == route) {
            self.errors.push((route.clone(), why.to_owned()));
        }
    }

    fn count(&mut self, route: &SpoolRoute, spans: u64) {
        match self.delivered.iter_mut().find(|(known, _)| known == route) {
            Some((_, sum)) => *sum += spans,
            None => self.delivered.push((route.clone(), spans)),
        }
    }
}

fn by_trace(claimed: &[Claimed]) -> HashMap<TraceId, Vec<Claimed>> {
    let mut traces: HashMap<_, Vec<_>> = HashMap::new();
    for one in claimed {
        traces.entry(one.trace).or_default().push(one.clone());
    }
    traces
}

/// Says what Jaeger has of each trace.
struct Jaeger {
    client: Option<(tokio::runtime::Runtime, JaegerClient)>,
    traces: HashMap<TraceId, Result<HashSet<SpanId>, String>>,
}

impl Jaeger {
    fn new(url: Option<&QueryUrl>) -> Self {
        let client = url.and_then(|url| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            Some((runtime.ok()?, JaegerClient::new(url.clone(), ASK).ok()?))
        });
        Self {
            client,
            traces: HashMap::new(),
        }
    }

    /// The ids that it has, none of a trace that it does not know, or why it does not say.
    fn has(&mut self, trace: TraceId) -> Result<&HashSet<SpanId>, String> {
        let Self { client, traces } = self;
        let has = traces.entry(trace).or_insert_with(|| {
            let (runtime, client) = client.as_ref().ok_or("there is no client for Jaeger")?;
            let answer = runtime.block_on(client.trace(trace));
            let answer = answer.map_err(|error| error.to_string())?;
            let spans = answer.map(|answer| answer.spans).unwrap_or_default();
            Ok(spans.iter().map(|span| span.id).collect())
        });
        has.as_ref().map_err(Clone::clone)
    }
}
