//! Draws a build on standard error, on a thread of its own: a slow terminal must not hold up the
//! answers that the daemon waits for.

use std::io;
use std::thread::JoinHandle;
use std::time::SystemTime;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tracing::debug;

use super::env::Env;
use super::up::LogFormat;
use crate::progress::event::{BuildEvent, Outcome};
use crate::progress::{Format, Options, Renderer, renderer};

/// Batches of events waiting to be drawn. Full: the daemon's stream is read more slowly.
const EVENT_BATCHES: usize = 64;

/// A build being drawn.
pub(super) struct Display {
    events: mpsc::Sender<Vec<BuildEvent>>,
    outcome: oneshot::Sender<Option<Outcome>>,
    thread: JoinHandle<io::Result<()>>,
}

impl Display {
    /// Begins to draw. Needs a running tokio runtime.
    pub(super) fn start(env: &Env, format: LogFormat, quiet: bool) -> Self {
        let format = match format {
            LogFormat::Auto if env.live() => Format::Tty,
            LogFormat::Auto | LogFormat::Plain => Format::Plain,
            LogFormat::Tty => Format::Tty,
            LogFormat::Json => Format::Json,
        };
        let size = env.terminal_size;
        let options = Options {
            colour: env.colour(),
            quiet,
            size: Box::new(size),
        };
        let renderer = renderer(format, options, Box::new(io::stderr()));
        let (events, received) = mpsc::channel(EVENT_BATCHES);
        let (outcome, ended) = oneshot::channel();
        let handle = Handle::current();
        let thread = std::thread::spawn(move || handle.block_on(draw(renderer, received, ended)));
        Self {
            events,
            outcome,
            thread,
        }
    }

    /// Where the events go.
    pub(super) fn events(&self) -> mpsc::Sender<Vec<BuildEvent>> {
        self.events.clone()
    }

    /// Draws the end. Without an outcome nothing is said of one.
    pub(super) async fn finish(self, outcome: Option<Outcome>) {
        drop(self.events);
        // The thread is gone only if it could not write; then there is nobody to tell.
        let _ = self.outcome.send(outcome);
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        debug!(?joined, "drawing ended");
    }
}

async fn draw(
    mut renderer: Box<dyn Renderer>,
    mut events: mpsc::Receiver<Vec<BuildEvent>>,
    ended: oneshot::Receiver<Option<Outcome>>,
) -> io::Result<()> {
    let mut ticks = renderer.tick_every().map(tokio::time::interval);
    if let Some(ticks) = &mut ticks {
        // A terminal that is slow gets fewer frames, not all of them later.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        let tick = async {
            match &mut ticks {
                Some(ticks) => ticks.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            batch = events.recv() => match batch {
                Some(batch) => renderer.events(&batch, SystemTime::now())?,
                None => break,
            },
            _ = tick => renderer.tick(SystemTime::now())?,
        }
    }
    match ended.await {
        Ok(Some(outcome)) => renderer.finish(&outcome, SystemTime::now()),
        Ok(None) | Err(_) => Ok(()),
    }
}
