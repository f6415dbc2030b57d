//! The one trait that a way out of the process implements.

use thiserror::Error;

use crate::trace::model::Span;

/// A way out. Batches come one after another, from one thread.
pub trait Exporter: Send {
    /// Hands over a batch; returns when it was accepted, or sent where nobody answers.
    ///
    /// # Errors
    /// When the batch was not handed over as a whole.
    fn export(&mut self, batch: &[Span]) -> Result<(), ExportError>;
}

/// Why a batch was not handed over.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct ExportError {
    /// In plain words.
    pub reason: String,
    /// May the same batch be accepted a moment later?
    pub passing: bool,
    /// May the destination have some of it all the same? False: surely not.
    pub uncertain: bool,
}

impl ExportError {
    /// Nothing was sent, and trying again is of no use.
    pub(super) fn unsent(reason: impl ToString) -> Self {
        Self {
            reason: reason.to_string(),
            passing: false,
            uncertain: false,
        }
    }
}
