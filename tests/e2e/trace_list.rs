//! `dagger trace list`: its filters, its JSON, and what reads it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Dagger, Finished};

/// A store with runs of every kind, made without an engine.
struct Home {
    state: tempfile::TempDir,
    project: PathBuf,
}

impl Home {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let project = state.path().join("project");
        std::fs::create_dir(&project).unwrap();
        let home = Self { state, project };
        home.exec(Path::new("/"), "true").run().expect(0);
        home.exec(&home.project, "sleep 1; exit 3").run().expect(3);
        let (mut child, _state) = home.exec(Path::new("/"), "sleep 60").spawn();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while home
            .list(&["--status", "running"])
            .as_array()
            .unwrap()
            .is_empty()
        {
            assert!(std::time::Instant::now() < until);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let sample =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/traces/buildctl-build.json");
        home.dagger(&["import", &sample.display().to_string()])
            .run()
            .expect(0);
        home
    }

    fn with_state(&self, dagger: Dagger) -> Dagger {
        dagger.env("XDG_STATE_HOME", &self.state.path().display().to_string())
    }

    fn exec(&self, dir: &Path, script: &str) -> Dagger {
        let args = ["trace", "exec", "--quiet", "--", "sh", "-c", script];
        self.with_state(Dagger::new(dir, &args))
    }

    fn dagger(&self, args: &[&str]) -> Dagger {
        let all: Vec<_> = ["trace"].iter().chain(args).copied().collect();
        self.with_state(Dagger::new(Path::new("/"), &all))
    }

    fn run(&self, args: &[&str]) -> Finished {
        self.dagger(args).run()
    }

    fn list(&self, args: &[&str]) -> Value {
        let all: Vec<_> = ["list", "--format", "json"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        self.run(&all).expect(0).json()
    }

    /// The words for how the runs ended that a filter leaves, oldest first.
    fn left(&self, args: &[&str]) -> Vec<String> {
        let list = self.list(args);
        let runs = list.as_array().unwrap().iter().rev();
        runs.map(|run| run["status"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[test]
fn each_filter_leaves_what_it_says() {
    let home = Home::new();
    // The sample is of the year 2026; in order of their begins it may stand anywhere.
    let mut all = home.left(&[]);
    all.sort();
    assert_eq!(all, ["failed", "imported", "ok", "unfinished"]);
    for status in ["ok", "failed", "unfinished", "imported"] {
        assert_eq!(home.left(&["--status", status]), [status]);
    }
    assert_eq!(
        home.left(&["--project", &home.project.display().to_string()]),
        ["failed"]
    );
    assert_eq!(
        home.left(&["--min-duration", "1s", "--status", "failed"]),
        ["failed"]
    );
    assert!(
        !home
            .left(&["--min-duration", "1s"])
            .contains(&"ok".to_owned())
    );
    // An imported run is as long as its spans.
    assert!(
        home.left(&["--max-duration", "59s"])
            .contains(&"imported".to_owned())
    );
    assert_eq!(home.left(&["--since", "1h", "--status", "ok"]), ["ok"]);
    assert_eq!(home.left(&["--since", "2100-01-01"]), Vec::<String>::new());
    assert_eq!(home.left(&["--limit", "1"]).len(), 1);
    home.run(&["list", "--since", "yesterday"]).expect(2);
    home.run(&["list", "--status", "good"]).expect(2);

    let ok = &home.list(&["--status", "ok"])[0];
    for key in [
        "run",
        "trace",
        "root",
        "started",
        "ended",
        "duration_ns",
        "spans",
        "waiting",
        "args",
        "directory",
    ] {
        assert!(!ok[key].is_null(), "{key}: {ok}");
    }
    let table = home.run(&["list"]).expect(0).stdout;
    let started = regex::Regex::new(r"  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  ").unwrap();
    assert!(
        table.lines().skip(1).all(|line| started.is_match(line)),
        "{table}"
    );
}

#[test]
fn whoever_reads_it_may_stop_and_jq_and_less_get_it_all() {
    let home = Home::new();
    let imported = home.list(&["--status", "imported"])[0]["run"].to_string();
    let dagger = env!("CARGO_BIN_EXE_dagger");
    let shell = |script: String| {
        Command::new("bash")
            .args(["-o", "pipefail", "-c", &script])
            .env("XDG_STATE_HOME", home.state.path())
            .env_remove("JAEGER_QUERY_URL")
            .output()
            .unwrap()
    };
    for command in [
        "list",
        "list --format json",
        "show ID",
        "show ID --logs",
        "show ID --json",
        "show ID --format chrome",
        "show ID --format otlp",
        "critical-path ID",
        "diff ID ID",
        "export ID",
        "push",
        "rules",
        "explain T001",
    ] {
        let command = command.replace("ID", &imported);
        // The reader is gone before the first byte is written.
        let gone = shell(format!("(sleep 0.3; {dagger} trace {command}) | true"));
        assert!(gone.status.success(), "{command}: {gone:?}");
        assert_eq!(String::from_utf8_lossy(&gone.stderr), "", "{command}");
        let some = shell(format!("{dagger} trace {command} | head -c 20"));
        assert!(some.status.success(), "{command}: {some:?}");
        assert_eq!(String::from_utf8_lossy(&some.stderr), "", "{command}");
    }
    let count = shell(format!(
        "{dagger} trace show {imported} --json | jq '.spans | length'"
    ));
    assert_eq!(String::from_utf8_lossy(&count.stdout), "35\n", "{count:?}");
    let one = shell(format!(
        "{dagger} trace list --format json | jq -r '.[].status' | sort | head -1"
    ));
    assert_eq!(String::from_utf8_lossy(&one.stdout), "failed\n");
    let plain = home.run(&["show", &imported]).expect(0).stdout;
    let paged = shell(format!("{dagger} trace show {imported} | less"));
    assert_eq!(String::from_utf8_lossy(&paged.stdout), plain, "{paged:?}");
}
