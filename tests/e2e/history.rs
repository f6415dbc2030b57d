//! `dagger history`: builds of any client, on the real daemon.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::engines::wait_for;
use crate::support::{Context, Dagger, Engine, Finished, bed};

fn history(args: &[&str]) -> Finished {
    let all: Vec<_> = ["history"].iter().chain(args).copied().collect();
    Dagger::new(std::path::Path::new("/"), &all)
        .env("BUILDKIT_HOST", &bed().unix(Engine::Mute))
        .run()
}

/// A build by `buildctl`, with its own name for it.
fn buildctl(context: &Context, build: &str, more: &[&str]) -> Output {
    let dir = context.path().display().to_string();
    Command::new(PathBuf::from(bed().fact("/bin")).join("buildctl"))
        .args(["--addr", &bed().unix(Engine::Mute), "build"])
        .args(["--frontend", "dockerfile.v0", "--no-cache"])
        .args(["--local", &format!("context={dir}")])
        .args(["--local", &format!("dockerfile={dir}")])
        .args(["--ref-file", &format!("{dir}/{build}")])
        .args(more)
        .output()
        .expect("buildctl")
}

fn ref_of(context: &Context, build: &str) -> String {
    let text = std::fs::read_to_string(context.join(build)).expect("its name");
    text.trim().to_owned()
}

#[test]
fn builds_of_any_client_are_told_pinned_and_forgotten() {
    let context = Context::three_stages("history");
    let arg = ["--opt", "build-arg:NPM_TOKEN=t0ps3cret"];
    let output = buildctl(&context, "good", &arg);
    assert!(output.status.success(), "{output:?}");
    let good = ref_of(&context, "good");
    let ran = Dagger::up(context.path(), Engine::Mute, &["--target", "release"])
        .run()
        .expect(0);

    let list = history(&["ls", "--format", "json"]).expect(0).json();
    let builds = list["builds"].as_array().expect("builds");
    let theirs = builds.iter().find(|build| build["build"] == good.as_str());
    let theirs = theirs.unwrap_or_else(|| panic!("no {good} in {list:#}"));
    assert_eq!(theirs["state"], "done");
    assert_eq!(theirs["attrs"]["build-arg:NPM_TOKEN"], "***");
    let ours = builds
        .iter()
        .find(|build| build["attrs"]["target"] == "release" && build["build"] != good.as_str());
    let ours = ours.unwrap_or_else(|| panic!("not ours in {list:#}"));
    // Its spans are recorded a moment after its end.
    let name = ours["build"].as_str().expect("a name");
    let trace = wait_for(|| {
        let one = history(&["inspect", name, "--format", "json"]);
        Some(one.expect(0).json()["trace_id"].as_str()?.to_owned())
    });
    assert_eq!(trace, ran.trace());

    // How its name begins is enough, and its output is that of the build.
    let begins = &good[..12];
    let inspected = history(&["inspect", begins]).expect(0).stdout;
    assert!(inspected.contains(&good), "{inspected}");
    assert!(!inspected.contains("t0ps3cret"), "{inspected}");
    let logs = history(&["logs", begins]).expect(0).stdout;
    assert!(
        logs.contains("RUN cat /srv/loud.txt") && logs.contains(" HELLO\n"),
        "{logs}"
    );
    let logs = history(&["logs", begins, "--format", "json"]).expect(0);
    let last = logs.stdout.lines().last().expect("a line").to_owned();
    assert!(last.contains("\"outcome\":\"done\""), "{last}");

    history(&["pin", begins]).expect(0);
    let one = history(&["inspect", begins, "--format", "json"]);
    assert_eq!(one.expect(0).json()["pinned"], true);
    history(&["unpin", begins]).expect(0);
    let one = history(&["inspect", begins, "--format", "json"]);
    assert_eq!(one.expect(0).json()["pinned"], false);
    history(&["rm", begins]).expect(0);
    for command in ["inspect", "logs", "pin", "rm"] {
        let gone = history(&[command, &good]).expect(2);
        assert!(
            gone.stderr.contains("the engine remembers no build"),
            "{}",
            gone.stderr
        );
    }
}

#[test]
fn a_failed_build_says_why_and_one_that_runs_is_followed() {
    let context = Context::new(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin:/usr/bin\nRUN echo so it goes; exit 7\n",
    );
    assert!(!buildctl(&context, "bad", &[]).status.success());
    let bad = ref_of(&context, "bad");
    let one = history(&["inspect", &bad, "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(one["state"], "failed", "{one:#}");
    assert!(
        one["error"]
            .as_str()
            .is_some_and(|error| error.contains("exit code: 7"))
    );
    let logs = history(&["logs", &bad]).expect(0).stdout;
    assert!(
        logs.contains("so it goes") && logs.contains("ERROR: failed to solve: "),
        "{logs}"
    );
    let failed = history(&["ls", "--filter", "status=error", "--format", "json"])
        .expect(0)
        .json();
    let failed = failed["builds"].as_array().expect("builds");
    assert!(failed.iter().any(|build| build["build"] == bad.as_str()));
    assert!(
        failed.iter().all(|build| build["state"] == "failed"),
        "{failed:#?}"
    );

    let wrong = history(&["ls", "--filter", "status%error"]).expect(2);
    assert!(
        wrong.stderr.contains("error: --filter status%error"),
        "{}",
        wrong.stderr
    );

    let context = Context::new(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin:/usr/bin\nRUN echo patience; sleep 3; echo it is over\n",
    );
    // Others build on this daemon too.
    let args = ["--no-cache", "--build-arg=WHOSE=ours"];
    let (child, state) = Dagger::up(context.path(), Engine::Mute, &args).spawn();
    let running = wait_for(|| {
        let list = history(&["ls", "--running", "--format", "json"])
            .expect(0)
            .json();
        let builds = list["builds"].as_array().cloned().unwrap_or_default();
        let ours = builds
            .iter()
            .find(|build| build["attrs"]["build-arg:WHOSE"] == "ours");
        Some(ours?["build"].as_str()?.to_owned())
    });
    let refused = history(&["rm", &running]).expect(2);
    assert!(refused.stderr.contains("still runs"), "{}", refused.stderr);
    let logs = history(&["logs", &running]).expect(0).stdout;
    Finished::wait((child, state)).expect(0);
    assert!(logs.contains("it is over"), "{logs}");
}

#[test]
fn an_engine_without_a_history_says_so() {
    let run = Dagger::new(std::path::Path::new("/"), &["history", "ls"])
        .env("BUILDKIT_HOST", "docker://")
        .env(
            "DOCKER_HOST",
            &crate::support::engines().fact("/dockerd/host"),
        )
        .run()
        .expect(2);
    assert!(
        run.stderr.contains("this engine keeps no history"),
        "{}",
        run.stderr
    );
}
