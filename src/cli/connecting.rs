//! Shows that the engine is being connected to, when that takes longer than people wait without a word.
//!
//! It is drawn as one more step in front of the build's own, so that every format can show it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::Watch;
use crate::progress::event::{BuildEvent, Log, Vertex};

/// After this long it is shown.
const SHOW_AFTER: Duration = Duration::from_secs(1);

/// Notes that wait to be shown. Full: the oldest of them have said it.
const NOTES: usize = 256;

/// The step's key; no digest of the daemon's looks like it.
const KEY: &str = "dagger:connect";

/// Watches a connection being made.
pub(super) struct Connecting {
    notes: mpsc::Sender<String>,
    done: CancellationToken,
}

struct Notes(mpsc::Sender<String>);

impl Watch for Notes {
    fn note(&self, line: &str) {
        // A step whose output nobody has read yet loses nothing that the log has not.
        let _ = self.0.try_send(line.to_owned());
    }
}

impl Connecting {
    /// Begins to watch. `what` is the step's name.
    pub(super) fn start(events: mpsc::Sender<Vec<BuildEvent>>, what: String) -> Self {
        let (notes, received) = mpsc::channel(NOTES);
        let done = CancellationToken::new();
        tokio::spawn(show(events, what, received, done.clone()));
        Self { notes, done }
    }

    /// Who is told what goes on.
    pub(super) fn watch(&self) -> Arc<dyn Watch> {
        Arc::new(Notes(self.notes.clone()))
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        self.done.cancel();
    }
}

async fn show(
    events: mpsc::Sender<Vec<BuildEvent>>,
    what: String,
    mut notes: mpsc::Receiver<String>,
    done: CancellationToken,
) {
    let started = SystemTime::now();
    tokio::select! {
        () = done.cancelled() => return,
        () = tokio::time::sleep(SHOW_AFTER) => {}
    }
    let key: Arc<str> = KEY.into();
    let vertex = |completed| {
        BuildEvent::Vertex(Vertex {
            digest: key.clone(),
            name: what.clone(),
            started: Some(started),
            completed,
            ..Vertex::default()
        })
    };
    let mut batch = vec![vertex(None)];
    loop {
        if events.send(std::mem::take(&mut batch)).await.is_err() {
            return;
        }
        let note = tokio::select! {
            biased;
            note = notes.recv() => note,
            () = done.cancelled() => None,
        };
        let now = SystemTime::now();
        let Some(note) = note else {
            // Whether it was reached is told elsewhere, with the reason.
            let _ = events.send(vec![vertex(Some(now))]).await;
            return;
        };
        batch.push(BuildEvent::Log(Log {
            vertex: key.clone(),
            stream: 1,
            data: format!("{note}\n").into(),
            at: Some(now),
        }));
    }
}
