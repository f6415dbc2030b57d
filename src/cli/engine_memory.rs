//! Engines whose variables do not say whether their spans come to Jaeger: what was seen of that, and what can
//! be seen now.

use std::collections::HashSet;
use std::time::Duration;

use tracing::debug;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use crate::telemetry::{ENGINES_OWN, Handle};
use crate::trace::jaeger::JaegerClient;
use crate::trace::model::Span;
use crate::trace::ns;
use crate::trace::store::{Store, StoreError};

/// How long what was seen counts: an engine may be set up anew.
const COUNTS: Duration = Duration::from_secs(24 * 60 * 60);

/// How long Jaeger may take to answer; the build is done, and people wait.
const ANSWER: Duration = Duration::from_secs(1);

/// What was seen of this engine before.
pub(super) async fn recall(telemetry: &Handle, engine: &str) -> Option<bool> {
    let since = ns::now().saturating_sub(ns::of_length(COUNTS));
    with_store(
        telemetry,
        move |store, jaeger, engine| store.engine_exports(engine, jaeger, since),
        engine,
    )
    .await
    .flatten()
}

/// Looks into Jaeger whether the engine's spans come by themselves: after a build that was long enough for the
/// first of them to have come. `None`: that is not to be seen yet.
pub(super) async fn look(telemetry: &Handle, engine: &str, spans: &[Span]) -> Option<bool> {
    let (_, query_url) = telemetry.asks()?;
    // By the engine's own clock.
    let last = spans.iter().map(|span| span.end_ns).max()?;
    let early = last.saturating_sub(ns::of_length(ENGINES_OWN));
    let old: Vec<_> = spans
        .iter()
        .filter(|span| span.end_ns < early)
        .map(|span| span.id)
        .collect();
    if old.is_empty() {
        return None;
    }
    let client = JaegerClient::new(query_url.clone(), ANSWER).ok()?;
    // No spans of ours: looking at a trace must not make it longer.
    let answer = client.trace(telemetry.trace_id());
    let answer = answer.with_subscriber(NoSubscriber::new()).await;
    let answer = answer.inspect_err(|error| debug!(%error, "jaeger does not say what it has"));
    let has: HashSet<_> = answer.ok()??.spans.iter().map(|span| span.id).collect();
    // A trace of which nothing is there says nothing.
    if has.is_empty() {
        return None;
    }
    let exports = old.iter().any(|span| has.contains(span));
    with_store(
        telemetry,
        move |store, jaeger, engine| store.note_engine(engine, jaeger, exports, ns::now()),
        engine,
    )
    .await;
    Some(exports)
}

/// What the store says, if there is one.
async fn with_store<T: Send + 'static>(
    telemetry: &Handle,
    work: impl FnOnce(&Store, &str, &str) -> Result<T, StoreError> + Send + 'static,
    engine: &str,
) -> Option<T> {
    let (state_dir, query_url) = telemetry.asks()?;
    let (state_dir, jaeger) = (state_dir.to_owned(), query_url.to_string());
    let engine = engine.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let store = Store::open_existing(&state_dir)?;
        store
            .map(|store| work(&store, &jaeger, &engine))
            .transpose()
    });
    let answer = asked.await.ok()?;
    let answer = answer.inspect_err(|error| debug!(%error, "nothing is remembered of engines"));
    answer.ok().flatten()
}
