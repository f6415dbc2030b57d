//! The table in `docs/rules.md` that says of each rule how it was seen at work is true.

use std::path::Path;

use dagger::verify::rules::RULES;

/// A row of the table: the rule, its mutation, the real fault.
fn rows() -> Vec<[String; 3]> {
    let page = read("docs/rules.md");
    let (_, table) = page.split_once("| id | mutation | real fault |\n").unwrap();
    let rows = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells = line.trim_matches('|').split(" | ");
        let cells: Vec<_> = cells.map(|cell| cell.trim().to_owned()).collect();
        cells.try_into().unwrap()
    })
    .collect()
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The source of a test that is named by its path (`file::test` or `folder::file::test`).
fn source_of(test: &str) -> String {
    let (module, name) = test.rsplit_once("::").unwrap();
    let source = read(&format!("tests/e2e/{}.rs", module.replace("::", "/")));
    let (_, body) = source
        .split_once(&format!("fn {name}("))
        .unwrap_or_else(|| panic!("{module} has no test {name}"));
    let end = body.find("\n}\n").unwrap();
    body[..end].to_owned()
}

#[test]
fn each_rule_has_a_mutation_and_a_test_that_shows_it_or_says_why_not() {
    let ids: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
    let rows = rows();
    assert_eq!(rows.iter().map(|[id, ..]| id).collect::<Vec<_>>(), ids);
    let mutations = read("src/verify/tests.rs");
    for [id, mutation, fault] in &rows {
        let (_, after) = mutations
            .split_once(&format!("breaks: \"{mutation}\""))
            .unwrap_or_else(|| panic!("no mutation `{mutation}`"));
        let (_, tells) = after.split_once("tells: ").unwrap();
        let (tells, _) = tells.split_once(']').unwrap();
        assert!(
            tells.contains(&format!("\"{id}\"")),
            "`{mutation}` tells {tells}"
        );

        let named = fault.split('`').filter(|text| text.contains("::"));
        let tests: Vec<_> = named.collect();
        if let Some((_, why)) = fault.split_once("not seen: ") {
            assert!(tests.is_empty() && why.len() > 40, "{id}: {fault}");
            continue;
        }
        assert!(!tests.is_empty(), "{id}: {fault}");
        let word = format!("\"{id}\"");
        // One of them says the rule's name.
        assert!(
            tests.iter().any(|test| source_of(test).contains(&word)),
            "{id}: {tests:?}"
        );
    }
}
