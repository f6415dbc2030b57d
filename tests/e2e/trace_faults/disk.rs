//! The local store cannot be written: full, read-only, gone, damaged.

use super::{in_time, long, meanwhile, up};
use crate::support::{Context, Dagger, Finished, Mount, bed, span_ids};

const WARNING: &str = "the local trace is not whole";

fn on(mount: &Mount, dagger: Dagger) -> Dagger {
    dagger.env("XDG_STATE_HOME", &mount.path().display().to_string())
}

/// The build is right and exported whole; of the store there is one warning that says what to do.
#[track_caller]
fn assert_exported(run: &Finished, warnings: usize, help: &str) {
    let told = run.stderr.matches(WARNING).count();
    assert_eq!(told, warnings, "{}", run.stderr);
    assert!(run.stderr.contains(help), "{}", run.stderr);
    let line = run.stderr.lines().find(|line| line.starts_with("trace "));
    let told = line.and_then(|line| line.split(' ').nth(2)).unwrap();
    assert_eq!(
        span_ids(&run.trace()).len().to_string(),
        told,
        "{}",
        run.stderr
    );
}

#[test]
fn a_full_disk() {
    let context = Context::three_stages("fault-full");
    for left_kib in [0, 8, 64] {
        let mount = Mount::new(1024);
        mount.fill(left_kib);
        let run = in_time(on(&mount, up(&context, &bed().collector()))).expect(0);
        assert_exported(&run, 1, "free some space");
    }
}

#[test]
fn a_disk_that_fills_up_during_the_build() {
    let context = long("fault-fills", 3);
    let mount = Mount::new(4096);
    let run = meanwhile(on(&mount, up(&context, &bed().collector())), |_| {
        mount.fill(0)
    });
    assert_exported(&run.expect(0), 1, "free some space");
    // With room again the store is as it was.
    std::fs::remove_file(mount.path().join("ballast")).unwrap();
    let run = in_time(on(&mount, up(&context, &bed().collector()))).expect(0);
    assert_exported(&run, 0, "");
    let store = super::store(mount.path());
    let runs = store
        .runs(&dagger::trace::store::RunFilter::default())
        .unwrap();
    assert_eq!(runs.len(), 2);
}

#[test]
fn a_full_disk_and_a_dead_collector_are_both_told() {
    let context = Context::three_stages("fault-both");
    let mount = Mount::new(1024);
    mount.fill(0);
    let run = in_time(on(&mount, up(&context, "http://127.0.0.1:1/api/traces"))).expect(0);
    assert_eq!(run.stderr.matches(WARNING).count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("spans did not reach"), "{}", run.stderr);
    assert!(
        !run.stderr.contains("they wait"),
        "nothing waits: {}",
        run.stderr
    );
}

#[test]
fn a_state_directory_that_is_read_only_or_goes_away() {
    let context = Context::three_stages("fault-read-only");
    let mount = Mount::new(4096);
    mount.make_read_only();
    let run = in_time(on(&mount, up(&context, &bed().collector()))).expect(0);
    assert_exported(&run, 1, "XDG_STATE_HOME");

    // One that was written to before.
    let mount = Mount::new(4096);
    in_time(on(&mount, up(&context, &bed().collector()))).expect(0);
    mount.make_read_only();
    let run = in_time(on(&mount, up(&context, &bed().collector()))).expect(0);
    assert_exported(&run, 1, "XDG_STATE_HOME");

    let state = tempfile::tempdir().unwrap();
    let home = state.path().display().to_string();
    let context = long("fault-gone", 2);
    let dagger = up(&context, &bed().collector()).env("XDG_STATE_HOME", &home);
    let run = meanwhile(dagger, |_| std::fs::remove_dir_all(state.path()).unwrap()).expect(0);
    let line = run.stderr.lines().find(|line| line.starts_with("trace "));
    assert!(
        line.is_some_and(|line| line.contains("spans accepted by")),
        "{}",
        run.stderr
    );
    let again = up(&context, &bed().collector()).env("XDG_STATE_HOME", &home);
    assert_exported(&in_time(again).expect(0), 0, "");
}

#[test]
fn a_damaged_store() {
    let context = Context::three_stages("fault-damaged");
    let state = tempfile::tempdir().unwrap();
    std::fs::create_dir(state.path().join("dagger")).unwrap();
    std::fs::write(state.path().join("dagger/traces.db"), vec![7; 8192]).unwrap();
    let dagger = up(&context, &bed().collector());
    let run = in_time(dagger.env("XDG_STATE_HOME", &state.path().display().to_string())).expect(0);
    assert_exported(&run, 1, "a new one is made");
}
