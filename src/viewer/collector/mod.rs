//! Receiving spans in Jaeger's place: what `dagger trace serve --collector` listens to.
//!
//! Lives here: the receivers over HTTP (`http`) and in datagrams (`datagrams`), and the queue from them to
//! the store (`intake`). Elsewhere: reading thrift and OTLP (`trace`), the store. Start at [`Intake`].
//!
//! What is acknowledged is on disk. What cannot be taken now is refused, so that the sender keeps it.

mod bounds;
mod datagrams;
mod http;
mod intake;
#[cfg(test)]
mod tests;

pub use datagrams::{Encoding, receive};
pub use http::{jaeger, otlp};
pub use intake::{Intake, Retention};
