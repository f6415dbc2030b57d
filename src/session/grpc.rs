//! gRPC on HTTP/2 bodies, as little of it as the session needs.
//!
//! A message is a byte 0, its length in four bytes, big-endian, and its protobuf encoding (gRPC over
//! HTTP2, "Length-Prefixed-Message"). File contents go through here, so what is sent is encoded
//! straight into the buffer that leaves.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use prost::Message;
use tokio::sync::mpsc;
use tonic::Status;

use super::error::SessionError;

/// Largest message taken, in bytes: the daemon's own limit.
const MESSAGE_BYTES: usize = 16 << 20;

/// Length of a message's prefix.
pub(super) const PREFIX_BYTES: usize = 5;

/// Appends a message with its prefix.
pub(super) fn encode(message: &impl Message, out: &mut BytesMut) {
    let length = message.encoded_len();
    out.reserve(PREFIX_BYTES + length);
    prefix(length, out);
    // The room was reserved, so it cannot be too small.
    let _ = message.encode(out);
}

/// Appends the prefix of a message of `length` bytes.
pub(super) fn prefix(length: usize, out: &mut BytesMut) {
    out.put_u8(0);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// The messages that the daemon sends in one call.
pub(super) struct Requests {
    body: Incoming,
    buffer: BytesMut,
}

impl Requests {
    pub(super) fn new(body: Incoming) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
        }
    }

    /// The one message of a call that has one.
    pub(super) async fn only<M: Message + Default>(&mut self) -> Result<M, SessionError> {
        let message = self.next().await?;
        message.ok_or_else(|| SessionError::Protocol("a call without its message".into()))
    }

    /// The next message; `None` when the daemon has said all.
    pub(super) async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, SessionError> {
        loop {
            if let Some(message) = decode(&mut self.buffer)? {
                return Ok(Some(message));
            }
            let body = &mut self.body;
            match std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(_)) => return Err(SessionError::Cancelled),
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    return Err(SessionError::Protocol(
                        "the stream ends inside a message".into(),
                    ));
                }
            }
        }
    }
}

/// Takes one message off the buffer, if it is whole.
fn decode<M: Message + Default>(buffer: &mut BytesMut) -> Result<Option<M>, SessionError> {
    let Some((mut head, _)) = buffer.split_at_checked(PREFIX_BYTES) else {
        return Ok(None);
    };
    let compressed = head.get_u8() != 0;
    let length = usize::try_from(head.get_u32()).unwrap_or(usize::MAX);
    if compressed || length > MESSAGE_BYTES {
        return Err(SessionError::Protocol(format!(
            "a message of {length} bytes, compressed: {compressed}"
        )));
    }
    if buffer.len() < PREFIX_BYTES + length {
        return Ok(None);
    }
    buffer.advance(PREFIX_BYTES);
    let message = M::decode(buffer.split_to(length).freeze());
    message
        .map(Some)
        .map_err(|error| SessionError::Protocol(error.to_string()))
}

/// Answers with one message.
pub(super) async fn reply(
    responder: &Responder,
    message: &impl Message,
) -> Result<(), SessionError> {
    let mut data = BytesMut::new();
    encode(message, &mut data);
    responder.send(data.freeze()).await
}

/// The body of an answer: data, then the trailers with the status.
pub(super) struct Answer(mpsc::Receiver<Frame<Bytes>>);

/// Where an answer's data go.
#[derive(Clone)]
pub(super) struct Responder(mpsc::Sender<Frame<Bytes>>);

/// An answer and where its data go; at most `queue` pieces wait.
pub(super) fn answer(queue: usize) -> (Responder, Answer) {
    let (sender, receiver) = mpsc::channel(queue);
    (Responder(sender), Answer(receiver))
}

impl Responder {
    /// Sends encoded messages.
    pub(super) async fn send(&self, data: Bytes) -> Result<(), SessionError> {
        self.0
            .send(Frame::data(data))
            .await
            .map_err(|_| SessionError::Cancelled)
    }

    /// Sends encoded messages from a thread that may wait.
    pub(super) fn send_blocking(&self, data: Bytes) -> Result<(), SessionError> {
        self.0
            .blocking_send(Frame::data(data))
            .map_err(|_| SessionError::Cancelled)
    }

    /// Ends the answer with a status.
    pub(super) async fn end(&self, status: &Status) {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(status.code() as i32));
        if let Ok(message) = HeaderValue::from_str(&percent_encoded(status.message())) {
            trailers.insert("grpc-message", message);
        }
        // A caller that has gone needs no status.
        let _ = self.0.send(Frame::trailers(trailers)).await;
    }
}

/// The text as `grpc-message` carries it: printable ASCII, the rest as %XX.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::fsutil::Packet;

    #[test]
    fn a_message_is_taken_when_it_is_whole() {
        let packet = Packet {
            id: 7,
            data: Bytes::from_static(b"abc"),
            ..Packet::default()
        };
        let mut sent = BytesMut::new();
        encode(&packet, &mut sent);
        let mut buffer = BytesMut::new();
        for (index, byte) in sent.iter().enumerate() {
            buffer.put_u8(*byte);
            let taken: Option<Packet> = decode(&mut buffer).unwrap();
            assert_eq!(taken.is_some(), index + 1 == sent.len());
        }
    }

    #[test]
    fn huge_and_compressed_messages_are_refused() {
        for head in [[1, 0, 0, 0, 1], [0, 255, 255, 255, 255]] {
            assert!(decode::<Packet>(&mut BytesMut::from(&head[..])).is_err());
        }
    }

    #[test]
    fn status_texts_are_plain_ascii() {
        assert_eq!(percent_encoded("50 % ö\n"), "50 %25 %C3%B6%0A");
    }
}
