//! A Jaeger v2 of a test's own, with processors on the way into its store.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::bed::bed;
use super::own_jaeger::free_ports;

/// It ends with the value, and with the test's thread.
pub(crate) struct OwnJaeger2 {
    ports: Vec<u16>,
    child: Child,
    _configuration: tempfile::TempDir,
}

impl OwnJaeger2 {
    /// One with this processor (`name`, and its settings as YAML in one line) before its store.
    pub(crate) fn with(name: &str, settings: &str) -> Self {
        let configuration = tempfile::tempdir().expect("a temporary directory");
        let more = configuration.path().join("more.yaml");
        let text = format!(
            "processors: {{ {name}: {settings} }}\n\
             service: {{ pipelines: {{ traces: {{ processors: [{name}, batch] }} }} }}\n"
        );
        std::fs::write(&more, text).expect("a file");
        let ports = free_ports(8);
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(bed().program("jaeger-v2"))
            .arg("--config")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/jaeger.yaml"))
            .arg("--config")
            .arg(&more)
            .env_clear()
            .env("OTEL_TRACES_SAMPLER", "always_off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let endpoints = [
            "extensions.jaeger_query.http",
            "receivers.jaeger.protocols.thrift_http",
            "receivers.jaeger.protocols.thrift_compact",
            "receivers.otlp.protocols.http",
            "receivers.otlp.protocols.grpc",
            "extensions.jaeger_query.grpc",
            "extensions.healthcheckv2.http",
            "exporters.prometheus",
        ];
        for (endpoint, port) in endpoints.iter().zip(&ports) {
            command.arg(format!("--set={endpoint}.endpoint=127.0.0.1:{port}"));
        }
        let child = command.spawn().expect("jaeger can be run");
        let jaeger = Self {
            ports,
            child,
            _configuration: configuration,
        };
        let health = format!("http://127.0.0.1:{}/status", jaeger.ports[6]);
        let until = Instant::now() + Duration::from_secs(60);
        let up = || {
            let asked = Command::new("curl")
                .args(["-sf", "-m", "1", &health])
                .output();
            asked.expect("curl can be run").status.success()
        };
        while !up() {
            assert!(Instant::now() < until, "jaeger did not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        jaeger
    }

    /// Its collector, thrift over HTTP.
    pub(crate) fn collector(&self) -> String {
        format!("http://127.0.0.1:{}/api/traces", self.ports[1])
    }

    /// Its query URL.
    pub(crate) fn query_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }
}

impl Drop for OwnJaeger2 {
    fn drop(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("its end");
    }
}
