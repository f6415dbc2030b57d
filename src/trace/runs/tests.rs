//! Run records: what is found again, and what does no harm.

use proptest::prelude::*;

use super::*;
use crate::trace::report::ExportReport;

fn run(started_ms: u64, directory: &str) -> RunRecord {
    RunRecord {
        schema: SCHEMA,
        trace: format!("{:032x}", 0xabc + started_ms),
        root: "00f067aa0ba902b7".into(),
        remote_parent: None,
        service: "dagger".into(),
        command: "up".into(),
        directory: directory.into(),
        started_ms,
        exit_code: 0,
        query_url: None,
        export: ExportReport::default(),
    }
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir.join("runs")).unwrap().count()
}

#[test]
fn last_run_of_the_directory_is_found() {
    let home = tempfile::tempdir().unwrap();
    let runs = Runs::new(home.path());
    for (at, directory) in [(1, "/a"), (3, "/a"), (2, "/a"), (4, "/b")] {
        runs.save(&run(at, directory)).unwrap();
    }
    let found = runs.last_of(Path::new("/a")).unwrap();
    assert_eq!(found.runs, [run(3, "/a")]);
    assert!(runs.last_of(Path::new("/c")).unwrap().runs.is_empty());
}

#[test]
fn runs_of_a_trace_are_found_newest_first() {
    let home = tempfile::tempdir().unwrap();
    let runs = Runs::new(home.path());
    let mut first = run(1, "/a");
    let mut second = run(2, "/b");
    second.trace.clone_from(&first.trace);
    second.root = "000000000000000b".into();
    runs.save(&first).unwrap();
    runs.save(&second).unwrap();
    let trace = first.trace.parse().unwrap();
    assert_eq!(
        runs.of_trace(trace).unwrap().runs,
        [second.clone(), first.clone()]
    );
    // Two runs that begin in the same millisecond are two files.
    first.started_ms = 2;
    runs.save(&first).unwrap();
    assert_eq!(runs.of_trace(trace).unwrap().runs.len(), 3);
}

#[test]
fn without_a_state_directory_there_are_no_runs() {
    let home = tempfile::tempdir().unwrap();
    let runs = Runs::new(&home.path().join("nowhere"));
    assert!(runs.last_of(Path::new("/a")).unwrap().runs.is_empty());
}

#[test]
fn corrupt_file_is_named_and_passed_over() {
    let home = tempfile::tempdir().unwrap();
    let runs = Runs::new(home.path());
    runs.save(&run(1, "/a")).unwrap();
    let cut = runs.save(&run(2, "/a")).unwrap();
    fs::write(&cut, "{\"schema\":1,").unwrap();
    let newer = runs.save(&run(3, "/a")).unwrap();
    let text = fs::read_to_string(&newer)
        .unwrap()
        .replace("\"schema\":1", "\"schema\":2");
    fs::write(&newer, text).unwrap();
    let found = runs.last_of(Path::new("/a")).unwrap();
    assert_eq!(found.runs, [run(1, "/a")]);
    let paths: Vec<_> = found.unreadable.iter().map(|file| &file.path).collect();
    assert_eq!(paths, [&newer, &cut]);
    assert_eq!(
        found.unreadable[0].problem,
        "schema 2, and this version reads 1"
    );
}

#[test]
fn foreign_files_are_neither_read_nor_removed() {
    let home = tempfile::tempdir().unwrap();
    let runs = Runs::new(home.path());
    fs::create_dir_all(home.path().join("runs/sub")).unwrap();
    for name in ["notes.json", "README", ".hidden", "1-2-3.json"] {
        fs::write(home.path().join("runs").join(name), "x").unwrap();
    }
    for at in 0..(KEPT as u64 + 5) {
        runs.save(&run(at, "/a")).unwrap();
    }
    assert!(runs.last_of(Path::new("/a")).unwrap().unreadable.is_empty());
    assert_eq!(files(home.path()), KEPT + 5);
}

#[test]
fn newest_are_kept_and_the_own_one_always() {
    let home = tempfile::tempdir().unwrap();
    let runs = Runs::new(home.path());
    for at in 100..(100 + KEPT as u64) {
        runs.save(&run(at, "/a")).unwrap();
    }
    // A clock that was set back makes this the oldest of all.
    let own = runs.save(&run(1, "/b")).unwrap();
    assert!(own.exists());
    runs.save(&run(1000, "/a")).unwrap();
    assert!(!own.exists());
    assert_eq!(files(home.path()), KEPT);
}

#[test]
fn leftovers_of_a_killed_writer_go_after_a_day() {
    let home = tempfile::tempdir().unwrap();
    let runs = Runs::new(home.path());
    let path = runs.save(&run(5, "/a")).unwrap();
    let (stale, _) = create_temp(&path).unwrap();
    let (fresh, _) = create_temp(&path.with_file_name(file_name(&run(STALE_MS, "/a")))).unwrap();
    runs.save(&run(STALE_MS + 6, "/a")).unwrap();
    assert!(!stale.exists());
    assert!(fresh.exists());
}

#[test]
fn ten_writers_at_once_lose_nothing() {
    let home = tempfile::tempdir().unwrap();
    let runs = Runs::new(home.path());
    std::thread::scope(|scope| {
        for writer in 0..10 {
            let runs = &runs;
            scope.spawn(move || {
                for at in 0..20 {
                    runs.save(&run(1 + writer * 20 + at, "/a")).unwrap();
                    let found = runs.last_of(Path::new("/a")).unwrap();
                    assert_eq!((found.runs.len(), found.unreadable.len()), (1, 0));
                }
            });
        }
    });
    let found = runs.last_of(Path::new("/a")).unwrap();
    assert_eq!(found.runs, [run(200, "/a")]);
    assert_eq!(files(home.path()), KEPT);
}

#[test]
fn failure_names_the_file() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("runs"), "in the way").unwrap();
    let error = Runs::new(home.path()).save(&run(1, "/a")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&home.path().join("runs").display().to_string()),
        "{error}"
    );
}

proptest! {
    #[test]
    fn name_of_any_record_is_recognised(started: u64, trace in ".{0,40}", root in ".{0,20}") {
        let mut run = run(started, "/a");
        run.trace = trace;
        run.root = root;
        prop_assert_eq!(started_ms(&file_name(&run)), Some(started));
    }

    #[test]
    fn no_name_makes_it_panic(name in ".{0,100}") {
        let _ = started_ms(&name);
        let _ = temp_started_ms(&name);
    }
}
