//! Every `dagger` command in the documentation works as it is written.

use std::path::Path;

use crate::support::{Context, Dagger, Engine, bed, engines};

/// Pages with commands, each in a block indented by four blanks.
const PAGES: [&str; 6] = [
    "README.md",
    "docs/start.md",
    "docs/ci.md",
    "docs/history.md",
    "docs/troubleshooting.md",
    // Writes a file that later commands would read.
    "docs/expectations.md",
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

/// What a user sees, as the page on troubleshooting quotes it, and how it comes about: arguments,
/// variables, exit code.
type Symptom = (
    &'static str,
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
    i32,
);

const NOWHERE: (&str, &str) = ("OTEL_EXPORTER_JAEGER_ENDPOINT", "");
const REFUSED: (&str, &str) = (
    "OTEL_EXPORTER_JAEGER_ENDPOINT",
    "http://127.0.0.1:1/api/traces",
);

/// In this order: the later ones find what the earlier ones left.
const SYMPTOMS: [Symptom; 10] = [
    (
        "cannot connect to `unix:///nowhere.sock`",
        &["up"],
        &[("BUILDKIT_HOST", "unix:///nowhere.sock")],
        3,
    ),
    (
        "has no scheme",
        &["up"],
        &[("BUILDKIT_HOST", "localhost:1234")],
        2,
    ),
    (
        "no Dockerfile at",
        &["up", "--file", "none.Dockerfile"],
        &[],
        2,
    ),
    ("cannot read the context", &["up", "nodir"], &[], 2),
    ("spans go nowhere", &["doctor"], &[NOWHERE], 0),
    (
        "did not reach",
        &["up", "--daemon-spans", "skip"],
        &[REFUSED],
        0,
    ),
    (
        "no variable names it now",
        &["trace", "push"],
        &[NOWHERE],
        4,
    ),
    // Its spans are in no Jaeger, and no daemon has any of it.
    (
        "nothing listens there",
        &["up"],
        &[("BUILDKIT_HOST", "tcp://127.0.0.1:1"), REFUSED],
        3,
    ),
    (
        "the trace is not in Jaeger",
        &["trace", "verify", "--timeout", "1s"],
        &[],
        4,
    ),
    (
        "cannot reach Jaeger at",
        &["trace", "verify", "--timeout", "1s"],
        &[("JAEGER_QUERY_URL", "http://127.0.0.1:1")],
        4,
    ),
];

#[test]
fn every_symptom_of_troubleshooting_is_real() {
    let context = Context::three_stages("docs-symptoms");
    let state = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/troubleshooting.md")).unwrap();
    for (text, args, vars, code) in SYMPTOMS {
        assert!(page.contains(text), "the page does not quote {text:?}");
        let mut dagger = Dagger::new(context.path(), args)
            .env("BUILDKIT_HOST", &bed().unix(Engine::Http))
            .env("XDG_STATE_HOME", &state.path().display().to_string())
            .with_collector();
        for (key, value) in vars {
            dagger = dagger.env(key, value);
        }
        let ran = dagger.run().expect(code);
        let said = ran.stdout + &ran.stderr;
        assert!(said.contains(text), "{args:?} {vars:?}: {said}");
    }
}

/// The pages, and the folders where they are.
fn pages() -> Vec<std::path::PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![
        root.join("README.md"),
        root.join("CHANGELOG.md"),
        root.join("fuzz/README.md"),
        root.join("tests/testbed/README.md"),
        root.join("tests/browser/README.md"),
    ];
    for folder in ["docs", "docs/adr", "dashboards", "examples"] {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        found.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    found
}

/// What a page links to or shows, in Markdown or in HTML, but for other sites.
fn targets(text: &str) -> Vec<&str> {
    let markdown = text.split("](").skip(1).map(|rest| (rest, &[')', ' '][..]));
    let html = ["src=\"", "srcset=\"", "href=\""].into_iter();
    let html = html.flat_map(|start| text.split(start).skip(1).map(|rest| (rest, &['"'][..])));
    let targets = markdown.chain(html);
    let targets = targets.map(|(rest, end)| rest.split(end).next().unwrap_or_default());
    targets.filter(|target| !target.contains("://")).collect()
}

/// What a page's headings are called in links, as GitHub makes it.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |letter: char| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
        _ => None,
    };
    headings
        .map(|line| line.trim_start_matches('#').trim().chars())
        .map(|heading| heading.filter_map(kept).collect())
        .collect()
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut count = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in targets(&text) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let shown = page.display();
            assert!(path.exists(), "{shown} links to {target}");
            if !anchor.is_empty() {
                let there = anchors(&std::fs::read_to_string(&path).unwrap());
                assert!(
                    there.iter().any(|heading| heading == anchor),
                    "{shown} links to {target}; there are {there:?}"
                );
            }
            count += 1;
        }
    }
    assert!(count >= 100, "only {count} links were found");
}

#[test]
fn the_readme_shows_on_its_first_screen_what_it_is_and_how_to_try_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert!(text.lines().count() < 120);
    let first: Vec<&str> = text.lines().take(30).collect();
    let first = first.join("\n");
    for there in ["build harness", "    make demo ", "    make test ", "<img "] {
        assert!(first.contains(there), "{there:?} is not in:\n{first}");
    }
}

#[test]
fn every_picture_is_on_a_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts: Vec<String> = pages()
        .iter()
        .map(|page| std::fs::read_to_string(page).unwrap())
        .collect();
    for entry in std::fs::read_dir(root.join("docs/images")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let picture = name.ends_with(".svg") || name.ends_with(".png");
        assert!(
            !picture
                || texts
                    .iter()
                    .any(|text| text.contains(&format!("images/{name}\""))),
            "{name} is on no page"
        );
    }
}
