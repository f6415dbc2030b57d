//! The arrows between the rooms of `src/` are those of the design's table, and no others.
#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A room and the rooms it may use: the table in `docs/design.md`. `cli` may use everything.
const TABLE: [(&str, &[&str]); 14] = [
    ("proto", &[]),
    ("document", &[]),
    ("plan", &["document"]),
    ("llb", &["proto"]),
    ("engine", &["buildkit"]),
    ("buildkit", &["proto"]),
    ("session", &["proto"]),
    (
        "solve",
        &["plan", "llb", "buildkit", "session", "progress", "proto"],
    ),
    ("progress", &[]),
    ("telemetry", &["trace", "proto"]),
    ("trace", &["proto"]),
    ("verify", &["trace", "document"]),
    ("viewer", &["trace", "verify", "proto"]),
    ("cli", &["*"]),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The rooms that a source names after `crate::`.
fn used(text: &str) -> Vec<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    let rooms = code
        .split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => group
                .split('}')
                .next()
                .unwrap_or_default()
                .split(',')
                .map(room)
                .collect::<Vec<_>>(),
            None => vec![room(rest)],
        });
    rooms.filter(|room| !room.is_empty()).collect()
}

fn room(path: &str) -> String {
    path.trim_start()
        .chars()
        .take_while(|letter| letter.is_ascii_lowercase() || *letter == '_')
        .collect()
}

#[test]
fn every_arrow_is_in_the_table() {
    let table: BTreeMap<_, _> = TABLE.into_iter().collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    for file in &files {
        let inside = file.strip_prefix(&src).expect("under src");
        let mut parts = inside
            .components()
            .map(|part| part.as_os_str().to_string_lossy());
        let (Some(room), Some(_)) = (parts.next(), parts.next()) else {
            continue;
        };
        let Some(may) = table.get(&*room) else {
            wrong.push(format!("{room}/ is not in the table"));
            continue;
        };
        for other in used(&std::fs::read_to_string(file).expect("a source")) {
            let known = table.contains_key(other.as_str());
            if known && other != *room && !may.contains(&"*") && !may.contains(&other.as_str()) {
                wrong.push(format!("{} uses {other}/", inside.display()));
            }
        }
    }
    assert!(files.len() > 20, "the sources were not found");
    assert!(
        wrong.is_empty(),
        "arrows that the design does not have:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn opentelemetry_stays_inside_telemetry() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    for file in files
        .iter()
        .filter(|file| !file.starts_with(src.join("telemetry")))
    {
        let text = std::fs::read_to_string(file).expect("a source");
        assert!(
            !text.contains("use opentelemetry"),
            "{} imports opentelemetry",
            file.display()
        );
    }
}

#[test]
fn a_planted_arrow_is_seen() {
    assert_eq!(
        used("use crate::verify::x;\n// crate::cli\nfn f() { crate::{plan::A, solve}; }"),
        ["verify", "plan", "solve"]
    );
}
