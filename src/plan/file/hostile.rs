//! Plan files that are made to hurt: whatever is in them, there is an answer soon, and it says where.

use std::fmt::Write;

use proptest::prelude::*;

use super::tests::load_as;
use crate::plan::PlanError;

const FORMATS: [&str; 3] = ["dagger.yaml", "dagger.json", "dagger.toml"];

/// What is wrong, with its place: the line is one of the file's.
#[track_caller]
fn refused(name: &str, text: &str) -> String {
    match load_as(name, text, &[]) {
        Err(PlanError::File(fault)) => {
            let lines = u32::try_from(text.lines().count()).unwrap();
            assert!(
                fault.at.line <= lines + 1,
                "{:?} of {lines} lines",
                fault.at
            );
            fault.to_string()
        }
        Err(error) => error.to_string(),
        Ok(plan) => panic!("{} actions", plan.actions.len()),
    }
}

/// `HEAD`, then what is repeated `times` times by its number, then `tail`.
fn many(head: &str, times: usize, one: impl Fn(usize) -> String, tail: &str) -> String {
    let all: String = (0..times).map(one).collect();
    format!("{head}{all}{tail}")
}

#[test]
fn aliases_of_aliases_are_not_followed_for_ever() {
    let mut text = "version: 1\nx0: &x0 [a, a, a, a, a, a, a, a, a]\n".to_owned();
    for level in 1..20 {
        let items = vec![format!("*x{}", level - 1); 9].join(", ");
        writeln!(text, "x{level}: &x{level} [{items}]").unwrap();
    }
    refused("dagger.yaml", &text);
}

#[test]
fn a_value_in_itself_is_refused() {
    refused("dagger.yaml", "version: 1\nactions: &a\n  b: *a\n");
}

#[test]
fn deep_values_are_refused_in_every_format() {
    for depth in [100, 10_000, 200_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        refused(
            "dagger.yaml",
            &format!("version: 1\nactions: {open}{close}\n"),
        );
        refused(
            "dagger.yaml",
            &format!("version: 1\nactions: {}", "{a: ".repeat(depth)),
        );
        refused(
            "dagger.yaml",
            &format!("version: 1\nactions: {}", "- ".repeat(depth)),
        );
        refused(
            "dagger.json",
            &format!(r#"{{"version": 1, "actions": {open}{close}}}"#),
        );
        refused(
            "dagger.toml",
            &format!("version = 1\nactions = {open}{close}\n"),
        );
        refused(
            "dagger.toml",
            &format!("version = 1\n[{}a]\n", "a.".repeat(depth)),
        );
        refused(
            "dagger.toml",
            &format!("version = 1\nactions = {}", "{a = ".repeat(depth)),
        );
    }
}

#[test]
fn a_file_of_ten_megabytes_is_not_read() {
    for name in FORMATS {
        let told = refused(name, &"# a long story\n".repeat(700_000));
        assert!(told.contains("larger than 1 MiB"), "{told}");
    }
}

#[test]
fn a_file_as_large_as_is_read_is_answered() {
    let one = |number| format!("  a{number}: {{image: x}}\n");
    let told = refused(
        "dagger.yaml",
        &many("version: 1\nactions:\n", 40_000, one, ""),
    );
    assert!(told.contains("2000"), "{told}");
    // All in one line, whose columns are counted for each value.
    let one = |number| format!("\"a{number}\": {{\"image\": \"x\"}}, ");
    let text = many(
        r#"{"version": 1, "actions": {"#,
        30_000,
        one,
        r#""z": {"image": "x"}}}"#,
    );
    let told = refused("dagger.json", &text);
    assert!(told.contains("2000"), "{told}");
    let one = |number| format!("a{number}={{image=\"\u{e9}\"}},");
    let text = many("version = 1\nactions = {", 45_000, one, "z={image='x'}}\n");
    let told = refused("dagger.toml", &text);
    assert!(told.contains("2000"), "{told}");
    let one = |number| format!("[actions.a{number}]\nimage='x'\n");
    let told = refused("dagger.toml", &many("version = 1\n", 30_000, one, ""));
    assert!(told.contains("2000"), "{told}");
}

#[test]
fn ten_thousand_actions_are_too_many_and_a_chain_of_two_thousand_is_not() {
    let one = |number| format!("  a{number}: {{image: x}}\n");
    let told = refused(
        "dagger.yaml",
        &many("version: 1\nactions:\n", 10_000, one, ""),
    );
    assert!(told.contains("2000"), "{told}");
    // Each needs the one that stands after it.
    let one = |number| format!("  a{number}: {{from: a{}, run: x}}\n", number + 1);
    let text = many(
        "version: 1\nactions:\n",
        1_999,
        one,
        "  a1999: {image: x}\n",
    );
    let plan = load_as("dagger.yaml", &text, &[]).unwrap();
    assert_eq!(plan.actions.len(), 2_000);
    assert_eq!(plan.actions[0].name, "a1999");
}

#[test]
fn a_matrix_of_endless_combinations_is_too_large() {
    let values = (0..100)
        .map(|n| n.to_string())
        .collect::<Vec<_>>()
        .join(",");
    let one = |number| format!("      m{number}: [{values}]\n");
    let text = many(
        "version: 1\nactions:\n  a:\n    image: x\n    matrix:\n",
        30,
        one,
        "",
    );
    let told = refused("dagger.yaml", &text);
    assert!(told.contains("2000"), "{told}");
}

#[test]
fn values_and_matrices_that_make_a_plan_grow_are_bounded() {
    let long = "x".repeat(500_000);
    let text = many(
        &format!("version: 1\nargs: {{ v: {long} }}\nactions:\n  a:\n    image: x\n    env:\n"),
        10_000,
        |number| format!("      E{number}: ${{args.v}}\n"),
        "",
    );
    let told = refused("dagger.yaml", &text);
    assert!(told.contains("32 MiB once its values are put in"), "{told}");
    let values = (0..2_000)
        .map(|n| n.to_string())
        .collect::<Vec<_>>()
        .join(",");
    let text =
        format!("version: 1\nactions:\n  a:\n    image: {long}\n    matrix: {{ m: [{values}] }}\n");
    let told = refused("dagger.yaml", &text);
    assert!(told.contains("32 MiB once its values are put in"), "{told}");
}

#[test]
fn json_is_read_as_other_programs_write_it() {
    let text = "{\n\t\"version\": 1,\n\t\"actions\": {\n\t\t\"a\": {\n\t\t\t\"file\": {\"path\": \"\\/a\\u002fb\", \"content\": \"\\ud83d\\ude00 \\u00e9\"}\n\t\t}\n\t}\n}\n";
    let plan = load_as("dagger.json", text, &[]).unwrap();
    let file = &plan.actions[0].action.file.as_ref().unwrap().0[0];
    assert_eq!((&*file.path, &*file.content), ("/a/b", "\u{1f600} \u{e9}"));
}

#[test]
fn bytes_that_are_no_text_are_told() {
    let dir = tempfile::tempdir().unwrap();
    for name in FORMATS {
        std::fs::write(dir.path().join(name), b"version: 1\n\xff\xfe\x00").unwrap();
        let given = super::Given {
            cwd: dir.path(),
            plan: Some(name.as_ref()),
            project: None,
            with: &[],
            env: &|_| None,
            cue: &|_| Err("no cue".into()),
        };
        let error = super::PlanFile::load(given).unwrap_err();
        assert!(matches!(error, PlanError::Read { .. }), "{error}");
    }
}

/// Pieces of which plans are made, in an order that nobody would write.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "version",
        ": 1",
        " = 1",
        "actions",
        "args",
        ":",
        " ",
        "\n",
        "\n  ",
        "\n    ",
        "a",
        "b",
        "from",
        "run",
        "image",
        "matrix",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"",
        "'",
        "&x ",
        "*x",
        "- ",
        "| ",
        "!!str ",
        "<<",
        "? ",
        "---",
        "...",
        "#",
        "\\u",
        "\t",
        "\r\n",
        "${args.a}",
        "${env.CI:-x}",
        "${",
        "1.5",
        "0x",
        "true",
        "~",
        "\u{1f600}",
        "\u{feff}",
        "[[",
        "]]",
        "'''",
        "\"\"\"",
        "inf",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_is_without_an_answer_and_no_fault_without_a_place(text in pieces(), begun in any::<bool>()) {
        for name in FORMATS {
            let head = match name {
                _ if !begun => "",
                "dagger.toml" => "version = 1\n",
                "dagger.json" => "{\"version\": 1, \"actions\": {\"a\": ",
                _ => "version: 1\nactions:\n  a: ",
            };
            let text = format!("{head}{text}");
            if let Err(PlanError::File(fault)) = load_as(name, &text, &[]) {
                let lines = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
                prop_assert!(fault.at.line <= lines + 1, "{:?} of {text:?}", fault.at);
                prop_assert!(!fault.message.is_empty());
                prop_assert!(fault.at.line > 0, "{fault} of {text:?}");
            }
        }
    }
}
