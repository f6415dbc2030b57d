//! One solve: session, solve and status at once, followed to their ends.
//!
//! The order at the end matters: the result first, then the session is closed while the status stream
//! is read to its end, because the last output comes there (`client/solve.go` does the same).

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug, field::Empty, info_span};

use super::error::SolveError;
use super::events;
use super::record::{Totals, VertexRecorder};
use super::request::{DockerfileOptions, Export};
use crate::buildkit::{BuildFailure, BuildkitError, Client, SessionOpening, TunnelCloser};
use crate::plan::Dockerfile;
use crate::progress::event::{BuildEvent, Outcome};
use crate::proto::control::SolveResponse;
use crate::session::Services;

/// How long the status stream may be silent after the result before it is given up.
const STATUS_SILENCE: Duration = Duration::from_secs(5);

/// How long the daemon may take to close a session that we closed.
const SESSION_CLOSE: Duration = Duration::from_secs(2);

/// A build to be run.
#[derive(Clone, Debug)]
pub struct Solve {
    /// What to build.
    pub dockerfile: Dockerfile,
    /// How.
    pub options: DockerfileOptions,
    /// Where the result goes; nothing: it stays in the daemon's cache.
    pub exports: Vec<Export>,
}

/// A build that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Solved {
    /// Steps that were looked at.
    pub steps: u64,
    /// Steps whose result was there already.
    pub cached: u64,
}

/// The random names of one build.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    pub(super) build: String,
    pub(super) session: String,
}

impl Ids {
    fn random() -> Self {
        Self {
            build: random_id(),
            session: random_id(),
        }
    }
}

/// 25 characters of base 32, as unique as BuildKit's own ids.
fn random_id() -> String {
    let mut bytes = [0u8; 25];
    // Without randomness from the system the time is the next best; it must only differ between runs.
    if getrandom::fill(&mut bytes).is_err() {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        for (byte, part) in bytes.iter_mut().zip(now.to_le_bytes()) {
            *byte = part;
        }
    }
    let letter = |byte: &u8| char::from_digit(u32::from(byte % 32), 32).unwrap_or('0');
    bytes.iter().map(letter).collect()
}

impl Solve {
    /// Runs the build in a `solve` span and sends what happens to `events`.
    ///
    /// `cancel` stops it: the daemon kills what runs, the last output is still read.
    ///
    /// # Errors
    /// When the build failed, was cancelled, or the engine was lost.
    pub async fn run(
        &self,
        client: &Client,
        events: mpsc::Sender<Vec<BuildEvent>>,
        cancel: &CancellationToken,
    ) -> Result<Solved, SolveError> {
        let ids = Ids::random();
        let kinds: Vec<_> = self.exports.iter().map(Export::kind).collect();
        let span = info_span!(
            "solve",
            buildkit.r#ref = ids.build,
            buildkit.frontend = "dockerfile.v0",
            buildkit.exporters = kinds.join(","),
            buildkit.steps.total = Empty,
            buildkit.steps.cached = Empty,
            buildkit.steps.failed = Empty,
            dagger.cancelled = Empty,
            otel.status = Empty,
            otel.status_message = Empty,
        );
        let (result, totals) = self
            .run_with(client, ids, events, cancel)
            .instrument(span.clone())
            .await;
        span.record("buildkit.steps.total", totals.total);
        span.record("buildkit.steps.cached", totals.cached);
        span.record("buildkit.steps.failed", totals.failed);
        match &result {
            Ok(_) => {}
            Err(SolveError::Cancelled) => {
                span.record("dagger.cancelled", true);
            }
            Err(error) => {
                span.record("otel.status", "error");
                span.record("otel.status_message", error.to_string());
            }
        }
        result.map(|_| Solved {
            steps: totals.total,
            cached: totals.cached,
        })
    }

    async fn run_with(
        &self,
        client: &Client,
        ids: Ids,
        events: mpsc::Sender<Vec<BuildEvent>>,
        cancel: &CancellationToken,
    ) -> (Result<SolveResponse, SolveError>, Totals) {
        let (request, services) = self.options.request(&self.dockerfile, &self.exports, &ids);
        let opening = SessionOpening {
            id: ids.session,
            shared_key: shared_key(&self.dockerfile.context),
            methods: services.methods(),
        };
        let ended = CancellationToken::new();
        let status = tokio::spawn(
            follow(client.clone(), ids.build, events, ended.clone()).in_current_span(),
        );
        let session =
            tokio::spawn(serve(client.clone(), opening, services, ended.clone()).in_current_span());

        let began = Instant::now();
        let solve = client.solve(request);
        let result = tokio::select! {
            biased;
            // Dropping the call is what cancels the build in the daemon.
            () = cancel.cancelled() => Err(SolveError::Cancelled),
            result = solve => result.map_err(failure),
        };
        ended.cancel();
        let after = began.elapsed();
        let (totals, session) = tokio::join!(status, session);
        let totals = totals.unwrap_or_default();
        let result = result.map_err(|error| match error {
            SolveError::Engine(source @ BuildkitError::Lost { .. }) => SolveError::Lost {
                address: client.address().to_owned(),
                after,
                step: totals.unfinished.clone(),
                source,
            },
            other => other,
        });
        if let Ok(Err(error)) = session {
            debug!(%error, "the session did not end in order");
        }
        (result, totals)
    }
}

impl SolveError {
    /// The ending as the renderers take it.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Failed(failure) => Outcome::Failed {
                message: failure.message.clone(),
                sources: failure.sources.iter().map(events::excerpt).collect(),
            },
            Self::Engine(_) | Self::Lost { .. } => Outcome::Failed {
                message: self.to_string(),
                sources: Vec::new(),
            },
            Self::Cancelled => Outcome::Cancelled,
        }
    }
}

fn failure(error: BuildkitError) -> SolveError {
    match BuildFailure::from_error(&error) {
        Some(failure) => SolveError::Failed(Box::new(failure)),
        None => SolveError::Engine(error),
    }
}

/// Reads the status stream to its end: vertex spans, and events for the renderers.
async fn follow(
    client: Client,
    build: String,
    events: mpsc::Sender<Vec<BuildEvent>>,
    ended: CancellationToken,
) -> Totals {
    let mut recorder = VertexRecorder::new(SystemTime::now());
    match client.status(&build).await {
        Ok(mut stream) => loop {
            let message = tokio::select! {
                message = stream.next() => message,
                () = silence(&ended) => break,
            };
            let batch = match message {
                Ok(Some(message)) => events::from_status(message),
                Ok(None) => break,
                Err(error) => {
                    debug!(%error, "the status stream broke off");
                    break;
                }
            };
            recorder.record(&batch);
            // Nobody draws any more: the spans are still wanted.
            let _ = events.send(batch).await;
        },
        Err(error) => debug!(%error, "the build could not be followed"),
    }
    recorder.finish(SystemTime::now())
}

/// Returns when the build has ended and nothing came for some time. Each message begins it anew.
async fn silence(ended: &CancellationToken) {
    ended.cancelled().await;
    tokio::time::sleep(STATUS_SILENCE).await;
}

/// Opens the session and answers on it until the build has ended.
async fn serve(
    client: Client,
    opening: SessionOpening,
    services: Services,
    ended: CancellationToken,
) -> Result<(), BuildkitError> {
    let (tunnel, closer) = tokio::select! {
        opened = client.session(&opening) => opened?,
        () = ended.cancelled() => return Ok(()),
    };
    let mut served = tokio::spawn(services.serve(tunnel, Span::current()).in_current_span());
    tokio::select! {
        result = &mut served => debug!(?result, "the daemon ended the session"),
        () = ended.cancelled() => close(&closer, served).await,
    }
    Ok(())
}

/// Closes the session in order, so that the daemon's span of it ends before the trace is judged.
async fn close<T>(closer: &TunnelCloser, served: JoinHandle<T>) {
    closer.close();
    let abort = served.abort_handle();
    if tokio::time::timeout(SESSION_CLOSE, served).await.is_err() {
        abort.abort();
    }
}

/// The key under which the daemon keeps what this context sent before: stable between runs, and
/// another one for each directory, so that two projects don't overwrite each other's copy.
fn shared_key(context: &Path) -> String {
    use std::hash::{Hash, Hasher};
    // Its keys are fixed, so the same path gives the same value in every run.
    let mut hasher = std::hash::DefaultHasher::new();
    context.hash(&mut hasher);
    format!("dagger-{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_plain() {
        let (one, two) = (random_id(), random_id());
        assert_ne!(one, two);
        assert_eq!(one.len(), 25);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn each_directory_has_a_key_of_its_own() {
        assert_eq!(shared_key(Path::new("/a")), shared_key(Path::new("/a")));
        assert_ne!(shared_key(Path::new("/a")), shared_key(Path::new("/b")));
    }
}
