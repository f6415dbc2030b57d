//! Each mistake has its message, and its exit code.

use std::path::Path;

use crate::support::{Context, Dagger, Engine, Finished, bed};

/// What was printed, with what differs between runs struck out.
pub(crate) fn shown(run: &Finished, context: &Path) -> String {
    let mut text = run
        .stderr
        .replace(&context.display().to_string(), "CONTEXT");
    let real = context
        .canonicalize()
        .map(|path| path.display().to_string());
    text = text.replace(&real.unwrap_or_default(), "CONTEXT");
    format!("exit {}\n{}", run.code, struck(text))
}

/// A text without what differs between runs.
fn struck(mut text: String) -> String {
    let struck: [(&str, &str); 11] = [
        (r"\d+ of \d+ spans", "N of N spans"),
        (r"\b\d+ spans, sent nowhere", "N spans, sent nowhere"),
        (r"(?m)^\d+\.\d+ ", "0.000 "),
        (r"trace [0-9a-f]{32}", "trace ID"),
        (r"/trace/[0-9a-f]{32}", "/trace/ID"),
        (r"verify [0-9a-f]{32}", "verify ID"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"\[127\.0\.0\.1\]:\d+", "[127.0.0.1]:PORT"),
        (r"(?m)^(#\d+) \d+\.\d+ ", "$1 0.000 "),
        (r"\d+\.\d+s", "0.0s"),
        (r"\d+(\.\d+)?k?B", "0B"),
    ];
    for (pattern, with) in struck {
        text = regex::Regex::new(pattern)
            .unwrap()
            .replace_all(&text, with)
            .into_owned();
    }
    // How often something was tried again depends on the machine.
    let mut lines: Vec<_> = text.lines().collect();
    lines.dedup_by(|a, b| a == b && a.contains("trying again"));
    lines.join("\n")
}

fn up_on(host: &str) -> (Finished, Context) {
    let context = Context::three_stages("bad-input");
    (
        Dagger::up(context.path(), Engine::Http, &[])
            .env("BUILDKIT_HOST", host)
            .run(),
        context,
    )
}

macro_rules! assert_shown {
    ($run:expr, $context:expr) => {
        insta::assert_snapshot!(shown(&$run, $context.path()))
    };
}

#[test]
fn no_socket() {
    let (run, context) = up_on("unix:///nowhere/buildkitd.sock");
    assert_shown!(run, context);
}

#[test]
fn port_closed() {
    let (run, context) = up_on("tcp://127.0.0.1:1");
    assert_shown!(run, context);
}

#[test]
fn not_a_buildkitd() {
    let host = bed().query_url().replace("http://", "tcp://");
    let (run, context) = up_on(&host);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(
        run.stderr.contains("does not answer as a buildkitd"),
        "{}",
        run.stderr
    );
    drop(context);
}

#[test]
fn bad_buildkit_host() {
    let (run, context) = up_on("localhost:1234");
    assert_shown!(run, context);
}

#[test]
fn unknown_setting_of_an_address() {
    let (run, context) = up_on("docker-container://super-buildkit?namespace=x");
    assert_shown!(run, context);
}

#[test]
fn no_engine_at_all() {
    if Path::new("/run/buildkit/buildkitd.sock").exists() {
        panic!(
            "this machine has a buildkitd at the default place; the test cannot show its absence"
        );
    }
    let context = Context::three_stages("no-engine");
    let run = Dagger::new(context.path(), &["up"])
        .env("PATH", "/nowhere")
        .run();
    assert_shown!(run, context);
}

#[test]
fn no_dockerfile() {
    let context = Context::three_stages("no-dockerfile");
    std::fs::remove_file(context.join("Dockerfile")).unwrap();
    let run = Dagger::up(context.path(), Engine::Http, &[]).run();
    assert_shown!(run, context);
}

#[test]
fn bad_jaeger_trace() {
    let context = Context::three_stages("bad-jaeger");
    let run = Dagger::up(context.path(), Engine::Http, &[])
        .env("JAEGER_TRACE", "localhost:notaport")
        .run();
    assert_shown!(run, context);
}

#[test]
fn unknown_flag() {
    let context = Context::three_stages("bad-flag");
    let run = Dagger::up(context.path(), Engine::Http, &["--no-cash"]).run();
    assert_shown!(run, context);
}

#[test]
fn failing_run() {
    let context = Context::new(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN echo one; echo two; exit 7\nRUN echo never\n",
    );
    let run = Dagger::up(context.path(), Engine::Http, &["--no-cache"])
        .with_collector()
        .run();
    assert_eq!(run.code, 1, "{}", run.stderr);
    let shown = shown(&run, context.path());
    let epilogue = shown.find("------").expect("an epilogue");
    insta::assert_snapshot!(&shown[epilogue..]);
}

#[test]
fn socket_without_permission() {
    let context = Context::three_stages("nobody");
    let host = bed().unix(Engine::Http);
    let mode = |path: &Path, mode| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(context.path(), 0o755);
    let state = context.join("state");
    std::fs::create_dir(&state).unwrap();
    mode(&state, 0o777);
    // The binary may lie where `nobody` cannot go, so it runs from a copy.
    let copy = context.join("dagger");
    std::fs::copy(env!("CARGO_BIN_EXE_dagger"), &copy).unwrap();
    mode(&copy, 0o755);
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        .arg(&copy)
        .args(["up", "--log-format", "plain"])
        .current_dir(context.path())
        .env_clear()
        .env("BUILDKIT_HOST", &host)
        .env("XDG_STATE_HOME", &state)
        .output()
        .expect("setpriv can be run");
    let stderr = String::from_utf8_lossy(&output.stderr).replace(&host, "unix://SOCKET");
    insta::assert_snapshot!(format!(
        "exit {}\n{}",
        output.status.code().unwrap_or(-1),
        struck(stderr)
    ));
}
