//! Every `dagger` command in the documentation works as it is written.

use std::path::Path;

use crate::support::{Context, Dagger, Engine, bed, engines};

/// Pages with commands, each in a block indented by four blanks.
const PAGES: [&str; 4] = [
    "README.md",
    "docs/start.md",
    "docs/ci.md",
    "docs/history.md",
];

/// Pages about engines that dagger keeps: they run without an engine said.
const ENGINE_PAGES: [&str; 1] = ["docs/engines.md"];

/// The commands of a page: lines `    dagger ...`, without their comments.
fn commands(page: &str) -> Vec<String> {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).expect("a page");
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("    dagger "));
    lines
        .map(|line| line.split('#').next().unwrap_or_default().trim().to_owned())
        .collect()
}

#[test]
fn every_command_in_the_documentation_runs() {
    let context = Context::three_stages("docs");
    let dockerfile =
        std::fs::read_to_string(context.join("Dockerfile")).unwrap() + "\nFROM release AS test\n";
    context.write("Dockerfile", &dockerfile);
    context.write("other.Dockerfile", &dockerfile);
    context.write("DIR/hello.txt", "hello\n");
    std::fs::copy(bed().rootfs(), context.join("DIR/rootfs.tar")).unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut count = 0;
    for command in PAGES.iter().flat_map(|page| commands(page)) {
        let args: Vec<_> = command.split_whitespace().collect();
        Dagger::new(context.path(), &args)
            .env("BUILDKIT_HOST", &bed().unix(Engine::Http))
            .env("XDG_STATE_HOME", &state.path().display().to_string())
            .with_collector()
            .run()
            .expect(0);
        count += 1;
    }
    assert!(count >= 8, "only {count} commands were found");
}

#[test]
fn every_command_about_engines_runs() {
    let _one = crate::default_order::container();
    let context = Context::three_stages("docs-engines");
    for command in ENGINE_PAGES.iter().flat_map(|page| commands(page)) {
        let args: Vec<_> = command.split_whitespace().collect();
        Dagger::new(context.path(), &args)
            .env("DOCKER_HOST", &engines().fact("/dockerd/host"))
            .run()
            .expect(0);
    }
}
