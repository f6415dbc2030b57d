//! Plans on the real engine: the examples, and what goes wrong.

use std::path::Path;

use crate::support::{Context, Dagger, Engine};

/// A copy of an example, with the root file system in its base.
fn example(name: &str) -> Context {
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
