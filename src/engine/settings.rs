//! What the engine room is told by the edge: where to connect, and how.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::address::Address;
use super::error::EngineError;
use super::tls::TlsFiles;

/// The image of the managed container. Another one replaces the container, not its volume.
pub const IMAGE: &str = "docker.io/moby/buildkit:v0.34.2";

/// Where to connect, and what may be used for it. Read once, at the edge.
#[derive(Clone, Debug, Default)]
pub struct EngineSettings {
    /// The address that was asked for; `None`: the default order.
    pub address: Option<Address>,
    /// Files for TLS.
    pub tls: TlsFiles,
    /// `PATH`, where helper programs are looked for.
    pub path: Option<String>,
    /// The program itself, which holds helper processes on a leash; `None`: they go without.
    pub program: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, if it is set.
    pub runtime_dir: Option<PathBuf>,
    /// Where `dagger` keeps its state.
    pub state_dir: Option<PathBuf>,
    /// The user's configuration, `~/.config/dagger`: the lock of the managed engines is there.
    pub config_dir: Option<PathBuf>,
    /// `DOCKER_HOST`, for Docker's built-in BuildKit.
    pub docker_host: Option<String>,
    /// Does the docker command line look elsewhere than at its default place (a context)?
    pub docker_context: bool,
    /// The image of the managed container, instead of [`IMAGE`].
    pub image: Option<String>,
    /// May the default order begin an engine that is not there?
    pub may_start: bool,
}

impl EngineSettings {
    /// Reads `BUILDKIT_HOST`.
    ///
    /// # Errors
    /// When it is no address.
    pub fn with_host(mut self, buildkit_host: Option<&str>) -> Result<Self, EngineError> {
        let host = buildkit_host.map(str::trim).filter(|host| !host.is_empty());
        self.address = host.map(Address::parse).transpose()?;
        Ok(self)
    }

    /// The image of the managed container.
    pub fn image(&self) -> &str {
        self.image.as_deref().unwrap_or(IMAGE)
    }
}

/// How an address came to be used: errors and the connect span say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    /// The variable `BUILDKIT_HOST`.
    Variable,
    /// A socket at a default place.
    DefaultSocket,
    /// The managed container, or Docker's own BuildKit in its place.
    Docker,
    /// The managed local daemon.
    Local,
}

/// An address and how it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The address.
    pub address: Address,
    /// How it was chosen.
    pub by: ChosenBy,
}

impl fmt::Display for ChosenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variable => "BUILDKIT_HOST",
            Self::DefaultSocket => "the default place",
            Self::Docker => "the default order: Docker",
            Self::Local => "the default order: a local buildkitd",
        })
    }
}

/// Is told, line by line, what connecting is about.
pub trait Watch: Send + Sync + 'static {
    /// Something was tried, or something slow goes on.
    fn note(&self, line: &str);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn note(&self, _: &str) {}
}

/// What connecting works with.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) settings: Arc<EngineSettings>,
    pub(super) watch: Arc<dyn Watch>,
}

impl Surroundings {
    /// Tells what goes on: who watches, and the log.
    pub(super) fn note(&self, line: &str) {
        tracing::info!("{line}");
        self.watch.note(line);
    }
}
