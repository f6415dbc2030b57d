//! What a project expects of its traces, on real builds: the examples of the documentation as they are
//! written, and former runs.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Context, Dagger, Engine, Finished};

/// The blocks of the documentation that are a file, by its first line `# NAME`.
fn written(name: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/expectations.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let head = format!("# {name}\n");
    let blocks = page.split("```yaml\n").skip(1);
    let files = blocks.filter_map(|block| block.strip_prefix(&head)?.split("```").next());
    files.map(str::to_owned).collect()
}

/// A repository on branch `main` with a plan of the actions that the examples speak of.
struct Project {
    context: Context,
    state: tempfile::TempDir,
}

impl Project {
    /// `script` is what the action `test` runs: to change it leaves the plan as it is. `steps`: so many more
    /// that can be cached.
    fn new(script: &str, steps: usize) -> Self {
        let salt = std::process::id().to_string() + script.trim() + &steps.to_string();
        // What no other test builds: of steps under way for two builds the daemon makes one.
        let only_ours: String = salt.chars().filter(char::is_ascii_alphanumeric).collect();
        let lines: String = (0..steps)
            .map(|line| format!("RUN true {line} '{salt}'\n"))
            .collect();
        let context = Context::new("FROM scratch\n")
            .with(
                "base/Dockerfile",
                &format!("FROM scratch\nWORKDIR /{only_ours}\nADD rootfs.tar /\nENV PATH=/bin:/usr/bin\nWORKDIR /\n{lines}"),
            )
            .with("scripts/test.sh", script)
            .with(
                "dagger.yaml",
                "version: 1\n\
                 actions:\n  \
                   base: { build: { context: base } }\n  \
                   scripts: { local: { path: scripts } }\n  \
                   compile: { from: base, run: 'echo compiled >/out' }\n  \
                   lint: { from: compile, run: 'sleep 1.5' }\n  \
                   test:\n    \
                     from: compile\n    \
                     mounts: [{ target: /scripts, action: scripts }]\n    \
                     run: 'sh /scripts/test.sh'\n",
            );
        std::fs::rename(context.join("rootfs.tar"), context.join("base/rootfs.tar")).unwrap();
        let git = |args: &[&str]| {
            let ran = Command::new("git")
                .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
                .args(args)
                .current_dir(context.path())
                .output()
                .expect("git can be run");
            assert!(ran.status.success(), "{ran:?}");
        };
        git(&["init", "-q", "-b", "main"]);
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "all"]);
        let state = tempfile::tempdir().unwrap();
        Self { context, state }
    }

    fn dagger(&self, dagger: Dagger) -> Dagger {
        dagger.env("XDG_STATE_HOME", &self.state.path().display().to_string())
    }

    fn up(&self, engine: Engine, args: &[&str]) -> Finished {
        self.dagger(Dagger::up(self.context.path(), engine, args))
            .with_collector()
            .run()
            .expect(0)
    }

    fn dagger_trace(&self, args: &[&str]) -> Finished {
        let args: Vec<_> = ["trace"].iter().chain(args).copied().collect();
        self.dagger(Dagger::new(self.context.path(), &args))
            .with_collector()
            .run()
    }

    /// What comes of the expectations of the directory, as `kind name: status`, those that pass left out.
    fn held(&self, code: i32) -> (Vec<String>, Value) {
        let verified = self.dagger_trace(&["verify", "--format", "json"]);
        let verified = verified.expect(code);
        let report: Value = serde_json::from_str(&verified.stdout).expect("a report");
        let told = results(&report)
            .filter(|result| !["pass", "skip"].contains(&text(result, "status")))
            .map(|result| {
                let [kind, name, status] = ["kind", "name", "status"].map(|key| text(result, key));
                format!("{kind} {name}: {status}")
            })
            .collect();
        (told, report)
    }
}

fn results(report: &Value) -> impl Iterator<Item = &Value> {
    report["results"].as_array().expect("results").iter()
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_default()
}

/// How many comparisons with former runs were made.
fn compared(report: &Value) -> usize {
    results(report)
        .filter(|result| text(result, "kind") == "baseline" && text(result, "status") != "skip")
        .count()
}

#[test]
fn the_examples_of_the_documentation_hold_of_real_builds() {
    let project = Project::new("sleep 1.5", 24);
    let [smallest, shape, cache] =
        <[String; 3]>::try_from(written("trace.expect.yaml")).expect("three examples");
    project.up(Engine::Http, &[]);
    for example in [&smallest, &shape] {
        project.context.write("trace.expect.yaml", example);
        project.dagger_trace(&["expect", "validate"]).expect(0);
        let (told, _) = project.held(0);
        assert!(told.is_empty(), "{told:?} of {example}");
    }

    // What does not hold is told: this build was not a cached one, and it has no former runs.
    let [base] = <[String; 1]>::try_from(written("ci/trace.base.yaml")).expect("a file");
    // The day is that of the documentation; the test is about what is before it.
    let cache = cache.replace("until: 2027-01-31", "until: 2999-01-31");
    project.context.write("ci/trace.base.yaml", &base);
    project.context.write("trace.expect.yaml", &cache);
    let (told, report) = project.held(1);
    assert_eq!(
        told,
        [
            "expectation warm build is mostly cached: fail",
            "waiver T012: warn"
        ]
    );
    let failed = results(&report).find(|result| text(result, "status") == "fail");
    assert_eq!(text(failed.unwrap(), "location"), "trace.expect.yaml:4:5");
    assert_eq!(compared(&report), 0);
    // Warm ones have.
    for _ in 0..4 {
        project.up(Engine::Http, &[]);
    }
    let (told, report) = project.held(0);
    let told: Vec<_> = told
        .iter()
        .filter(|told| !told.starts_with("budget steps"))
        .collect();
    assert_eq!(told, ["waiver T012: warn"]);
    assert_eq!(compared(&report), 2, "{report:#}");
}

/// Seconds that the action `test` takes: long against what a busy machine adds to it.
const USUAL: f64 = 4.0;

#[test]
fn a_step_that_takes_30_percent_more_than_in_ten_runs_is_found_and_ten_usual_ones_are_not() {
    let project = Project::new(&format!("sleep {USUAL}"), 0);
    project.context.write(
        "trace.expect.yaml",
        "version: 1\n\
         baseline:\n  \
           compare:\n  \
           - {select: '\"dagger up\":root', slower: {ratio: 22%, floor: 900ms}}\n  \
           - {name: test, select: '\"action test\"', slower: {ratio: 22%, floor: 900ms}}\n  \
           - {name: lint, select: '\"action lint\"', slower: {ratio: 22%, floor: 900ms}}\n",
    );
    // Cold each time, since a cached step takes no time.
    for run in 0..20 {
        project.up(Engine::Mute, &["--no-cache"]);
        let (told, report) = project.held(0);
        assert!(told.is_empty(), "{told:?} in run {run}");
        assert_eq!(compared(&report), if run < 3 { 0 } else { 3 }, "run {run}");
    }
    project
        .context
        .write("scripts/test.sh", &format!("sleep {}", USUAL * 1.3));
    project.up(Engine::Mute, &["--no-cache"]);
    let (told, _) = project.held(1);
    // The whole run is not always: of it the step is a part.
    assert!(told.contains(&"baseline test: fail".to_owned()), "{told:?}");
    assert!(
        !told.contains(&"baseline lint: fail".to_owned()),
        "{told:?}"
    );
    // Without a file, what is slower is found by name.
    let verified = project.dagger_trace(&["verify", "--no-expect", "--baseline", "10"]);
    let verified = verified.expect(1);
    assert!(
        verified.stdout.contains("action test"),
        "{}",
        verified.stdout
    );
    assert!(
        !verified.stdout.contains("action lint"),
        "{}",
        verified.stdout
    );
}
