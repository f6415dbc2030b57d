//! A stream that is looked at while its first calls are made: what TLS says of our certificate, or that
//! the other side speaks TLS and we do not, is lost further up.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::channel::Stream;
use super::tls::{self, Problem};

/// How a TLS alert begins (RFC 8446, section 5.1): its type and the first byte of the version.
const ALERT: [u8; 2] = [0x15, 0x03];

/// What was seen of a stream.
#[derive(Clone, Default)]
pub(super) struct Observed(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    first: Option<[u8; 2]>,
    ended: bool,
    error: Option<String>,
}

impl Observed {
    /// What it means, if it is about TLS.
    pub(super) fn problem(&self) -> Option<Problem> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.first == Some(ALERT) {
            return Some(tls::wanted_by_the_engine());
        }
        if seen.first.is_none() && seen.ended {
            return Some(tls::closed_without_a_word());
        }
        tls::alert(seen.error.as_deref()?)
    }
}

struct Observing<S> {
    stream: S,
    observed: Observed,
    begun: bool,
}

/// The stream, and what is seen of it.
pub(super) fn observe(stream: impl Stream + 'static) -> (Box<dyn Stream>, Observed) {
    let observed = Observed::default();
    let observing = Observing {
        stream,
        observed: observed.clone(),
        begun: false,
    };
    (Box::new(observing), observed)
}

impl<S> Observing<S> {
    fn note(&self, result: &io::Result<()>) {
        if let Err(error) = result {
            let mut seen = self
                .observed
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            seen.error.get_or_insert_with(|| format!("{error:?}"));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        self.note(&result);
        if !self.begun {
            let mut seen = self
                .observed
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match buf.filled().get(before..) {
                Some([first, second, ..]) => seen.first = Some([*first, *second]),
                Some([]) => seen.ended = result.is_ok(),
                _ => {}
            }
            let begun = seen.first.is_some();
            drop(seen);
            self.begun = begun;
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observing<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
