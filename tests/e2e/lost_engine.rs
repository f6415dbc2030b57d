//! An engine that goes away in the middle of a build is told as that, with all spans exported.

use std::io::{BufRead, BufReader};

use crate::engines::docker;
use crate::support::{Bed, Context, Dagger, Engine, Finished, bed, bed_dir, engines};

/// A build that is in its long step when `lose` is called; then its end.
fn loses(dagger: Dagger, lose: impl FnOnce()) -> Finished {
    let (mut child, state) = dagger.with_collector().spawn();
    let stderr = child.stderr.take().expect("its standard error");
    let mut lines = BufReader::new(stderr).lines();
    let mut told = String::new();
    let mut lose = Some(lose);
    for line in &mut lines {
        let line = line.expect("text");
        told.push_str(&line);
        told.push('\n');
        if line.contains("it begins")
            && !line.contains("RUN")
            && let Some(lose) = lose.take()
        {
            lose();
        }
    }
    assert!(lose.is_none(), "the step never began:\n{told}");
    let code = child.wait().expect("its end").code().unwrap_or(-1);
    Finished {
        code,
        stdout: String::new(),
        stderr: told,
        state,
    }
}

fn long_build() -> Context {
    Context::new(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin:/usr/bin\nRUN echo it begins; sleep 600\n",
    )
}

#[track_caller]
fn assert_lost(run: Finished, address: &str) {
    let run = run.expect(3);
    let told = regex::Regex::new(r"lost the engine at `(.*)` after \d+\.\d s, during `\[2/2\] RUN echo it begins; sleep 600`")
        .expect("a pattern");
    let found = told.captures(&run.stderr);
    let found = found.unwrap_or_else(|| panic!("not told:\n{}", run.stderr));
    assert_eq!(&found[1], address);
    // All of our spans are there, the root says how it ended, and nothing was dropped on the way up.
    let report = run.verify(&["--no-wait"]).json();
    for rule in ["T002", "T007", "T008", "T011", "E001", "E002", "E003"] {
        let results = report["results"].as_array().into_iter().flatten();
        let mut found = results.filter(|result| result["id"] == rule);
        assert!(
            found.all(|result| result["status"] == "pass"),
            "{rule}: {report:#}"
        );
    }
}

#[test]
fn killed_buildkitd() {
    let dir = bed_dir("-lost");
    let own = Bed::up(&dir, &["buildkitd:mute"]);
    let pid = std::fs::read_to_string(dir.join("pids/buildkitd-mute")).expect("its pid");
    let context = long_build();
    let address = own.fact("/buildkitd/mute/unix");
    let dagger = Dagger::up(context.path(), Engine::Http, &[]).env("BUILDKIT_HOST", &address);
    let run = loses(dagger, || {
        let killed = std::process::Command::new("kill")
            .args(["-KILL", pid.trim()])
            .status();
        assert!(killed.expect("kill").success());
    });
    assert_lost(run, &address);
    let down = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/down");
    std::process::Command::new(down)
        .arg(&dir)
        .status()
        .expect("down");
}

#[test]
fn restarted_container() {
    bed();
    docker(&[
        "run",
        "-d",
        "--name",
        "fragile",
        "--privileged",
        "--network=host",
        "moby/buildkit",
    ]);
    let context = long_build();
    let dagger = Dagger::up(context.path(), Engine::Http, &[])
        .env("BUILDKIT_HOST", "docker-container://fragile")
        .env("DOCKER_HOST", &engines().fact("/dockerd/host"));
    let run = loses(dagger, || {
        let restarted = docker(&["restart", "--time", "0", "fragile"]);
        assert!(restarted.status.success(), "{restarted:?}");
    });
    assert_lost(run, "docker-container://fragile");
    docker(&["rm", "--force", "fragile"]);
}
