//! Ctrl-C: once stops the build in order, twice quits at once.

use std::io::Write;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `token` on SIGINT or SIGTERM. Needs a running tokio runtime.
///
/// # Errors
/// When the signals cannot be watched.
pub(super) fn watch(token: CancellationToken) -> std::io::Result<()> {
    watch_saying(token, "\nstopping the build; once more quits at once\n")
}

/// The same for a command that has nothing to stop in order.
///
/// # Errors
/// When the signals cannot be watched.
pub(super) fn watch_quietly(token: CancellationToken) -> std::io::Result<()> {
    watch_saying(token, "")
}

fn watch_saying(token: CancellationToken, words: &'static str) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if first {
                token.cancel();
                // A closed terminal is no reason not to stop.
                let _ = write!(std::io::stderr(), "{words}");
            } else {
                quit();
            }
        }
    });
    Ok(())
}

#[expect(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "asked for twice: the spans are given up"
)]
fn quit() {
    std::process::exit(130);
}
