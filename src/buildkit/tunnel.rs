//! The session tunnel: a byte stream inside the messages of `Control/Session`.
//!
//! Lives here: the two directions as one `AsyncRead + AsyncWrite`. The bytes are an HTTP/2 connection
//! on which the daemon is the client; who answers on it is `session`'s business.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tokio_util::sync::{CancellationToken, PollSender, WaitForCancellationFutureOwned};
use tonic::Streaming;

use super::call::CallSpan;
use crate::proto::control::BytesMessage;

/// Messages waiting to be sent. Full: the writer waits.
const QUEUE_MESSAGES: usize = 8;

/// Bytes in one message at most. Larger ones save calls on both sides; the daemon takes up to 16 MiB.
const MESSAGE_BYTES: usize = 128 << 10;

/// A session's byte stream, our side.
#[derive(Debug)]
pub struct Tunnel {
    incoming: Streaming<BytesMessage>,
    /// What was received and not yet read.
    unread: Bytes,
    outgoing: PollSender<BytesMessage>,
    closer: TunnelCloser,
    call: CallSpan,
}

/// Closes a tunnel from outside, in order: the daemon sees the end and closes its side.
#[derive(Clone, Debug, Default)]
pub struct TunnelCloser(CancellationToken);

impl TunnelCloser {
    /// Ends what we send. The daemon answers by ending what it sends.
    pub fn close(&self) {
        self.0.cancel();
    }

    /// Is ready once it was closed.
    pub(super) fn closed(&self) -> WaitForCancellationFutureOwned {
        self.0.clone().cancelled_owned()
    }
}

/// The sending half: where bytes go in, and the stream of messages that the call takes.
pub(super) fn outgoing() -> (
    PollSender<BytesMessage>,
    impl Stream<Item = BytesMessage> + Send + use<>,
    TunnelCloser,
) {
    let (sender, receiver) = mpsc::channel(QUEUE_MESSAGES);
    let token = CancellationToken::new();
    let messages = ReceiverStream::new(receiver).take_until(token.clone().cancelled_owned());
    (PollSender::new(sender), messages, TunnelCloser(token))
}

impl Tunnel {
    pub(super) fn new(
        incoming: Streaming<BytesMessage>,
        outgoing: PollSender<BytesMessage>,
        closer: TunnelCloser,
        call: CallSpan,
    ) -> Self {
        Self {
            incoming,
            unread: Bytes::new(),
            outgoing,
            closer,
            call,
        }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(self.incoming.poll_next_unpin(cx)) {
                Some(Ok(message)) => self.unread = message.data,
                Some(Err(status)) => {
                    // After our own close the daemon may end the call either way.
                    if self.closer.0.is_cancelled() {
                        self.call.end(&Ok(()));
                        return Poll::Ready(Ok(()));
                    }
                    let error = io::Error::other(status.message().to_owned());
                    self.call.end::<()>(&Err(status));
                    return Poll::Ready(Err(error));
                }
                None => {
                    self.call.end(&Ok(()));
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let count = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl Tunnel {
    /// Sends one message made of the buffers' beginnings.
    fn send(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.closer.0.is_cancelled() || ready!(self.outgoing.poll_reserve(cx)).is_err() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let wanted = buffers
            .iter()
            .map(|buffer| buffer.len())
            .sum::<usize>()
            .min(MESSAGE_BYTES);
        let mut data = BytesMut::with_capacity(wanted);
        for buffer in buffers {
            let room = wanted - data.len();
            data.extend_from_slice(buffer.get(..room).unwrap_or(buffer));
        }
        let sent = self.outgoing.send_item(BytesMessage {
            data: data.freeze(),
        });
        Poll::Ready(
            sent.map(|()| wanted)
                .map_err(|_| io::ErrorKind::BrokenPipe.into()),
        )
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.send(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.send(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.close();
        Poll::Ready(Ok(()))
    }
}
