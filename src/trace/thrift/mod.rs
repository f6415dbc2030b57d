//! Jaeger's batches in thrift, as collectors and agents get them: bytes from anyone into spans.
//!
//! Lives here: both encodings (`binary`, `compact`), the structs of a batch (`batch`), and the bounds.
//! Nothing is allocated for what the bytes only claim to hold. Elsewhere: writing thrift (`telemetry`),
//! receiving it (`viewer::collector`). Start at [`collected`] and [`agent`].

mod batch;
mod binary;
mod compact;
#[cfg(test)]
mod tests;
mod wire;

use thiserror::Error;

use super::model::Span;
use binary::Binary;
use compact::Compact;
use wire::Wire;

/// What a batch held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The spans, in the batch's order.
    pub spans: Vec<Span>,
    /// Spans that were left out: they have no id.
    pub refused: usize,
}

/// Why bytes are no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ThriftError {
    /// They end too early, or claim more than there is.
    #[error("it ends before what it says it holds")]
    Short,
    /// A number or a type is none that thrift has.
    #[error("it is no thrift of the protocol that was expected")]
    Malformed,
    /// A struct is in a struct is in a struct.
    #[error("it is nested too deep")]
    Deep,
    /// More list entries than are read of one batch.
    #[error("it holds too many entries for one batch")]
    Large,
    /// It is a message, but not of an agent.
    #[error("it is no message `emitBatch`")]
    Message,
}

/// A batch as a collector gets it over HTTP: the struct alone, in the binary encoding.
///
/// # Errors
/// When it is none.
pub fn collected(bytes: &[u8]) -> Result<Batch, ThriftError> {
    batch::read(&mut Binary::new(bytes))
}

/// A batch as an agent gets it in a datagram: a message, in the compact encoding.
///
/// # Errors
/// When it is none.
pub fn agent(bytes: &[u8]) -> Result<Batch, ThriftError> {
    of_message(&mut Compact::new(bytes))
}

/// The same in the binary encoding.
///
/// # Errors
/// When it is none.
pub fn agent_binary(bytes: &[u8]) -> Result<Batch, ThriftError> {
    of_message(&mut Binary::new(bytes))
}

fn of_message<'a>(wire: &mut impl Wire<'a>) -> Result<Batch, ThriftError> {
    if wire.message()? != b"emitBatch" {
        return Err(ThriftError::Message);
    }
    let mut batch = None;
    wire::fields(wire, |wire, id, kind| {
        match (id, kind) {
            (1, wire::Kind::Struct) => batch = Some(batch::read(wire)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    batch.ok_or(ThriftError::Message)
}
