//! A Jaeger of a test's own, at addresses that stay the same: it can be killed, and come back.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::bed::bed;

/// The addresses, and the process if it runs. It ends with the value, and with the test's thread.
pub(crate) struct OwnJaeger {
    ports: Vec<u16>,
    child: Option<Child>,
    /// What it keeps when it is killed; absent: nothing, spans are in memory.
    disk: Option<tempfile::TempDir>,
}

impl OwnJaeger {
    /// One that is not there yet, and that forgets all when it ends.
    pub(crate) fn forgetful() -> Self {
        Self {
            ports: free_ports(9),
            child: None,
            disk: None,
        }
    }

    /// One that is not there yet, and that finds its spans again. It writes a span over its like, so it
    /// cannot show that one came twice.
    pub(crate) fn durable() -> Self {
        let mut jaeger = Self::forgetful();
        jaeger.disk = Some(tempfile::tempdir().expect("a temporary directory"));
        jaeger
    }

    /// Starts it, and waits until it takes spans.
    pub(crate) fn start(&mut self) {
        let program = Path::new(&bed().fact("/bin")).join("jaeger-all-in-one");
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .env_clear()
            .env("OTEL_TRACES_SAMPLER", "always_off")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match &self.disk {
            None => command.env("SPAN_STORAGE_TYPE", "memory"),
            Some(disk) => command
                .env("SPAN_STORAGE_TYPE", "badger")
                .args(["--badger.ephemeral=false", "--badger.consistency=true"])
                .arg(format!(
                    "--badger.directory-key={}",
                    disk.path().join("keys").display()
                ))
                .arg(format!(
                    "--badger.directory-value={}",
                    disk.path().join("values").display()
                )),
        };
        let flags = [
            "query.http-server.host-port",
            "collector.http-server.host-port",
            "admin.http.host-port",
            "processor.jaeger-compact.server-host-port",
            "collector.otlp.http.host-port",
            "collector.otlp.grpc.host-port",
            "query.grpc-server.host-port",
            "collector.grpc-server.host-port",
            "http-server.host-port",
        ];
        for (flag, port) in flags.iter().zip(&self.ports) {
            command.arg(format!("--{flag}=127.0.0.1:{port}"));
        }
        command.args([
            "--processor.jaeger-binary.server-host-port=127.0.0.1:0",
            "--processor.zipkin-compact.server-host-port=127.0.0.1:0",
        ]);
        self.child = Some(command.spawn().expect("jaeger can be run"));
        let until = Instant::now() + Duration::from_secs(60);
        let admin = format!("http://127.0.0.1:{}/", self.ports[2]);
        while !answers(&admin) {
            assert!(Instant::now() < until, "jaeger did not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("its end");
        }
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

impl Drop for OwnJaeger {
    fn drop(&mut self) {
        self.kill();
    }
}

fn answers(url: &str) -> bool {
    Command::new("curl")
        .args(["-sf", "-o", "/dev/null", "-m", "1", url])
        .status()
        .expect("curl can be run")
        .success()
}

/// Ports that nobody listens on, below those that outgoing connections get.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let start = std::process::id().wrapping_mul(2_654_435_761) >> 20;
    let mut ports = Vec::new();
    for step in 0.. {
        let port = 20_000 + u16::try_from((start + step * 37) % 12_000).expect("it fits");
        let free = TcpListener::bind(("127.0.0.1", port)).is_ok()
            && UdpSocket::bind(("127.0.0.1", port)).is_ok();
        // Another test of this process may have taken it a moment ago.
        if free && taken(port) {
            ports.push(port);
        }
        if ports.len() == count {
            break;
        }
    }
    ports
}

fn taken(port: u16) -> bool {
    use std::collections::HashSet;
    use std::sync::Mutex;
    static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut taken = TAKEN.lock().expect("no panic while it is held");
    taken.get_or_insert_with(HashSet::new).insert(port)
}
