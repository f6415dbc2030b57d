use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;

/// What the code opens: the fields of each `info_span!`, by its name.
fn opened() -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !is_test(&path) {
                spans_of(&std::fs::read_to_string(path).unwrap(), &mut found);
            }
        }
    }
    found
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests")
}

/// The `info_span!(` of a file, up to its tests.
fn spans_of(text: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    for part in code.split("info_span!(\n").skip(1) {
        let lines: Vec<_> = part
            .lines()
            .take_while(|line| {
                line.trim() != ")"
                    && !line.trim().starts_with(");")
                    && !line.trim().starts_with("))")
            })
            .collect();
        let name = lines
            .iter()
            .find_map(|line| line.trim().strip_prefix('"')?.split('"').next());
        let fields = lines.iter().filter_map(|line| {
            let key = line.trim().split_once(" =")?.0.replace("r#", "");
            let plain = key
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'_');
            (plain && !key.starts_with("otel.")).then_some(key)
        });
        found.insert(name.unwrap().to_owned(), fields.collect());
    }
}

#[test]
fn page_of_the_spans_is_the_one_in_the_docs() {
    assert_eq!(include_str!("../../../docs/spans.md"), markdown());
}

#[test]
fn table_has_every_span_and_field_that_the_code_opens_and_no_other() {
    let table: BTreeMap<_, BTreeSet<_>> = SPANS
        .iter()
        .map(|span| {
            let keys = span.attributes.iter().map(|(key, _)| (*key).to_owned());
            (span.opened_as.to_owned(), keys.collect())
        })
        .collect();
    assert_eq!(table, opened());
}
