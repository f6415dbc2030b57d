//! How dagger comes to other machines: `cargo install`, the static binary, the image.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::engines::docker;
use crate::support::{Context, Engine, bed};

/// A command in the checkout, with the caller's toolchain and this build's target directory.
fn in_checkout(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target);
    command
}

#[track_caller]
fn succeeds(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:#?}");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn version() -> String {
    format!("dagger {}", env!("CARGO_PKG_VERSION"))
}

/// The static binary, built once.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let mut build = in_checkout("packaging/static");
        build.args(["--debug", "--or-glibc"]);
        // It says there if it took the other C library; that is not to be swallowed.
        build.stderr(Stdio::inherit());
        text(&succeeds(build).stdout).trim().into()
    })
}

#[test]
fn cargo_install_puts_a_dagger_that_runs_into_a_directory() {
    let root = tempfile::tempdir().unwrap();
    let mut install = in_checkout(env!("CARGO"));
    install
        .args(["install", "--locked", "--debug", "--path", ".", "--root"])
        .arg(root.path());
    succeeds(install);
    let mut dagger = Command::new(root.path().join("bin/dagger"));
    dagger.arg("--version").env_clear();
    assert_eq!(text(&succeeds(dagger).stdout).trim(), version());
}

#[test]
fn the_static_binary_builds_where_there_is_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    std::fs::copy(binary(), root.path().join("dagger")).unwrap();
    std::fs::create_dir(root.path().join("tmp")).unwrap();
    let context = Context::three_stages("static");
    std::fs::rename(context.path(), root.path().join("hello"))
        .or_else(|_| copy(context.path(), &root.path().join("hello")))
        .unwrap();
    let inside = |args: &[&str]| {
        let mut command = Command::new("/usr/sbin/chroot");
        command
            .arg(root.path())
            .arg("/dagger")
            .args(args)
            .env_clear()
            .env("HOME", "/")
            .env("BUILDKIT_HOST", bed().tcp(Engine::Mute))
            .env("OTEL_EXPORTER_JAEGER_ENDPOINT", bed().collector())
            .env("JAEGER_QUERY_URL", bed().query_url());
        succeeds(command)
    };
    assert_eq!(text(&inside(&["--version"]).stdout).trim(), version());
    inside(&["up", "--daemon-spans=import", "-o", "local:/out", "/hello"]);
    let built = root.path().join("out/srv/loud.txt");
    assert_eq!(std::fs::read_to_string(built).unwrap(), "HELLO\n");
    inside(&["trace", "verify"]);
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

#[test]
fn the_image_is_built_by_dagger_itself_and_builds_in_docker() {
    binary();
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("dagger.tar");
    let image = |args: &[&str]| {
        let mut command = in_checkout("packaging/image");
        command
            .arg("--debug")
            .args(args)
            .env("BUILDKIT_HOST", bed().unix(Engine::Mute))
            .env("XDG_STATE_HOME", dir.path());
        succeeds(command)
    };
    // This stage runs it, with nothing else in the container.
    let checked = image(&["--log-format", "plain", "--no-cache", "--target", "check"]);
    assert!(text(&checked.stderr).contains(&version()), "{checked:#?}");

    image(&["-o", &format!("type=docker,dest={}", archive.display())]);
    let loaded = docker(&["load", "--input", &archive.display().to_string()]);
    assert!(loaded.status.success(), "{loaded:#?}");
    let name = format!("dagger:{}", env!("CARGO_PKG_VERSION"));
    let context = Context::three_stages("image");
    let state = dir.path().join("state");
    let run = |args: &[&str]| {
        let mount = format!("{}:/work", context.path().display());
        let kept = format!("{}:/state", state.display());
        let host = format!("BUILDKIT_HOST={}", bed().tcp(Engine::Mute));
        let mut all = vec!["run", "--rm", "--network=host", "-v", &mount, "-v", &kept];
        all.extend(["-e", &host, &name]);
        all.extend(args);
        let output = docker(&all);
        assert!(output.status.success(), "{args:?}: {output:#?}");
    };
    run(&["up", "-o", "local:out"]);
    let built = context.join("out/srv/loud.txt");
    assert_eq!(std::fs::read_to_string(built).unwrap(), "HELLO\n");
    run(&["trace", "verify", "--local"]);
    docker(&["rmi", &name]);
}
