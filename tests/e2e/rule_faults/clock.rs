//! The clock of `dagger`'s host is wrong.

use std::path::Path;
use std::process::Command;

use super::assert_found;
use crate::support::{Context, Dagger, Engine};

/// The library that makes a process's clock wrong.
fn wrong_clock() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clock-ahead.rs");
    let compiled = Command::new("rustc")
        .args(["--edition", "2024", "--crate-type", "cdylib", "-o"])
        .args([&library, &source])
        .status();
    assert!(compiled.unwrap().success());
    let library = library.display().to_string();
    (dir, library)
}

/// What `verify`, whose clock is right, says of a build by a clock that is so many seconds ahead.
fn verified(ahead: &str, rules: &[&str]) {
    let (_dir, library) = wrong_clock();
    let context = Context::three_stages(&format!("faults-clock{ahead}"));
    let run = Dagger::up(context.path(), Engine::Mute, &["--daemon-spans=import"])
        .with_collector()
        .env("LD_PRELOAD", &library)
        .env("CLOCK_AHEAD", ahead)
        .run()
        .expect(0);
    assert_found(&run.verify(&["--timeout=5s"]).expect(1), rules);
}

#[test]
fn a_clock_that_is_minutes_ahead_is_told() {
    verified("300", &["T010", "T011", "T012"]);
}

#[test]
fn a_clock_that_is_minutes_behind_is_told() {
    verified("-300", &["T010", "T011", "T012"]);
}

#[test]
fn a_clock_that_is_hours_ahead_is_absurd() {
    verified("9000", &["T010", "T011", "T012", "T013"]);
}
