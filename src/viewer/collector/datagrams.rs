//! Jaeger's agent: thrift in datagrams. Nobody is answered; what cannot be read is counted in the log.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::intake::Intake;
use crate::trace::thrift::{self, Batch, ThriftError};

/// Bytes of a datagram at most; no larger one can come.
const DATAGRAM_BYTES: usize = 65_536;

/// Bytes that the system keeps while the store is busy. It may give less (`net.core.rmem_max`).
const BUFFER_BYTES: usize = 8 << 20;

/// How a datagram is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Thrift's compact one: port 6831.
    Compact,
    /// Thrift's binary one: port 6832.
    Binary,
}

impl Encoding {
    fn read(self, bytes: &[u8]) -> Result<Batch, ThriftError> {
        match self {
            Self::Compact => thrift::agent(bytes),
            Self::Binary => thrift::agent_binary(bytes),
        }
    }
}

/// Listens there for datagrams, and receives them until `ended`; gives where it listens. Needs a running
/// tokio runtime.
///
/// # Errors
/// When the address cannot be listened on.
pub fn receive(
    at: SocketAddr,
    encoding: Encoding,
    intake: Intake,
    ended: CancellationToken,
) -> io::Result<SocketAddr> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, None)?;
    // A smaller buffer does too, for slower senders.
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    let here = socket.local_addr()?;
    tokio::spawn(async move {
        tokio::select! {
            () = take_all(&socket, encoding, &intake) => {}
            () = ended.cancelled() => {}
        }
    });
    Ok(here)
}

async fn take_all(socket: &UdpSocket, encoding: Encoding, intake: &Intake) {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    let mut unread = 0_u64;
    loop {
        let length = match socket.recv_from(&mut buffer).await {
            Ok((length, _)) => length,
            Err(error) => {
                tracing::debug!(%error, "a datagram was not received");
                continue;
            }
        };
        match encoding.read(buffer.get(..length).unwrap_or_default()) {
            // While there is no room the system keeps what comes.
            Ok(batch) => intake.put(batch.spans).await,
            Err(error) => {
                unread += 1;
                if unread.is_power_of_two() {
                    tracing::warn!(%error, unread, "a datagram is no batch of spans");
                }
            }
        }
    }
}
