//! A session on a connection of its own, beside the calls: as Docker's built-in BuildKit has it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::client::SessionOpening;
use super::tunnel::TunnelCloser;

/// Both directions of a session, on which the daemon calls back.
pub trait SessionIo: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> SessionIo for T {}

/// A session's connection, when it is open.
pub type Opening = Pin<Box<dyn Future<Output = io::Result<Box<dyn SessionIo>>> + Send>>;

/// Opens sessions on connections of their own.
pub trait OpenSession: Send + Sync {
    /// Opens one; the daemon is told of it what `opening` says.
    fn open(&self, opening: &SessionOpening) -> Opening;
}

/// A session's connection that ends when its closer says so.
pub(super) struct Beside {
    io: Box<dyn SessionIo>,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Beside {
    pub(super) fn new(io: Box<dyn SessionIo>, closer: &TunnelCloser) -> Self {
        Self {
            io,
            closed: Box::pin(closer.closed()),
        }
    }
}

impl AsyncRead for Beside {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Beside {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
