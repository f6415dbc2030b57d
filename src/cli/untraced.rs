//! A command without a trace: its log, its runtime, Ctrl-C.

use tokio_util::sync::CancellationToken;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::diagnostic::Failure;
use super::interrupt;
use super::traced::Start;

/// What an untraced command works with.
pub(super) struct Untraced {
    /// Cancelled by Ctrl-C.
    pub(super) cancel: CancellationToken,
}

impl Start<'_> {
    /// Runs `work` and gives its exit code. Ctrl-C ends it, whatever it does.
    ///
    /// # Errors
    /// Those of `work`, and when the process cannot be set up.
    pub(super) fn untraced(
        &self,
        work: impl AsyncFnOnce(Untraced) -> Result<u8, Failure>,
    ) -> Result<u8, Failure> {
        self.until_stopped(async |untraced| {
            let cancel = untraced.cancel.clone();
            tokio::select! {
                code = work(untraced) => code,
                () = cancel.cancelled() => Err(Failure::Interrupted),
            }
        })
    }

    /// The same for a `work` that ends by itself when it is cancelled. Ctrl-C twice quits at once.
    ///
    /// # Errors
    /// Those of `work`, and when the process cannot be set up.
    pub(super) fn until_stopped(
        &self,
        work: impl AsyncFnOnce(Untraced) -> Result<u8, Failure>,
    ) -> Result<u8, Failure> {
        let level = self.log_level;
        let log = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(self.env.colour())
            .with_filter(filter_fn(move |metadata| level.wants(metadata)));
        tracing_subscriber::registry().with(log).init();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let code = runtime.block_on(async {
            let cancel = CancellationToken::new();
            interrupt::watch_quietly(cancel.clone())?;
            work(Untraced { cancel }).await
        });
        runtime.shutdown_background();
        code
    }
}
