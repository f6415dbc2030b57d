//! The commands on the local store, on real builds with no variable set for tracing.

use std::collections::HashSet;
use std::io::Read;

use crate::support::{Context, Dagger, Engine, Finished};

struct Home {
    context: Context,
    state: tempfile::TempDir,
}

impl Home {
    fn up(&self) -> Finished {
        Dagger::up(self.context.path(), Engine::Mute, &[])
            .env("XDG_STATE_HOME", &self.state.path().display().to_string())
            .run()
            .expect(0)
    }

    fn dagger(&self, args: &[&str]) -> Dagger {
        let all: Vec<_> = ["trace"].iter().chain(args).copied().collect();
        Dagger::new(self.context.path(), &all)
            .env("XDG_STATE_HOME", &self.state.path().display().to_string())
    }

    fn trace(&self, args: &[&str]) -> Finished {
        self.dagger(args).run()
    }
}

#[test]
fn builds_are_listed_shown_compared_exported_and_forgotten() {
    let salt = format!("trace-commands-{}", std::process::id());
    let home = Home {
        context: Context::three_stages(&salt),
        state: tempfile::tempdir().unwrap(),
    };
    let first = home.up();
    home.up();
    home.context.write("hello.txt", "hello again\n");
    home.up();

    let list = home.trace(&["list", "--format", "json"]).expect(0).json();
    assert_eq!(list.as_array().unwrap().len(), 3);
    assert_eq!(list[2]["trace"], first.trace());
    assert!(home.trace(&["list"]).expect(0).stdout.contains("ok"));

    // The second build was cached; shape and word tell it.
    let number = list[1]["run"].to_string();
    let shown = home.trace(&["show", &number]).expect(0).stdout;
    assert!(
        shown.contains("dagger up") && shown.contains("exit code 0"),
        "{shown}"
    );
    assert!(
        shown
            .lines()
            .any(|line| line.contains("cached") && line.contains('░')),
        "{shown}"
    );
    let prefix = &first.trace()[..8];
    let json = home.trace(&["show", prefix, "--json"]).expect(0).json();
    let spans = json["spans"].as_array().unwrap();
    let services: HashSet<_> = spans
        .iter()
        .map(|span| span["service"].to_string())
        .collect();
    assert!(services.len() >= 2, "{services:?}");
    let logs = home.trace(&["show", "--logs"]).expect(0).stdout;
    assert!(logs.contains("HELLO AGAIN"), "{logs}");

    let path = home
        .trace(&["critical-path", "--format", "json"])
        .expect(0)
        .json();
    let sum: u64 = path["path"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["duration_ns"].as_u64().unwrap())
        .sum();
    assert_eq!(path["duration_ns"].as_u64(), Some(sum));

    let changed = home.trace(&["diff", &number, "latest"]).expect(0).stdout;
    let why = changed.lines().find(|line| line.contains("COPY hello.txt"));
    assert!(
        why.is_some_and(|line| line.contains("has changed")),
        "{changed}"
    );
    let same = home
        .trace(&["diff", &number, &number, "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(
        (&same["added"], &same["removed"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );

    for format in ["otlp", "jaeger"] {
        let file = home.state.path().join(format);
        let name = file.display().to_string();
        home.trace(&["export", prefix, "--format", format, "-o", &name])
            .expect(0);
        let other = tempfile::tempdir().unwrap();
        let there = |args: &[&str]| {
            home.dagger(args)
                .env("XDG_STATE_HOME", &other.path().display().to_string())
                .run()
                .expect(0)
        };
        there(&["import", &name]);
        let back = there(&["show", "latest", "--json"]).json();
        assert_eq!(
            back["spans"].as_array().unwrap().len(),
            spans.len(),
            "{format}"
        );
    }

    home.trace(&["show", "zzzz"]).expect(2);
    home.trace(&["rm", prefix]).expect(0);
    home.trace(&["prune", "--keep", "1"]).expect(0);
    let left = home.trace(&["list", "--format", "json"]).expect(0).json();
    assert_eq!(left.as_array().unwrap().len(), 1);
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let home = Home {
        context: Context::three_stages("trace-pipe"),
        state: tempfile::tempdir().unwrap(),
    };
    home.up();
    let (mut child, _state) = home.dagger(&["show", "--json"]).spawn();
    let mut out = child.stdout.take().unwrap();
    let mut some = [0; 16];
    out.read_exact(&mut some).unwrap();
    drop(out);
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert_eq!(said, "");
}

#[test]
fn a_selector_finds_spans_of_a_real_build() {
    let home = Home {
        context: Context::three_stages(&format!("selectors-{}", std::process::id())),
        state: tempfile::tempdir().unwrap(),
    };
    home.up();
    let names = |selector: &str| -> Vec<String> {
        let found = home
            .trace(&["query", selector, "--format=json"])
            .expect(0)
            .json();
        let found = found.as_array().unwrap().iter();
        found
            .map(|span| span["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("\"dagger up\":root"), ["dagger up"]);
    assert_eq!(names("\"dagger up\" > solve"), ["solve"]);
    let daemons = names("\"moby.buildkit.v1.Control/Solve\"[kind=client] > *[service=buildkitd]");
    assert_eq!(daemons, ["moby.buildkit.v1.Control/Solve"]);
    let steps = names("*[vertex,service=dagger]");
    assert!(
        steps.iter().any(|name| name.contains("RUN tr a-z A-Z")),
        "{steps:?}"
    );
    assert_eq!(names("*[vertex,service=dagger]:slowest").len(), 1);
    // The page of selectors is true on this build.
    let page = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/selectors.md"),
    )
    .unwrap();
    let commands = page
        .lines()
        .filter_map(|line| line.strip_prefix("    dagger trace query "));
    let mut count = 0;
    for command in commands {
        let (selector, flags) = command[1..].split_once('\'').expect("quoted");
        let args = ["query", selector]
            .into_iter()
            .chain(flags.split_whitespace());
        home.trace(&args.collect::<Vec<_>>()).expect(0);
        count += 1;
    }
    assert_eq!(count, 3);

    let none = home.trace(&["query", "*[http.route]"]).expect(1);
    assert!(
        none.stderr.contains("there is no span that"),
        "{}",
        none.stderr
    );
    let wrong = home.trace(&["query", "*[a="]).expect(2);
    assert!(wrong.stderr.contains("column 5"), "{}", wrong.stderr);
}
