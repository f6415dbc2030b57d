//! Each way in which an engine cannot be reached has its words, its exit code, and ends in time.

use std::time::{Duration, Instant};

use crate::bad_input::shown;
use crate::engines::docker;
use crate::support::{Context, Dagger, Engine, Finished, engines};

/// The longest that any of these may take: the deadline of connecting, and a little.
const LIMIT: Duration = Duration::from_secs(25);

fn up(host: &str, settings: &[(&str, &str)]) -> (Finished, Context) {
    let context = Context::three_stages("engine-errors");
    let mut dagger = Dagger::up(context.path(), Engine::Http, &[]).env("BUILDKIT_HOST", host);
    for (key, value) in settings {
        dagger = dagger.env(key, value);
    }
    let begun = Instant::now();
    let run = dagger.run();
    assert!(begun.elapsed() < LIMIT, "it took {:?}", begun.elapsed());
    (run, context)
}

/// What is printed, without what differs between beds.
fn told(host: &str, settings: &[(&str, &str)]) -> String {
    let (run, context) = up(host, settings);
    let mut text = shown(&run, context.path());
    for (pattern, with) in [
        (r"/tmp/dagger-it-\d+[^ `/]*", "/BED"),
        (r"[0-9a-f]{64}", "CONTAINER"),
        (r"DIAL-\d+", "DIAL"),
        (r"(?m)^#1 \d+\.\d+ ", "#1 0.000 "),
    ] {
        text = regex::Regex::new(pattern)
            .expect("a pattern")
            .replace_all(&text, with)
            .into_owned();
    }
    text
}

macro_rules! assert_told {
    ($host:expr, $($setting:expr),*) => {
        insta::assert_snapshot!(told($host, &[$($setting),*]))
    };
}

fn docker_host() -> String {
    engines().fact("/dockerd/host")
}

#[test]
fn docker_container_missing() {
    assert_told!("docker-container://nobody", ("DOCKER_HOST", &docker_host()));
}

#[test]
fn docker_container_stopped() {
    docker(&["create", "--name", "asleep", "moby/buildkit:latest"]);
    assert_told!("docker-container://asleep", ("DOCKER_HOST", &docker_host()));
    docker(&["rm", "asleep"]);
}

#[test]
fn docker_container_is_no_buildkitd() {
    docker(&["run", "-d", "--name", "stranger", "busybox", "sleep", "600"]);
    assert_told!(
        "docker-container://stranger",
        ("DOCKER_HOST", &docker_host())
    );
    docker(&["rm", "--force", "stranger"]);
}

#[test]
fn docker_container_without_its_daemon() {
    docker(&[
        "run",
        "-d",
        "--name",
        "hollow",
        "--entrypoint",
        "sleep",
        "moby/buildkit",
        "600",
    ]);
    assert_told!("docker-container://hollow", ("DOCKER_HOST", &docker_host()));
    docker(&["rm", "--force", "hollow"]);
}

#[test]
fn docker_daemon_down() {
    assert_told!(
        "docker-container://b",
        ("DOCKER_HOST", "unix:///nowhere/docker.sock")
    );
}

#[test]
fn docker_not_installed() {
    assert_told!("docker-container://b", ("PATH", "/nowhere"));
}

#[test]
fn docker_context_unknown() {
    assert_told!(
        "docker-container://b?context=nowhere",
        ("DOCKER_HOST", &docker_host())
    );
}

#[test]
fn built_in_without_docker() {
    assert_told!("docker://", ("DOCKER_HOST", "unix:///nowhere/docker.sock"));
}

#[test]
fn podman_container_missing() {
    let path = format!("{}:/usr/bin:/bin", engines().fact("/podman/bin"));
    assert_told!("podman-container://nobody", ("PATH", &path));
}

#[test]
fn ssh_host_key_unknown() {
    let path = format!("{}:/usr/bin:/bin", engines().fact("/sshd/bin"));
    assert_told!("ssh://unknown", ("PATH", &path));
}

#[test]
fn ssh_login_refused() {
    let path = format!("{}:/usr/bin:/bin", engines().fact("/sshd/bin"));
    assert_told!("ssh://stranger", ("PATH", &path));
}

#[test]
fn ssh_daemon_down() {
    let path = format!("{}:/usr/bin:/bin", engines().fact("/sshd/bin"));
    assert_told!("ssh://bed/nowhere/buildkitd.sock", ("PATH", &path));
}

fn tls(settings: &[(&str, &str)]) -> String {
    let dir = engines().fact("/buildkitd/tls/tls");
    let files: Vec<_> = settings
        .iter()
        .map(|(key, file)| {
            let value = if file.contains('.') && !file.contains("test") {
                format!("{dir}/{file}")
            } else {
                (*file).to_owned()
            };
            (*key, value)
        })
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    told(&engines().fact("/buildkitd/tls/tcp"), &files)
}

const NAME: (&str, &str) = ("BUILDKIT_TLS_SERVERNAME", "buildkitd.test");
const CA: (&str, &str) = ("BUILDKIT_TLS_CA", "ca.pem");
const CERT: (&str, &str) = ("BUILDKIT_TLS_CERT", "client.pem");
const KEY: (&str, &str) = ("BUILDKIT_TLS_KEY", "client.key");

#[test]
fn tls_wanted_by_the_engine_alone() {
    insta::assert_snapshot!(tls(&[]));
}

#[test]
fn tls_authority_unknown() {
    insta::assert_snapshot!(tls(&[("BUILDKIT_TLS_CA", "other-ca.pem"), NAME]));
}

#[test]
fn tls_name_wrong() {
    insta::assert_snapshot!(tls(&[CA, CERT, KEY]));
}

#[test]
fn tls_client_certificate_missing() {
    insta::assert_snapshot!(tls(&[CA, NAME]));
}

#[test]
fn tls_client_certificate_of_a_stranger() {
    let stranger = ("BUILDKIT_TLS_CERT", "stranger.pem");
    insta::assert_snapshot!(tls(&[
        CA,
        NAME,
        stranger,
        ("BUILDKIT_TLS_KEY", "stranger.key")
    ]));
}

#[test]
fn tls_key_missing() {
    insta::assert_snapshot!(tls(&[CA, NAME, CERT]));
}

#[test]
fn tls_key_of_another_certificate() {
    insta::assert_snapshot!(tls(&[CA, NAME, CERT, ("BUILDKIT_TLS_KEY", "stranger.key")]));
}

#[test]
fn tls_file_that_is_none() {
    insta::assert_snapshot!(tls(&[("BUILDKIT_TLS_CA", "nowhere.pem"), NAME]));
}

#[test]
fn tls_wanted_by_us_alone() {
    let host = crate::support::bed().tcp(Engine::Mute);
    let dir = engines().fact("/buildkitd/tls/tls");
    let ca = format!("{dir}/ca.pem");
    assert_told!(&host, ("BUILDKIT_TLS_CA", &ca));
}

#[test]
fn a_helper_that_says_nothing_is_given_up_in_time() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("nerdctl"), "#!/bin/sh\nexec sleep 600\n").expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path().join("nerdctl"), mode).expect("its mode");
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    assert_told!("nerdctl-container://b", ("PATH", &path));
}
