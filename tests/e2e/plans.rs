//! Plans on the real engine: the examples, and what goes wrong.

use std::path::Path;

use crate::support::{Context, Dagger, Engine};

/// A copy of an example, with the root file system in its base.
pub(crate) fn example(name: &str) -> Context {
    let context = Context::new("FROM scratch\n");
    std::fs::remove_file(context.join("Dockerfile")).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name);
    copy(&from, context.path());
    std::fs::rename(context.join("rootfs.tar"), context.join("base/rootfs.tar")).unwrap();
    context
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

fn read(context: &Context, path: &str) -> String {
    std::fs::read_to_string(context.join(path)).unwrap()
}

#[test]
fn the_monorepo_s_ten_actions_are_one_trace() {
    let context = example("monorepo");
    let run = Dagger::up(context.path(), Engine::Http, &["-w", "release=7"])
        .with_collector()
        .run()
        .expect(0);
    assert_eq!(
        read(&context, "out/app/api"),
        "the api\nHELLO FROM THE LIBRARY\nrelease 7\n"
    );
    assert_eq!(read(&context, "out/app/www/index.html"), "<h1>web</h1>\n");
    assert_eq!(read(&context, "out/app/worker/job.txt"), "one job\n");
    assert_eq!(read(&context, "out/app/app.conf"), "release = 7\n");
    assert!(!context.join("out/app/worker/README.md").exists());
    run.verify(&[]).expect(0);
}

#[test]
fn the_matrix_runs_each_combination() {
    let context = example("matrix");
    Dagger::up(context.path(), Engine::Mute, &[])
        .run()
        .expect(0);
    let list = std::process::Command::new("tar")
        .args(["-xOf", "report.tar", "2-slow"])
        .current_dir(context.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&list.stdout), "testing 2 slow\n");
}

#[test]
fn the_site_is_built_from_json() {
    let context = example("node-site");
    Dagger::up(context.path(), Engine::Mute, &["-w", "title=Ours"])
        .run()
        .expect(0);
    assert_eq!(read(&context, "dist/index.html"), "<title>Ours</title>\n");
}

#[test]
fn the_service_keeps_its_user_and_its_secret() {
    let context = example("rust-service");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .env("REGISTRY_TOKEN", "hunter2hunter2")
        .run()
        .expect(0);
    assert!(context.join("service.tar").is_file());
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
}

#[test]
fn only_what_is_asked_for_is_run() {
    let context = example("monorepo");
    let run = Dagger::up(context.path(), Engine::Mute, &["web"])
        .run()
        .expect(0);
    assert!(!context.join("out").exists());
    assert!(!run.stderr.contains("[api]"), "{}", run.stderr);
}

const FAILING: &str = "version: 1\nactions:\n  base: { build: { context: base } }\n  \
    bad: { from: base, run: 'echo SALT; false' }\n  after: { from: bad, run: 'true' }\n  \
    good: { from: base, run: 'sleep 1; echo SALT fine', outputs: [{ local: good }] }\n";

#[test]
fn a_failed_action_is_named_and_stops_the_others_unless_they_go_on() {
    let context = example("matrix");
    std::fs::remove_file(context.join("dagger.toml")).unwrap();
    context.write("dagger.yaml", &FAILING.replace("SALT", "stop"));
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .run()
        .expect(1);
    assert!(run.stderr.contains("action `bad`"), "{}", run.stderr);
    assert!(!context.join("good").exists(), "{}", run.stderr);
    context.write("dagger.yaml", &FAILING.replace("SALT", "go on"));
    let run = Dagger::up(context.path(), Engine::Mute, &["--keep-going"])
        .run()
        .expect(1);
    assert!(run.stderr.contains("action `bad`"), "{}", run.stderr);
    assert!(context.join("good").exists(), "{}", run.stderr);
}

#[test]
fn each_failure_is_told_when_the_others_go_on() {
    let context = example("matrix");
    std::fs::remove_file(context.join("dagger.toml")).unwrap();
    context.write(
        "dagger.yaml",
        "version: 1\nactions:\n  base: { build: { context: base } }\n  \
         one: { from: base, run: exit 41 }\n  two: { from: base, run: exit 42 }\n",
    );
    let run = Dagger::up(context.path(), Engine::Mute, &["--keep-going"])
        .run()
        .expect(1);
    for (action, code) in [("one", 41), ("two", 42)] {
        let told = run.stderr.lines().any(|line| {
            line.contains(&format!("action `{action}`")) && line.contains(&code.to_string())
        });
        assert!(told, "{}", run.stderr);
    }
}

#[test]
fn a_plan_s_caches_are_written_and_read() {
    let context = example("monorepo");
    let (one, all) = (
        "type=local,dest=cache,mode=max",
        "type=local,dest=cache-{action},mode=max",
    );
    // Which of the last two would have it?
    let run = Dagger::up(
        context.path(),
        Engine::Mute,
        &["web", "api", "--cache-to", one],
    )
    .run()
    .expect(2);
    assert!(run.stderr.contains("would all write to"), "{}", run.stderr);
    let salt = format!("release=cache-{}", std::process::id());
    let args = ["web", "api", "--cache-to", all, "-w", &salt];
    // The second time all is there already.
    for _ in 0..2 {
        for name in ["web", "api"] {
            let _ = std::fs::remove_dir_all(context.join(&format!("cache-{name}")));
        }
        Dagger::up(context.path(), Engine::Mute, &args)
            .run()
            .expect(0);
        for name in ["web", "api"] {
            let index = format!("cache-{name}/index.json");
            assert!(context.join(&index).exists(), "{index}");
        }
    }
    // Another daemon has none of it.
    let from = "type=local,src=cache-{action}";
    let args = [
        "web",
        "api",
        "--cache-from",
        from,
        "-w",
        &salt,
        "--summary-file",
        "summary.json",
    ];
    Dagger::up(context.path(), Engine::Udp, &args)
        .run()
        .expect(0);
    let summary: serde_json::Value = serde_json::from_str(&read(&context, "summary.json")).unwrap();
    let steps = summary["steps"].as_array().unwrap().iter();
    let ran: Vec<_> = steps
        .filter(|step| step["cached"] == false)
        .map(|step| step["name"].as_str().unwrap())
        .filter(|name| {
            !name.contains("[internal]") && !name.contains("importing") && !name.contains("local")
        })
        .collect();
    assert_eq!(ran, Vec::<&str>::new());
}

#[test]
fn flags_that_a_plan_does_not_take_are_refused() {
    let context = example("matrix");
    for (flags, instead) in [
        (&["--label", "a=b"][..], "`labels` of its `build`"),
        (&["--add-host", "a:10.0.0.1"], "its `hosts`"),
        (&["--push"], "`push` of one of its `outputs`"),
        (&["--call=outline"], "--file Dockerfile"),
        (&["--iidfile", "id"], "--file Dockerfile"),
    ] {
        let run = Dagger::up(context.path(), Engine::Mute, flags)
            .run()
            .expect(2);
        let flag = flags[0].split('=').next().unwrap();
        assert!(
            run.stderr.contains(&format!("{flag} is for a Dockerfile")),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains(instead), "{}", run.stderr);
    }
}

#[test]
fn a_directory_is_a_dockerfile_s_even_beside_a_plan() {
    let context = example("matrix");
    Dagger::up(context.path(), Engine::Mute, &["base"])
        .run()
        .expect(0);
    Dagger::up(context.path(), Engine::Mute, &["./base"])
        .run()
        .expect(0);
}

#[test]
fn a_fault_of_the_plan_ends_it_before_the_engine_is_asked() {
    let context = example("monorepo");
    let plan = read(&context, "dagger.yaml").replace("action: lib,", "action: lbi,");
    context.write("dagger.yaml", &plan);
    let run = Dagger::new(context.path(), &["up"]).run().expect(2);
    assert!(
        run.stderr.contains("there is no action `lbi`"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("did you mean `lib`?"), "{}", run.stderr);
}

#[test]
fn a_plan_is_looked_at_without_an_engine() {
    let context = example("monorepo");
    let plan = |args: &[&str]| {
        let all: Vec<_> = [&["plan"], args].concat();
        Dagger::new(context.path(), &all).run().expect(0).stdout
    };
    assert_eq!(plan(&["validate"]), "dagger.yaml: 10 actions, no faults\n");
    assert!(plan(&["graph", "--format", "mermaid"]).starts_with("flowchart LR\n"));
    assert!(plan(&["show", "-w", "release=9"]).contains("\"RELEASE\": \"9\""));
    assert!(plan(&["schema"]).contains("\"title\": \"dagger plan\""));
}

/// Begin and end of the spans whose names begin with `prefix`, in microseconds, from the local store.
fn times(run: &crate::support::Finished, prefix: &str) -> Vec<(String, u64, u64)> {
    let shown = Dagger::new(
        Path::new("/"),
        &["trace", "show", "latest", "--format=jaeger"],
    )
    .env("XDG_STATE_HOME", &run.state.path().display().to_string())
    .run()
    .expect(0);
    let json: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let spans = json["data"][0]["spans"].as_array().expect("spans").iter();
    let named = spans.filter_map(|span| {
        let name = span["operationName"].as_str()?;
        let (start, long) = (span["startTime"].as_u64()?, span["duration"].as_u64()?);
        name.starts_with(prefix)
            .then(|| (name.to_owned(), start, start + long))
    });
    named.collect()
}

#[test]
fn actions_that_do_not_need_each_other_run_at_the_same_time() {
    let context = example("matrix");
    std::fs::remove_file(context.join("dagger.toml")).unwrap();
    let salt = std::process::id();
    let actions: String = ["a", "b", "c"]
        .iter()
        .map(|name| format!("  {name}: {{ from: base, run: 'sleep 2; echo {name} {salt}' }}\n"))
        .collect();
    context.write(
        "dagger.yaml",
        &format!("version: 1\nactions:\n  base: {{ build: {{ context: base }} }}\n{actions}"),
    );
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .run()
        .expect(0);
    let side_by_side = times(&run, "action ");
    let side_by_side: Vec<_> = side_by_side
        .iter()
        .filter(|(name, ..)| name != "action base")
        .collect();
    assert_eq!(side_by_side.len(), 3);
    let last_start = side_by_side.iter().map(|(_, start, _)| *start).max();
    let first_end = side_by_side.iter().map(|(.., end)| *end).min();
    assert!(last_start < first_end, "{side_by_side:?}");
    // One at a time, if that is asked for.
    let args = ["--parallel=1", "--no-cache"];
    let run = Dagger::up(context.path(), Engine::Mute, &args)
        .run()
        .expect(0);
    let mut one_by_one = times(&run, "action ");
    one_by_one.sort_by_key(|(_, start, _)| *start);
    for pair in one_by_one.windows(2) {
        assert!(pair[0].2 <= pair[1].1, "{one_by_one:?}");
    }
}

#[test]
fn an_interrupted_plan_leaves_nothing_half_done_and_a_whole_trace() {
    let context = example("matrix");
    std::fs::remove_file(context.join("dagger.toml")).unwrap();
    let salt = std::process::id();
    context.write(
        "dagger.yaml",
        &format!(
            "version: 1\nactions:\n  base: {{ build: {{ context: base }} }}\n  \
             quick: {{ from: base, run: 'echo {salt} >/quick', outputs: [{{ tar: quick.tar }}] }}\n  \
             long: {{ from: base, needs: [quick], run: 'echo it is under way; sleep 1000 # {salt}', \
             outputs: [{{ local: long }}] }}\n  \
             after: {{ from: long, run: 'true', outputs: [{{ local: after }}] }}\n"
        ),
    );
    let run = Dagger::up(context.path(), Engine::Http, &[])
        .with_collector()
        .interrupted_at("it is under way\n".trim_end())
        .expect(130);
    assert!(context.join("quick.tar").exists(), "{}", run.stderr);
    for left in ["long", "after"] {
        assert!(!context.join(left).exists(), "{left}: {}", run.stderr);
    }
    run.verify(&[]).expect(0);
}

#[test]
fn a_step_of_two_actions_is_run_once() {
    let context = example("matrix");
    std::fs::remove_file(context.join("dagger.toml")).unwrap();
    let salt = std::process::id();
    let step = format!("run: 'sleep 2; echo shared {salt} >/shared'");
    context.write(
        "dagger.yaml",
        &format!(
            "version: 1\nactions:\n  base: {{ build: {{ context: base }} }}\n  \
             one: {{ from: base, {step} }}\n  two: {{ from: base, {step} }}\n"
        ),
    );
    let args = ["--summary-file=summary.json"];
    let run = Dagger::up(context.path(), Engine::Http, &args)
        .with_collector()
        .run()
        .expect(0);
    let summary: serde_json::Value = serde_json::from_str(&read(&context, "summary.json")).unwrap();
    let steps = summary["steps"].as_array().unwrap().iter();
    let shared: Vec<_> = steps
        .filter(|step| step["name"].as_str().unwrap().contains("echo shared"))
        .collect();
    assert_eq!(shared.len(), 1, "{shared:?}");
    run.verify(&[]).expect(0);
}

#[test]
fn a_build_s_and_a_command_s_options_reach_their_steps() {
    let context = example("matrix");
    std::fs::remove_file(context.join("dagger.toml")).unwrap();
    let salt = std::process::id();
    context.write(
        "app/Dockerfile",
        &format!(
            "# {salt}\nFROM base\nRUN --mount=type=secret,id=token,env=TOKEN \
             (echo ${{#TOKEN}}; ulimit -n; ulimit -Hn; grep db.example /etc/hosts) >/seen-{salt}\n"
        ),
    );
    context.write(
        "dagger.yaml",
        &format!(
            "version: 1\nsecrets: {{ token: {{ env: TOKEN }} }}\nactions:\n  base: {{ build: {{ context: base }} }}\n  \
             app:\n    build: {{ context: app, contexts: {{ base: base }}, secrets: [token], labels: {{ a: b }} }}\n    \
             ulimits: {{ nofile: '123:456' }}\n    hosts: {{ db.example: 10.9.8.7 }}\n    outputs: [{{ oci: app.tar }}]\n  \
             run:\n    from: base\n    ulimits: {{ nofile: 77 }}\n    hosts: {{ db.example: 10.9.8.7 }}\n    \
             run: '(ulimit -n; grep db.example /etc/hosts) >/ran-{salt}'\n  \
             out:\n    copy:\n      - {{ from: app, path: /seen-{salt}, to: /seen }}\n      - {{ from: run, path: /ran-{salt}, to: /ran }}\n    \
             outputs: [{{ local: out }}]\n"
        ),
    );
    let missing = Dagger::up(context.path(), Engine::Mute, &[])
        .run()
        .expect(2);
    assert!(
        missing.stderr.contains("`TOKEN` is not set"),
        "{}",
        missing.stderr
    );
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .env("TOKEN", "hunter2hunter2")
        .run()
        .expect(0);
    let seen = read(&context, "out/seen");
    let lines: Vec<_> = seen.split_whitespace().collect();
    assert_eq!(lines, ["14", "123", "456", "10.9.8.7", "db.example"]);
    let ran = read(&context, "out/ran");
    let lines: Vec<_> = ran.split_whitespace().collect();
    assert_eq!(lines, ["77", "10.9.8.7", "db.example"]);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    let image = std::fs::read(context.join("app.tar")).unwrap();
    let label = br#""Labels":{"a":"b"}"#;
    assert!(image.windows(label.len()).any(|part| part == label));
    // Nobody asks for it now: the step is there already.
    let forced = Dagger::up(context.path(), Engine::Mute, &["--force"])
        .run()
        .expect(0);
    assert!(forced.stderr.contains("left out"), "{}", forced.stderr);
}

const CUE: &str = r##"package plan

#base: {from: "base", ...}
version: 1
args: release: "dev"
actions: {
	base: build: context: "base"
	for name in ["one", "two"] {
		"\(name)": #base & {run: "echo \(name) ${args.release} >/\(name)"}
	}
	result: {
		copy: [for name in ["one", "two"] {from: name, path: "/\(name)", to: "/"}]
		outputs: [{local: "out"}]
	}
}
"##;

#[test]
fn a_plan_in_cue_is_exported_by_the_cue_command() {
    let context = example("matrix");
    std::fs::remove_file(context.join("dagger.toml")).unwrap();
    context.write("dagger.cue", CUE);
    // Without the command it is said what is missing.
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .run()
        .expect(2);
    assert!(run.stderr.contains("cue"), "{}", run.stderr);
    let path = format!("{}:/usr/bin:/bin", crate::support::bed().fact("/bin"));
    let up = |args: &[&str]| {
        Dagger::up(context.path(), Engine::Mute, args)
            .env("PATH", &path)
            .run()
    };
    up(&["-w", "release=9"]).expect(0);
    assert_eq!(read(&context, "out/one"), "one 9\n");
    assert_eq!(read(&context, "out/two"), "two 9\n");
    // What cue says of a fault is told, with its place in the file.
    context.write("dagger.cue", &CUE.replace("version: 1", "version: 1 & 2"));
    let run = up(&[]).expect(2);
    assert!(run.stderr.contains("dagger.cue:4"), "{}", run.stderr);
    context.write("dagger.cue", &CUE.replace("#base & {run", "#base & {rum"));
    let run = up(&[]).expect(2);
    assert!(
        run.stderr
            .contains("dagger.cue as JSON:9:13: unknown key `rum`"),
        "{}",
        run.stderr
    );
}
