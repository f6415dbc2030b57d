//! Secrets stay secret: however one was given, no span, log, history, text, dump or file holds it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::registry::Registry;
use crate::support::{Context, Dagger, Engine, Finished, bed};

/// Every secret of these tests has it in it.
const SECRET: &str = "hunter2-secret";

fn files_with(dir: &Path, word: &[u8], found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_with(&path, word, found);
        } else if let Ok(data) = fs::read(&path)
            && data.windows(word.len()).any(|part| part == word)
        {
            found.push(path.display().to_string());
        }
    }
}

/// What was said holds no secret; and something was said.
#[track_caller]
fn clean(what: &str, run: &Finished) {
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(!said.is_empty(), "{what} said nothing");
    assert!(!said.contains(SECRET), "{what}: {said}");
}

/// The state directory, the spans in Jaeger, what shows the trace, and the engine's history of the build.
fn nowhere(run: &Finished, context: &Context) {
    let mut found = Vec::new();
    files_with(run.state.path(), SECRET.as_bytes(), &mut found);
    files_with(context.path(), SECRET.as_bytes(), &mut found);
    assert_eq!(found, Vec::<String>::new());

    let trace = run.trace();
    let url = format!("{}/api/traces/{trace}", bed().query_url());
    let spans = Command::new("curl").args(["-sS", &url]).output().unwrap();
    let spans = String::from_utf8_lossy(&spans.stdout).into_owned();
    assert!(
        spans.contains("dagger up") && !spans.contains(SECRET),
        "{spans}"
    );

    let state = run.state.path().display().to_string();
    let commands: [&[&str]; 6] = [
        &["trace", "list", "--format=json"],
        &["trace", "show", "--logs"],
        &["trace", "show", "--format=otlp"],
        &["trace", "critical-path"],
        &["history", "inspect"],
        &["history", "logs"],
    ];
    for command in commands {
        let shown = Dagger::new(context.path(), command)
            .env("XDG_STATE_HOME", &state)
            .env("BUILDKIT_HOST", &bed().unix(Engine::Mute))
            .run();
        clean(&command.join(" "), &shown);
    }
}

#[test]
fn of_a_dockerfile_by_file_variable_and_command() {
    let context = Context::new(&format!(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\n\
         RUN --mount=type=secret,id=f --mount=type=secret,id=e,env=E --mount=type=secret,id=c \
         test $(cat /run/secrets/f) = $E && test $(cat /run/secrets/c) = $E && echo {} >/done\n\
         RUN --mount=type=secret,id=none,required=true true\n",
        std::process::id()
    ));
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("f");
    fs::write(&file, SECRET).unwrap();
    let given = format!("--secret=id=f,src={}", file.display());
    let args = [
        &*given,
        "--secret=id=e,env=E",
        "--secret",
        "id=c,cmd=printf hunter2-%s secret",
        "--summary-file=summary.json",
        "-vvv",
    ];
    // Mute: its own spans come to us, and are ours to look after.
    let run = Dagger::up(context.path(), Engine::Mute, &args)
        .env("E", SECRET)
        .with_collector()
        .run()
        .expect(1);
    // All three were there, and the last one is missing.
    assert!(run.stderr.contains("none"), "{}", run.stderr);
    clean("dagger up", &run);
    nowhere(&run, &context);
}

#[test]
fn of_a_plan_by_file_and_variable() {
    let context = Context::new("FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\n");
    context.write("token", SECRET);
    fs::create_dir(context.join("base")).unwrap();
    for file in ["Dockerfile", "rootfs.tar"] {
        fs::rename(context.join(file), context.join("base").join(file)).unwrap();
    }
    context.write(
        "dagger.yaml",
        &format!(
            "version: 1\nsecrets:\n  v: {{ env: E }}\n  f: {{ file: token }}\nactions:\n  \
             base: {{ build: {{ context: base }} }}\n  \
             use:\n    from: base\n    mounts: [{{ secret: v, env: V }}, {{ secret: f }}]\n    \
             run: test $(cat /run/secrets/f) = $V && echo {} && false\n",
            std::process::id()
        ),
    );
    for dump in [
        &["plan", "show"][..],
        &["plan", "validate"],
        &["plan", "graph"],
        &["plan", "graph", "--format=dot"],
        &["plan", "graph", "--format=mermaid"],
    ] {
        let shown = Dagger::new(context.path(), dump)
            .env("E", SECRET)
            .run()
            .expect(0);
        clean(&dump.join(" "), &shown);
    }
    let run = Dagger::up(context.path(), Engine::Mute, &["-vvv"])
        .env("E", SECRET)
        .with_collector()
        .run()
        .expect(1);
    assert!(
        run.stderr.contains(&std::process::id().to_string()),
        "{}",
        run.stderr
    );
    fs::remove_file(context.join("token")).unwrap();
    clean("dagger up", &run);
    nowhere(&run, &context);
}

#[test]
fn passwords_of_a_registry_and_a_collector_and_keys_of_an_agent() {
    let registry = Registry::start(true);
    let image = registry.image("secret/app:v1");
    let context = Context::new(&format!(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo {}\n",
        std::process::id()
    ));
    let outside = tempfile::tempdir().unwrap();
    let key = outside.path().join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", SECRET, "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    // `me:hunter2-secret`: the wrong one, so that the refusal is told as well.
    let auth = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("me:{SECRET}"),
    );
    let host = image.split('/').next().unwrap();
    let config = serde_json::json!({"auths": {host: {"auth": auth}}}).to_string();
    fs::write(outside.path().join("config.json"), config).unwrap();
    let ssh = format!("--ssh=default={}", key.display());
    let run = Dagger::up(
        context.path(),
        Engine::Mute,
        &[&ssh, "--push", "--tag", &image, "-vvv"],
    )
    .env("DOCKER_CONFIG", &outside.path().display().to_string())
    .env("OTEL_EXPORTER_JAEGER_USER", "me")
    .env("OTEL_EXPORTER_JAEGER_PASSWORD", SECRET)
    .with_collector()
    .run()
    .expect(1);
    assert!(
        run.stderr.contains("401") || run.stderr.contains("authoriz"),
        "{}",
        run.stderr
    );
    clean("dagger up", &run);
    assert!(!run.stderr.contains(&auth), "{}", run.stderr);
    nowhere(&run, &context);
}
