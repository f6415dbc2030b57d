//! One session for all solves of a run: opened once, its services grow as builds need them.
//!
//! Exported files come back with nothing but their exporter's index in its own request. So one solve at
//! a time may have its outputs in the session; one that comes meanwhile gets a session of its own, with
//! the same services.

use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug};

use crate::buildkit::{BuildkitError, Client, SessionOpening, TunnelCloser};
use crate::session::{Output, Services, Slots};

/// How long the daemon may take to close a session that we closed.
const SESSION_CLOSE: Duration = Duration::from_secs(2);

/// A session with a daemon, and the connection it is on. Close it when the last solve has ended.
#[derive(Debug)]
pub struct SessionHandle {
    client: Client,
    services: Services,
    shared_key: String,
    main: Open,
}

/// An open session.
#[derive(Debug)]
struct Open {
    id: String,
    slots: Slots,
    ended: CancellationToken,
    task: JoinHandle<Result<(), BuildkitError>>,
}

/// The session that a solve runs in, with the solve's outputs in their places.
pub(super) struct Lease {
    pub(super) id: String,
    slots: Slots,
    own: Option<Open>,
}

impl SessionHandle {
    /// Opens a session in the background. What is sent from `directory` is kept by the daemon for the
    /// next session that is opened from there.
    pub fn open(client: &Client, services: Services, directory: &Path) -> Self {
        let shared_key = shared_key(directory);
        let main = Open::begin(client, services.clone(), shared_key.clone());
        Self {
            client: client.clone(),
            services,
            shared_key,
            main,
        }
    }

    /// The connection that the session is on.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The session's id, e.g. for `local.session`.
    pub fn id(&self) -> &str {
        &self.main.id
    }

    /// What is served; it may be added to at any time.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// The session for a solve with these outputs.
    pub(super) fn lease(&self, outputs: Vec<Option<Output>>) -> Lease {
        let sent = outputs.iter().any(Option::is_some);
        if !sent || self.main.slots.take(&outputs) {
            let slots = if sent {
                self.main.slots.clone()
            } else {
                Slots::default()
            };
            return Lease {
                id: self.main.id.clone(),
                slots,
                own: None,
            };
        }
        let own = Open::begin(&self.client, self.services.clone(), self.shared_key.clone());
        own.slots.take(&outputs);
        Lease {
            id: own.id.clone(),
            slots: own.slots.clone(),
            own: Some(own),
        }
    }

    /// Closes the session in order, so that the daemon's span of it ends before the trace is judged.
    pub async fn close(self) {
        self.main.close().await;
    }
}

impl Lease {
    /// The solve has ended: its outputs are whole, or will never be.
    pub(super) async fn end(self) {
        self.slots.free();
        if let Some(own) = self.own {
            own.close().await;
        }
    }
}

impl Open {
    fn begin(client: &Client, services: Services, shared_key: String) -> Self {
        let id = random_id();
        let slots = Slots::default();
        let ended = CancellationToken::new();
        let opening = SessionOpening {
            id: id.clone(),
            shared_key,
            methods: services.methods(),
        };
        let serving = serve(
            client.clone(),
            opening,
            services,
            slots.clone(),
            ended.clone(),
        );
        Self {
            id,
            slots,
            ended,
            task: tokio::spawn(serving.in_current_span()),
        }
    }

    async fn close(self) {
        self.ended.cancel();
        if let Ok(Err(error)) = self.task.await {
            debug!(%error, "the session did not end in order");
        }
    }
}

/// Opens the session and answers on it until it is to end.
async fn serve(
    client: Client,
    opening: SessionOpening,
    services: Services,
    slots: Slots,
    ended: CancellationToken,
) -> Result<(), BuildkitError> {
    let (tunnel, closer) = tokio::select! {
        opened = client.session(&opening) => opened?,
        () = ended.cancelled() => return Ok(()),
    };
    let serving = services.serve(tunnel, slots, Span::current());
    let mut served = tokio::spawn(serving.in_current_span());
    tokio::select! {
        result = &mut served => debug!(?result, "the daemon ended the session"),
        () = ended.cancelled() => close(&closer, served).await,
    }
    Ok(())
}

async fn close<T>(closer: &TunnelCloser, served: JoinHandle<T>) {
    closer.close();
    let abort = served.abort_handle();
    if tokio::time::timeout(SESSION_CLOSE, served).await.is_err() {
        abort.abort();
    }
}

/// 25 characters of base 32, as unique as BuildKit's own ids.
pub(super) fn random_id() -> String {
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

/// The key under which the daemon keeps what this directory sent before: stable between runs, and
/// another one for each directory, so that two projects don't overwrite each other's copy.
fn shared_key(directory: &Path) -> String {
    use std::hash::{Hash, Hasher};
    // Its keys are fixed, so the same path gives the same value in every run.
    let mut hasher = std::hash::DefaultHasher::new();
    directory.hash(&mut hasher);
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
