//! With no `BUILDKIT_HOST`: one container for all, replaced and started when need be; else Docker's own
//! BuildKit; else a daemon of this machine; else an error that says what was tried.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engines::{docker, trace_of};
use crate::support::{Context, Dagger, Finished, bed, engines};

/// These tests share one container's name: one at a time.
pub(crate) fn container() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    docker(&["rm", "--force", "dagger-buildkitd"]);
    docker(&["volume", "rm", "dagger-buildkitd"]);
    one
}

/// `dagger` with the bed's Docker, and no engine said.
fn dagger(context: &Context, args: &[&str]) -> Dagger {
    Dagger::new(context.path(), args).env("DOCKER_HOST", &engines().fact("/dockerd/host"))
}

fn up(context: &Context) -> Dagger {
    dagger(context, &["up", "-v", "--log-format", "plain"])
}

fn inspect(format: &str) -> String {
    let output = docker(&["inspect", "--format", format, "dagger-buildkitd"]);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn ten_first_builds_at_once_make_one_container() {
    let _one = container();
    let home = tempfile::tempdir().expect("a directory");
    let contexts: Vec<_> = (0..10)
        .map(|number| Context::three_stages(&format!("ten-{number}")))
        .collect();
    let started: Vec<_> = contexts
        .iter()
        .map(|context| {
            up(context)
                .env("HOME", &home.path().display().to_string())
                .spawn()
        })
        .collect();
    let ended: Vec<_> = started.into_iter().map(Finished::wait).collect();
    let mut made = 0;
    for run in ended {
        let run = run.expect(0);
        made += run.stderr.matches("making the container").count();
    }
    // The note is in the log and, if it took longer than a second, in the progress too.
    assert!((1..=2).contains(&made), "{made} made it");
    let all = docker(&[
        "ps",
        "--all",
        "--format",
        "{{.Names}}",
        "--filter",
        "name=dagger-buildkitd",
    ]);
    assert_eq!(String::from_utf8_lossy(&all.stdout), "dagger-buildkitd\n");
    assert!(home.path().join(".config/dagger/.buildkitd.lock").exists());

    assert_eq!(inspect("{{.HostConfig.RestartPolicy.Name}}"), "always");
    assert_eq!(
        inspect("{{.HostConfig.Privileged}} {{.HostConfig.NetworkMode}}"),
        "true host"
    );
    assert_eq!(
        inspect("{{range .Mounts}}{{.Name}} {{.Destination}}{{end}}"),
        "dagger-buildkitd /var/lib/buildkit"
    );
    assert_eq!(
        inspect("{{.Config.Image}}"),
        engines().fact("/dockerd/buildkit_image")
    );
}

#[test]
fn the_container_is_started_again_and_replaced_and_keeps_its_cache() {
    let _one = container();
    let context = Context::three_stages("again");
    up(&context).run().expect(0);
    let first = inspect("{{.Id}}");
    dagger(&context, &["engine", "stop"]).run().expect(0);
    assert_eq!(inspect("{{.State.Running}}"), "false");
    up(&context).run().expect(0);
    assert_eq!(
        (inspect("{{.Id}}"), inspect("{{.State.Running}}")),
        (first.clone(), "true".into())
    );

    let other = "docker.io/moby/buildkit:latest";
    let run = up(&context)
        .env("DAGGER_BUILDKIT_IMAGE", other)
        .run()
        .expect(0);
    assert!(
        run.stderr.contains("replacing dagger-buildkitd"),
        "{}",
        run.stderr
    );
    assert_ne!(inspect("{{.Id}}"), first);
    assert_eq!(inspect("{{.Config.Image}}"), other);
    assert!(
        run.stderr
            .contains("RUN echo built again; sha256sum loud.txt >sums.txt\n")
    );
    let cached = run.stderr.matches(" CACHED").count();
    assert!(cached >= 5, "the cache was lost: {}", run.stderr);
}

#[test]
fn a_container_made_by_hand_is_used_and_never_removed() {
    let _one = container();
    docker(&[
        "run",
        "-d",
        "--name",
        "dagger-buildkitd",
        "--privileged",
        "--network=host",
        "docker.io/moby/buildkit:latest",
    ]);
    let by_hand = inspect("{{.Id}}");
    let context = Context::three_stages("by-hand");
    up(&context).run().expect(0);
    assert_eq!(inspect("{{.Id}}"), by_hand);
    let status = dagger(&context, &["engine", "status"]).run().expect(0);
    assert!(status.stdout.contains("made by hand"), "{}", status.stdout);
}

#[test]
fn without_the_image_dockers_own_buildkit_is_used() {
    let _one = container();
    let context = Context::three_stages("no-image");
    let run = up(&context)
        .env("DAGGER_BUILDKIT_IMAGE", "127.0.0.1:1/nowhere:1")
        .with_collector()
        .run()
        .expect(0);
    assert!(run.stderr.contains("docker://: is used"), "{}", run.stderr);
    run.verify(&[]).expect(0);
    // Each step of the order is an event of the connect span too.
    let trace = trace_of(&run);
    let spans = trace["data"][0]["spans"].as_array().expect("spans");
    let connect = spans.iter().find(|span| span["operationName"] == "connect");
    let events = connect.expect("it")["logs"].to_string();
    for candidate in [
        "unix:///run/buildkit/buildkitd.sock",
        "docker-container://dagger-buildkitd",
        "docker://",
    ] {
        assert!(events.contains(&format!("\"{candidate}\"")), "{events}");
    }
}

#[test]
fn without_docker_a_daemon_of_this_machine_is_kept_running() {
    let context = Context::three_stages("local");
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path().display().to_string();
    let dagger = |args: &[&str]| {
        Dagger::new(context.path(), args)
            .env("HOME", &home)
            .env("XDG_STATE_HOME", &home)
            .env("PATH", &bed().fact("/bin"))
    };
    let up = ["up", "-v", "--log-format", "plain"];
    let doctor = dagger(&["doctor"]).run();
    assert!(
        doctor.stdout.contains("`dagger up` will start unix://"),
        "{}",
        doctor.stdout
    );
    let first = dagger(&up).run().expect(0);
    assert!(
        first.stderr.contains("in the background"),
        "{}",
        first.stderr
    );
    let second = dagger(&up).run().expect(0);
    assert!(
        !second.stderr.contains("in the background"),
        "{}",
        second.stderr
    );
    assert!(second.stderr.contains("CACHED"), "{}", second.stderr);
    let status = dagger(&["engine", "status", "--format", "json"])
        .run()
        .expect(0)
        .json();
    assert_eq!(status[1]["state"], "running", "{status}");
    let logs = dagger(&["engine", "logs", "-n", "1000"]).run().expect(0);
    assert!(logs.stdout.contains("running server"), "{}", logs.stdout);
    let used = dagger(&["engine", "du", "--format", "json"])
        .run()
        .expect(0)
        .json();
    assert!(used["bytes"].as_u64() > Some(1_000_000), "{used}");
    let pruned = dagger(&["engine", "prune", "--all"]).run().expect(0);
    assert!(pruned.stdout.contains("freed"), "{}", pruned.stdout);
    let used = dagger(&["engine", "du", "--format", "json"])
        .run()
        .expect(0)
        .json();
    assert_eq!(used["bytes"], 0, "{used}");
    let stopped = dagger(&["engine", "stop"]).run().expect(0);
    assert!(stopped.stdout.contains("is stopped"), "{}", stopped.stdout);
    let status = dagger(&["engine", "status", "--format", "json"])
        .run()
        .expect(0)
        .json();
    assert_eq!(status[1]["state"], "absent", "{status}");
}

/// A machine of a user without root, as far as files go: where things lie, and how to run them.
struct Rootless {
    dir: tempfile::TempDir,
}

impl Rootless {
    /// Copies what has to be found: the bed lies where this user may not look.
    fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("dagger-it-rootless-")
            .tempdir();
        let dir = dir.expect("a directory");
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin).expect("bin");
        let made = std::path::PathBuf::from(bed().fact("/bin"));
        for from in [
            env!("CARGO_BIN_EXE_dagger").into(),
            made.join("buildkitd"),
            made.join("runc"),
        ] {
            let name = from.file_name().expect("a name");
            std::fs::copy(&from, bin.join(name)).expect("a copy");
        }
        let context = dir.path().join("context");
        std::fs::create_dir(&context).expect("a context");
        std::fs::copy(bed().rootfs(), context.join("rootfs.tar")).expect("a copy");
        let dockerfile = "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN id -u\n";
        std::fs::write(context.join("Dockerfile"), dockerfile).expect("a Dockerfile");
        std::fs::create_dir(dir.path().join("home")).expect("a home");
        std::fs::write(dir.path().join("subid"), "nobody:100000:65536\n").expect("subid");
        Self { dir }
    }

    /// Runs a line of shell as that user.
    fn run(&self, line: &str) -> String {
        let dir = self.dir.path().display();
        // Its subordinate ids, which a machine gives to each user it adds, are this test's alone.
        let script = format!(
            "set -e; mount --make-rprivate /
             for file in uid gid; do mount --bind {dir}/subid /etc/sub$file; done
             chmod -R a+rX {dir}; chown nobody {dir}/home; cd {dir}/context
             exec setpriv --reuid=nobody --regid=nogroup --clear-groups env -i USER=nobody HOME={dir}/home \
                 PATH={dir}/bin:/usr/bin:/bin DOCKER_HOST=unix:///nowhere sh -ec '{line}'"
        );
        let output = std::process::Command::new("unshare")
            .args(["-m", "bash", "-c", &script])
            .output()
            .expect("unshare");
        let told = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        told
    }
}

impl Drop for Rootless {
    fn drop(&mut self) {
        let pid = self
            .dir
            .path()
            .join("home/.local/state/dagger/buildkitd/pid");
        // It is there only if the test has failed before it stopped the daemon.
        if let Ok(pid) = std::fs::read_to_string(pid) {
            let _ = std::process::Command::new("kill").arg(pid.trim()).status();
        }
    }
}

#[test]
fn without_root_the_daemon_runs_under_rootlesskit() {
    let machine = Rootless::new();
    let first = machine.run("dagger up -v --log-format plain");
    assert!(
        first.contains("in the background")
            && first.contains("RUN id -u")
            && first.contains(" 0\n"),
        "{first}"
    );
    let second = machine.run("dagger up -v --log-format plain");
    assert!(
        second.contains("CACHED") && !second.contains("in the background"),
        "{second}"
    );
    let status = machine.run("dagger engine status; ps -o user= -C buildkitd");
    assert!(
        status.contains("running") && status.contains("nobody"),
        "{status}"
    );
    let stopped = machine.run("dagger engine stop; dagger engine status");
    assert!(
        stopped.contains("is stopped") && stopped.contains("can be started"),
        "{stopped}"
    );
}
