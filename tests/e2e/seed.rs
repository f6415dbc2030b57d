//! What users were promised, as they type it.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use crate::default_order::container;
use crate::support::{Context, Dagger, bed, engines};

/// Word for word from the contract.
const OWN_ENGINE: &str = "
docker run -d --name dagger-buildkitd --privileged --network=host docker.io/moby/buildkit:latest
BUILDKIT_HOST=docker-container://dagger-buildkitd dagger up
";

/// Word for word from the contract.
const TRACING: &str = "
docker-compose -f tracing.compose.yaml up -d
export BUILDKIT_HOST=docker-container://dagger-buildkitd-jaeger
export OTEL_EXPORTER_JAEGER_ENDPOINT=http://localhost:14268/api/traces
export JAEGER_TRACE=localhost:6831
dagger up
";

/// Types it into a shell of a user who has Docker, and gives what was said.
fn type_in(script: &str, context: &Context, home: &Path) -> String {
    let dagger = Path::new(env!("CARGO_BIN_EXE_dagger"));
    let bin = dagger.parent().expect("a directory").display().to_string();
    let output = Command::new("bash")
        .args(["-e", "-c", script])
        .current_dir(context.path())
        .env_clear()
        .env("HOME", home)
        .env("PATH", format!("/usr/bin:/bin:/usr/sbin:{bin}"))
        .env("DOCKER_HOST", engines().fact("/dockerd/host"))
        .output()
        .expect("a shell");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    said
}

/// The contract's ports are the machine's: one test has them at a time, while it holds this.
pub(crate) fn contracts_ports() -> File {
    let lock = std::env::temp_dir().join("dagger-seed-ports.lock");
    let lock = File::create(lock).expect("a lock");
    lock.lock().expect("the lock");
    lock
}

#[test]
fn an_engine_of_ones_own() {
    let _one = container();
    let home = tempfile::tempdir().expect("a directory");
    let context = Context::three_stages("seed-own");
    let said = type_in(OWN_ENGINE, &context, home.path());
    assert!(
        said.contains("[release 2/2] RUN cat /srv/loud.txt"),
        "{said}"
    );
}

#[test]
fn tracing() {
    bed();
    let _ports = contracts_ports();
    let home = tempfile::tempdir().expect("a directory");
    let context = Context::three_stages("seed-tracing");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir(context.join("dashboards")).expect("a directory");
    for file in ["tracing.compose.yaml", "dashboards/jaeger.yaml"] {
        std::fs::copy(root.join(file), context.join(file)).expect("a file of the checkout");
    }
    let said = type_in(TRACING, &context, home.path());
    let trace = said.lines().find_map(|line| line.strip_prefix("trace "));
    let trace = trace
        .and_then(|line| line.split(':').next())
        .expect("a trace");
    // As the browser would: both services in one tree, proven by `verify` at the default address.
    let verified = Dagger::new(
        context.path(),
        &["trace", "verify", trace, "--format", "json"],
    )
    .env("HOME", &home.path().display().to_string())
    .env("XDG_STATE_HOME", "")
    .env("JAEGER_QUERY_URL", "")
    .run();
    let page = Command::new("curl")
        .args([
            "-sSf",
            &format!("http://localhost:16686/api/traces/{trace}"),
        ])
        .output()
        .expect("curl");
    type_in(
        "docker-compose -f tracing.compose.yaml down -v",
        &context,
        home.path(),
    );
    verified.expect(0);
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    for service in [
        "\"serviceName\":\"dagger\"",
        "\"serviceName\":\"buildkitd\"",
    ] {
        assert!(page.contains(service), "{page}");
    }
}
