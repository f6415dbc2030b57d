//! Where to build: from `BUILDKIT_HOST`, or nothing at all, to a connection.
//!
//! Lives here: the grammar of addresses, the default order, one file a scheme, the engines that
//! `dagger` keeps (`managed`). Elsewhere: what is said on the connection (`buildkit`).
//! Start at [`connect`].

mod address;
mod channel;
mod choose;
mod connect;
mod docker;
mod docker_container;
mod environment;
mod error;
mod helper;
mod kube_pod;
pub mod leash;
pub mod managed;
mod nerdctl_container;
mod observed;
mod podman_container;
mod settings;
mod ssh;
mod stdio;
mod tcp;
mod tls;
mod unix;

pub use address::Address;
pub use connect::{Connection, connect};
pub use environment::environment;
pub use error::EngineError;
pub use settings::{Choice, ChosenBy, EngineSettings, IMAGE, Unwatched, Watch};
pub use tls::TlsFiles;
