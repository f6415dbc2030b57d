//! The same build through every kind of engine, on the real one, and the same trace of it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dagger::trace::store::{RunFilter, Store};
use serde_json::Value;

use crate::support::{Context, Dagger, Engine, Finished, bed, engines};

/// The container that a scheme's test builds in; no other test touches it.
const CONTAINER: &str = "super-buildkit";

/// Docker of the bed, as the user would have it.
pub(crate) fn docker_host() -> String {
    engines().fact("/dockerd/host")
}

/// Runs the docker command line on the bed's Docker.
pub(crate) fn docker(args: &[&str]) -> std::process::Output {
    std::process::Command::new("/usr/bin/docker")
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nowhere")
        .env("DOCKER_HOST", docker_host())
        .output()
        .expect("docker can be run")
}

/// The run's trace, as Jaeger answers.
pub(crate) fn trace_of(run: &Finished) -> Value {
    let url = format!("{}/api/traces/{}?raw=true", bed().query_url(), run.trace());
    let curl = std::process::Command::new("curl")
        .args(["-sSf", &url])
        .output()
        .expect("curl");
    serde_json::from_slice(&curl.stdout).expect("JSON")
}

/// The names of our spans in the trace, as Jaeger has it, with how often each is there. What carries
/// the connection is left out: it is what differs. A step counts once: while two builds have a step in
/// common, BuildKit may make two vertices of it.
fn shape(run: &Finished, salt: &str) -> BTreeMap<String, usize> {
    let answer = trace_of(run);
    let trace = &answer["data"][0];
    let mut names = BTreeMap::new();
    for span in trace["spans"].as_array().expect("spans") {
        let process = span["processID"].as_str().expect("a process");
        let tags = span["tags"].as_array().expect("tags");
        let helper = tags.iter().any(|tag| tag["key"] == "process.command_line");
        if trace["processes"][process]["serviceName"] == "dagger" && !helper {
            let name = span["operationName"].as_str().expect("a name");
            let count: &mut usize = names.entry(name.replace(salt, "SALT")).or_default();
            let step = tags.iter().any(|tag| tag["key"] == "vertex");
            *count = if step { 1 } else { *count + 1 };
        }
    }
    names
}

fn build(host: &str, salt: &str, settings: &[(&str, &str)]) -> BTreeMap<String, usize> {
    let context = Context::three_stages(salt);
    let mut dagger = Dagger::up(context.path(), Engine::Http, &[]).env("BUILDKIT_HOST", host);
    for (key, value) in settings {
        dagger = dagger.env(key, value);
    }
    let run = dagger.with_collector().run().expect(0);
    shape(&run, salt)
}

/// The shape that every scheme has to give.
fn expected() -> BTreeMap<String, usize> {
    static UNIX: OnceLock<BTreeMap<String, usize>> = OnceLock::new();
    // Once: a second build of it would be cached, and a cached build has fewer steps.
    UNIX.get_or_init(|| build(&bed().unix(Engine::Http), "shape-unix", &[]))
        .clone()
}

/// A program of the user's, in a directory to be put in front of PATH.
pub(crate) fn program(dir: &Path, name: &str, script: &str) {
    let file = dir.join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a script");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("its mode");
}

pub(crate) fn path_with(dir: &str) -> String {
    format!("{dir}:/usr/bin:/bin:/usr/sbin")
}

#[test]
fn tcp_has_the_shape_of_unix() {
    assert_eq!(
        build(&bed().tcp(Engine::Http), "shape-tcp", &[]),
        expected()
    );
}

#[test]
fn tls_has_the_shape_of_unix() {
    let host = engines().fact("/buildkitd/tls/tcp");
    let dir = engines().fact("/buildkitd/tls/tls");
    let files = [
        ("BUILDKIT_TLS_CA", format!("{dir}/ca.pem")),
        ("BUILDKIT_TLS_CERT", format!("{dir}/client.pem")),
        ("BUILDKIT_TLS_KEY", format!("{dir}/client.key")),
        ("BUILDKIT_TLS_SERVERNAME", "buildkitd.test".to_owned()),
    ];
    let files: Vec<_> = files
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    assert_eq!(build(&host, "shape-tls", &files), expected());

    let context = Context::three_stages("tls-flags");
    let dir = format!("{dir}/dir");
    let flags = ["--tls-dir", &dir, "--tls-server-name", "buildkitd.test"];
    Dagger::up(context.path(), Engine::Http, &flags)
        .env("BUILDKIT_HOST", &host)
        .run()
        .expect(0);
}

#[test]
fn docker_container_has_the_shape_of_unix_near_and_over_ssh() {
    let started = docker(&[
        "run",
        "-d",
        "--name",
        CONTAINER,
        "--privileged",
        "--network=host",
        "docker.io/moby/buildkit:latest",
    ]);
    assert!(started.status.success(), "{started:?}");
    let host = format!("docker-container://{CONTAINER}");
    let near = build(&host, "shape-docker", &[("DOCKER_HOST", &docker_host())]);
    assert_eq!(near, expected());

    let path = path_with(&engines().fact("/sshd/bin"));
    let user = engines().fact("/sshd/user");
    let far = format!("ssh://{user}@bed");
    let far = build(
        &host,
        "shape-far",
        &[("DOCKER_HOST", &far), ("PATH", &path)],
    );
    assert_eq!(far, expected());

    // A context of the docker command line, as the address names it.
    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().display().to_string();
    let made = std::process::Command::new("/usr/bin/docker")
        .args([
            "context",
            "create",
            "bed",
            "--docker",
            &format!("host={}", docker_host()),
        ])
        .env("DOCKER_CONFIG", &config)
        .output()
        .expect("docker");
    assert!(made.status.success(), "{made:?}");
    let named = format!("{host}?context=bed");
    let named = build(&named, "shape-context", &[("DOCKER_CONFIG", &config)]);
    assert_eq!(named, expected());
    docker(&["rm", "--force", CONTAINER]);
}

#[test]
fn podman_container_has_the_shape_of_unix() {
    let path = path_with(&engines().fact("/podman/bin"));
    let host = format!("podman-container://{}", engines().fact("/podman/container"));
    assert_eq!(build(&host, "shape-podman", &[("PATH", &path)]), expected());
}

#[test]
fn ssh_has_the_shape_of_unix() {
    let path = path_with(&engines().fact("/sshd/bin"));
    let user = engines().fact("/sshd/user");
    let host = format!("ssh://{user}@bed");
    assert_eq!(build(&host, "shape-ssh", &[("PATH", &path)]), expected());
    let socket = bed().unix(Engine::Mute).replace("unix://", "");
    let host = format!("ssh://bed{socket}");
    assert_eq!(build(&host, "shape-ssh2", &[("PATH", &path)]), expected());
}

/// Kubernetes and nerdctl do not run here: the tool is a script that notes how it was called and does
/// what the tool would, against the real daemon.
#[test]
fn kube_pod_and_nerdctl_are_called_as_buildkit_calls_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let called = dir.path().join("called");
    let buildctl = PathBuf::from(bed().fact("/bin")).join("buildctl");
    let script = format!(
        "echo \"$0 $*\" >>{}\nexec {} --addr {} dial-stdio",
        called.display(),
        buildctl.display(),
        bed().unix(Engine::Mute)
    );
    program(dir.path(), "kubectl", &script);
    program(dir.path(), "nerdctl", &script);
    let path = path_with(&dir.path().display().to_string());
    for (host, salt) in [
        (
            "kube-pod://builder-0?namespace=ci&container=buildkitd",
            "shape-kube",
        ),
        (
            "nerdctl-container://builder?namespace=k8s.io",
            "shape-nerdctl",
        ),
    ] {
        assert_eq!(build(host, salt, &[("PATH", &path)]), expected());
    }
    let called = std::fs::read_to_string(called).expect("it was called");
    let dir = format!("{}/", dir.path().display());
    assert_eq!(
        called.replace(&dir, ""),
        "kubectl --context= --namespace=ci exec --container=buildkitd -i builder-0 -- buildctl dial-stdio\n\
         nerdctl exec --namespace k8s.io -i builder buildctl dial-stdio\n"
    );
}

#[test]
fn dockers_built_in_buildkit_builds_and_exports_files() {
    let context = Context::three_stages("builtin");
    let run = Dagger::up(context.path(), Engine::Http, &["--output", "local:out"])
        .env("BUILDKIT_HOST", "docker://")
        .env("DOCKER_HOST", &docker_host())
        .with_collector()
        .run()
        .expect(0);
    let loud = std::fs::read_to_string(context.join("out/srv/loud.txt")).expect("the result");
    assert_eq!(loud, "HELLO\n");
    // It makes no spans of its own, which is said and not taken for a hole.
    let report = run.verify(&[]).expect(0).json();
    assert!(
        report.to_string().contains("too old to say its version"),
        "{report}"
    );

    // Through the docker command line, as for a Docker on another machine.
    let path = path_with(&engines().fact("/sshd/bin"));
    Dagger::up(context.path(), Engine::Http, &[])
        .env("BUILDKIT_HOST", "docker://")
        .env("DOCKER_HOST", "ssh://bed")
        .env("PATH", &path)
        .run()
        .expect(0);
}

#[test]
fn what_dockers_built_in_buildkit_lacks_is_said() {
    let context = Context::three_stages("builtin-lacks");
    for (flags, lacks) in [
        (["--output", "type=oci,dest=out.tar"], "the output `oci`"),
        (
            ["--cache-to", "type=local,dest=cache"],
            "a cache of type `local`",
        ),
    ] {
        let run = Dagger::up(context.path(), Engine::Http, &flags)
            .env("BUILDKIT_HOST", "docker://")
            .env("DOCKER_HOST", &docker_host())
            .run()
            .expect(1);
        assert!(run.stderr.contains(lacks), "{}", run.stderr);
    }
}

#[test]
fn helpers_are_spans_and_do_not_outlive_a_killed_dagger() {
    let dir = tempfile::tempdir().expect("a directory");
    let pid_file = dir.path().join("pid");
    // A helper that ignores the end of its input: nothing but its leash can end it.
    let script = format!("echo $$ >{}; exec sleep 600", pid_file.display());
    program(dir.path(), "nerdctl", &script);
    let path = path_with(&dir.path().display().to_string());
    let context = Context::three_stages("leash");
    let (mut child, _state) = Dagger::up(context.path(), Engine::Http, &[])
        .env("BUILDKIT_HOST", "nerdctl-container://b")
        .env("PATH", &path)
        .spawn();
    let pid = wait_for(|| {
        let text = std::fs::read_to_string(&pid_file).ok()?;
        text.trim().parse::<u32>().ok()
    });
    let stat = PathBuf::from(format!("/proc/{pid}/stat"));
    assert!(stat.exists());
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    wait_for(|| {
        let gone = std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        gone.then_some(())
    });
}

/// It is open as long as the run, and still neither connecting nor what the run waits for.
#[test]
fn a_helper_that_carries_the_connection_hangs_under_the_command_and_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (buildctl, daemon) = (bed().program("buildctl"), bed().unix(Engine::Mute));
    let dial = format!("exec {} --addr {daemon} dial-stdio", buildctl.display());
    program(dir.path(), "nerdctl", &dial);
    let context =
        Context::new("FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN sleep 1 # carried\n");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .env("BUILDKIT_HOST", "nerdctl-container://builder")
        .env("PATH", &path_with(&dir.path().display().to_string()))
        .run()
        .expect(0);
    let store = Store::open_existing(&run.state.path().join("dagger"));
    let store = store.unwrap().unwrap();
    let newest = store.runs(&RunFilter::default()).unwrap().remove(0);
    let spans = store.trace(newest.begun.trace).unwrap();
    let one = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (root, helper, connect) = (one("dagger up"), one("nerdctl exec"), one("connect"));
    assert_eq!(helper.parent, Some(root.id));
    assert!(helper.end_ns > one("solve").end_ns);
    assert!(
        connect.end_ns < one("solve").start_ns + 100_000_000,
        "{connect:?}"
    );

    let path = Dagger::new(context.path(), &["trace", "critical-path", "--format=json"])
        .env("XDG_STATE_HOME", &run.state.path().display().to_string())
        .run()
        .expect(0);
    assert!(
        path.stdout.contains("RUN sleep 1 # carried"),
        "{}",
        path.stdout
    );
    assert!(!path.stdout.contains("nerdctl exec"), "{}", path.stdout);
}

/// Waits for something that takes a moment; at most 10 s.
pub(crate) fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed().as_secs() < 10, "waited for 10 s");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
