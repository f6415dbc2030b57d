//! The bed: brought up by `tests/testbed/up`, ended when this process is gone.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// A running bed; its facts are those of `bed.json`.
pub(crate) struct Bed {
    facts: Value,
}

/// How a buildkitd of the bed exports its own spans.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    /// To Jaeger's collector, over HTTP.
    Http,
    /// To Jaeger's agent, over UDP.
    Udp,
    /// Nowhere.
    Mute,
}

/// The bed of this test process.
pub(crate) fn bed() -> &'static Bed {
    static BED: OnceLock<Bed> = OnceLock::new();
    BED.get_or_init(|| {
        Bed::up(
            &bed_dir(""),
            &["jaeger", "buildkitd", "buildkitd:udp", "buildkitd:mute"],
        )
    })
}

/// The same bed with every kind of engine: Docker, podman, ssh, TLS.
pub(crate) fn engines() -> &'static Bed {
    static BED: OnceLock<Bed> = OnceLock::new();
    BED.get_or_init(|| {
        bed();
        Bed::up(
            &bed_dir(""),
            &["dockerd", "sshd", "podman", "buildkitd:tls"],
        )
    })
}

/// Where a bed of this process lives.
pub(crate) fn bed_dir(name: &str) -> PathBuf {
    let (temp, pid) = (std::env::temp_dir(), std::process::id());
    temp.join(format!("dagger-it-{pid}{name}"))
}

impl Bed {
    /// Brings up a bed, or adds to it.
    pub(crate) fn up(dir: &Path, services: &[&str]) -> Self {
        let up = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/up");
        let status = Command::new(up)
            .arg("--parent")
            .arg(std::process::id().to_string())
            .arg(dir)
            .args(services)
            .status()
            .expect("tests/testbed/up can be run");
        assert!(status.success(), "the test bed did not come up");
        let json = std::fs::read(dir.join("bed.json")).expect("bed.json is there");
        Self {
            facts: serde_json::from_slice(&json).expect("bed.json is JSON"),
        }
    }

    /// One of the facts of `bed.json`, by its JSON pointer.
    pub(crate) fn fact(&self, pointer: &str) -> String {
        let fact = self.facts.pointer(pointer).and_then(Value::as_str);
        fact.unwrap_or_else(|| panic!("bed.json has no {pointer}"))
            .to_owned()
    }

    /// One of the programs of the bed.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        Path::new(&self.fact("/bin")).join(name)
    }

    /// Jaeger's query URL.
    pub(crate) fn query_url(&self) -> String {
        self.fact("/jaeger/query_url")
    }

    /// Jaeger's OTLP receiver, over HTTP.
    pub(crate) fn otlp_http(&self) -> String {
        self.fact("/jaeger/otlp_http_url")
    }

    /// Jaeger's collector, thrift over HTTP.
    pub(crate) fn collector(&self) -> String {
        self.fact("/jaeger/collector_url")
    }

    /// Jaeger's agent, compact thrift over UDP: `host:port`.
    pub(crate) fn agent(&self) -> String {
        self.fact("/jaeger/agent")
    }

    /// A daemon's address, `unix://...`.
    pub(crate) fn unix(&self, engine: Engine) -> String {
        self.fact(&format!("/buildkitd/{}/unix", engine.name()))
    }

    /// A daemon's address, `tcp://...`.
    pub(crate) fn tcp(&self, engine: Engine) -> String {
        self.fact(&format!("/buildkitd/{}/tcp", engine.name()))
    }

    /// The root file system that contexts build from.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.fact("/rootfs_tar").into()
    }
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Udp => "udp",
            Self::Mute => "mute",
        }
    }
}
