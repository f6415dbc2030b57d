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
#[derive(Clone)]
pub(super) struct Observed(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    encrypted: bool,
    first: Option<[u8; 2]>,
    /// Closed by the other side, which with unread data is a reset.
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
        let alert = seen.error.as_deref().and_then(tls::alert);
        let silent = seen.first.is_none() && seen.ended;
        alert.or_else(|| {
            silent.then(|| match seen.encrypted {
                true => tls::closed_after_the_handshake(),
                false => tls::closed_without_a_word(),
            })
        })
    }
}

struct Observing<S> {
    stream: S,
    observed: Observed,
    begun: bool,
}

/// The stream, and what is seen of it. `encrypted`: it speaks TLS, and the handshake was done.
pub(super) fn observe(
    stream: impl Stream + 'static,
    encrypted: bool,
) -> (Box<dyn Stream>, Observed) {
    let observed = Observed(Arc::new(Mutex::new(Seen {
        encrypted,
        ..Seen::default()
    })));
    let observing = Observing {
        stream,
        observed: observed.clone(),
        begun: false,
    };
    (Box::new(observing), observed)
}

impl<S> Observing<S> {
    fn note<T>(&self, result: &io::Result<T>) {
        if let Err(error) = result {
            let mut seen = self
                .observed
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            seen.ended |= matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
            );
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
                Some([]) => seen.ended |= result.is_ok(),
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
        let result = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        self.note(&result);
        Poll::Ready(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        self.note(&result);
        Poll::Ready(result)
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A stream of which reading, or writing, fails.
    struct Failing(io::ErrorKind);

    impl AsyncRead for Failing {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Err(self.0.into()))
        }
    }

    impl AsyncWrite for Failing {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(self.0.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_reset_before_a_word_is_a_close_without_one() {
        for (kind, expected) in [
            (io::ErrorKind::ConnectionReset, true),
            (io::ErrorKind::BrokenPipe, true),
            (io::ErrorKind::TimedOut, false),
        ] {
            let (mut stream, observed) = observe(Failing(kind), false);
            assert!(stream.read_u8().await.is_err());
            assert_eq!(observed.problem().is_some(), expected, "{kind}, read");
            let (mut stream, observed) = observe(Failing(kind), false);
            assert!(stream.write_all(b"PRI").await.is_err());
            assert_eq!(observed.problem().is_some(), expected, "{kind}, written");
        }
    }
}
