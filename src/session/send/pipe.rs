//! A file that is passed on as it comes, to standard output or another program.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use super::file::{Target, receive};
use crate::session::callback::Moved;
use crate::session::error::SessionError;
use crate::session::grpc::Requests;

/// Takes a file as it comes.
pub trait Sink: Debug + Send + Sync {
    /// What it is called in errors, e.g. `docker load`.
    fn name(&self) -> String;
    /// Takes some bytes; called on a thread that may wait.
    ///
    /// # Errors
    /// When they cannot be taken.
    fn take(&self, bytes: &[u8]) -> io::Result<()>;
    /// All has come.
    ///
    /// # Errors
    /// When it was not taken well.
    fn finish(&self) -> io::Result<()>;
    /// Does it put images into the Docker engine? Docker's built-in BuildKit can do that itself.
    fn is_docker(&self) -> bool {
        false
    }
}

/// A sink, shared.
#[derive(Clone, Debug)]
pub struct Pipe(Arc<dyn Sink>);

impl Pipe {
    /// Passes a file on to `sink`.
    pub fn new(sink: impl Sink + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Does it end in the Docker engine?
    pub fn is_docker(&self) -> bool {
        self.0.is_docker()
    }
}

impl PartialEq for Pipe {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Pipe {}

/// Receives the file.
pub(in crate::session) async fn pipe(
    pipe: &Pipe,
    requests: Requests,
) -> Result<Moved, SessionError> {
    let pipe = pipe.clone();
    receive(requests, move || Ok(pipe)).await
}

impl Target for Pipe {
    fn write(&mut self, chunk: &[u8]) -> Result<(), SessionError> {
        self.0.take(chunk).map_err(|error| self.failed(&error))
    }

    fn finish(self) -> Result<(), SessionError> {
        self.0.finish().map_err(|error| self.failed(&error))
    }
}

impl Pipe {
    fn failed(&self, error: &io::Error) -> SessionError {
        SessionError::Helper(format!("{}: {error}", self.0.name()))
    }
}
