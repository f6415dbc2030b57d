//! What a file may say, how it is told what it may not, and what it means.

use std::path::{Path, PathBuf};

use super::*;
use crate::verify::evidence::Tolerance;
use crate::verify::finding::Finding;
use crate::verify::judge::{Judged, judge_with};
use crate::verify::testing::good_build;

/// Writes the files and reads the first of them.
fn load(files: &[(&str, &str)]) -> Result<Expectations, String> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = directory.path().join("repo").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let repository = directory.path().join("repo");
    let (name, _) = files[0];
    let loaded = Expectations::load(&repository.join(name), Path::new(name), &repository);
    loaded.map_err(|fault| {
        let told = fault
            .to_string()
            .replace(&repository.display().to_string(), "REPO");
        if fault.help.is_empty() {
            told
        } else {
            format!("{told}\n  help: {}", fault.help)
        }
    })
}

fn fault(text: &str) -> String {
    load(&[("e.yaml", text)]).unwrap_err()
}

fn judged(text: &str) -> Judged {
    let whole = good_build();
    let expectations = load(&[("e.yaml", &format!("version: 1\n{text}"))]).unwrap();
    let tolerance = Tolerance {
        // 2023-11-14
        now_ns: Some(1_700_000_000_000_000_000),
        ..Tolerance::default()
    };
    let (target, answer) = (whole.target(), whole.answer());
    judge_with(&target, &answer, None, tolerance, &expectations, Vec::new())
}

/// What came of the expectations, a line a finding.
fn held(text: &str) -> String {
    let mut lines = Vec::new();
    for held in judged(text).held {
        match held.outcome {
            Outcome::Skipped(reason) => lines.push(format!("{}: skipped, {reason}", held.name)),
            Outcome::Checked(findings) if findings.is_empty() => {
                lines.push(format!("{}: holds", held.name));
            }
            Outcome::Checked(findings) => {
                for Finding {
                    message,
                    expected,
                    actual,
                    notes,
                    ..
                } in findings
                {
                    let (expected, actual) =
                        (expected.unwrap_or_default(), actual.unwrap_or_default());
                    lines.push(format!("{}: {message} [{expected} | {actual}]", held.name));
                    let notes = notes.iter().filter(|(name, _)| *name == "nearest");
                    lines.extend(notes.map(|(name, text)| format!("  {name}: {text}")));
                }
            }
        }
    }
    lines.join("\n")
}

#[test]
fn faults_are_told_with_their_place_and_what_to_write() {
    let all = [
        "expect: []",
        "version: 2",
        "version: 1\nexpct: []",
        "version: 1\nexpect:\n  - {name: a}",
        "version: 1\nexpect:\n  - {count: 1}",
        "version: 1\nexpect:\n  - {select: 'a[', count: 1}",
        "version: 1\nexpect:\n  - {select: a, count: many}",
        "version: 1\nexpect:\n  - {select: a, duration: {max: <= 5}}",
        "version: 1\nexpect:\n  - {select: a, duration: {maximum: <= 5s}}",
        "version: 1\nexpect:\n  - {order: [a]}",
        "version: 1\nexpect:\n  - {select: a, at_least: 5s}",
        "version: 1\nexpect:\n  - {name: x, select: a}\n  - {name: x, select: b}",
        "version: 1\nrules: {T03: off}",
        "version: 1\nrules: {T003: fatal}",
        "version: 1\nwaivers:\n  - {rule: T012, until: soon, reason: x}",
        "version: 1\nwaivers:\n  - {rule: T012, until: 2027-01-31, reason: ''}",
        "version: 1\nversion: 1",
        "version: 1\nextends: ../x.yaml",
        "version: 1\nextends: e.yaml",
        "version: 1\nbaseline: {from: {runs: 2}, compare: []}",
        "version: 1\nbaseline: {compare: [{select: a, slower: {ratio: much, floor: 1s}}]}",
    ];
    insta::assert_snapshot!(all.map(fault).join("\n\n"));
}

#[test]
fn what_extends_wins_by_name() {
    let base = "version: 1\nname: base\nrules: {P004: error, D002: 'off'}\nexpect:\n  - {name: a, select: x}\n  - {name: b, select: y}\n";
    let own = "version: 1\nextends: ci/base.yaml\nrules: {D002: warn}\nexpect:\n  - {name: b, select: z, severity: warn}\n  - {name: c, select: z}\n";
    let found = load(&[("e.yaml", own), ("ci/base.yaml", base)]).unwrap();
    assert_eq!(found.name.as_deref(), Some("base"));
    let checks: Vec<_> = found
        .checks
        .iter()
        .map(|check| {
            (
                check.name.as_str(),
                check.severity,
                check.place.file.clone(),
            )
        })
        .collect();
    let (ours, theirs) = (PathBuf::from("e.yaml"), PathBuf::from("ci/base.yaml"));
    assert_eq!(
        checks,
        [
            ("a", Severity::Error, theirs),
            ("b", Severity::Warn, ours.clone()),
            ("c", Severity::Error, ours)
        ]
    );
    let levels: Vec<_> = found
        .levels
        .iter()
        .map(|(rule, level)| (rule.id, *level))
        .collect();
    assert_eq!(
        levels,
        [
            ("P004", Some(Severity::Error)),
            ("D002", Some(Severity::Warn))
        ]
    );
}

#[test]
fn files_that_extend_each_other_are_told_as_a_path() {
    let told = load(&[
        ("e.yaml", "version: 1\nextends: b.yaml"),
        ("b.yaml", "version: 1\nextends: e.yaml"),
    ]);
    assert!(told.unwrap_err().contains("e.yaml > b.yaml > e.yaml"));
}

#[test]
fn what_holds_holds() {
    let text = "expect:
  - {name: count, select: connect, count: 1}
  - {name: at least one, select: '*[vertex]', each: {service: dagger}}
  - {name: none, select: nothing, count: 0}
  - {name: lengths, select: '*[vertex]', duration: {min: '>= 0s', max: <= 1h, sum: <= 1h, mean: <= 1h, wall: <= 1h}, self: {max: <= 1h}}
  - {name: ratio, ratio: {of: '*[vertex]:cached', over: '*[vertex]', is: 10%..90%}}
  - {name: order, order: [connect, solve]}
  - {name: overlap, overlap: ['\"dagger up\"', solve], at_least: 1ms}
";
    let told = held(text);
    assert!(told.lines().all(|line| line.ends_with(": holds")), "{told}");
}

#[test]
fn what_does_not_hold_is_told() {
    let text = "expect:
  - {name: nothing matches, select: conect}
  - {name: nothing matches so, select: 'connect[status=error]', each: {kind: internal}, duration: {max: <= 1s}}
  - {name: too many, select: '*[vertex]', count: 1}
  - {name: each, select: '*[vertex]', each: {service: buildkitd, bytes: <= 1MiB}}
  - {name: ratio, ratio: {of: '*[vertex]:cached', over: '*[vertex]', is: '>= 95%'}}
  - {name: of nothing, ratio: {of: a, over: b, is: '>= 95%'}}
  - {name: order, order: [solve, connect]}
  - {name: order of nothing, order: [solve, nothing]}
  - {name: overlap, overlap: [connect, solve]}
budgets:
  - {name: budget, select: '\"dagger up\":root', duration: {max: <= 1ms, p95: <= 1h}}
";
    insta::assert_snapshot!(held(text));
}

#[test]
fn findings_are_waived_until_a_day_and_no_longer() {
    let check = "expect:\n  - {name: one connect, select: connect, count: 5}\n";
    let waived = |until: &str, select: &str| {
        judged(&format!(
            "{check}waivers:\n  - {{rule: one connect, until: {until}, reason: known{select}}}\n"
        ))
    };
    let finding = |judged: &Judged| match &judged.held[0].outcome {
        Outcome::Checked(findings) => findings[0].waived.clone(),
        Outcome::Skipped(_) => None,
    };
    let fresh = waived("2023-11-14", "");
    assert_eq!(finding(&fresh).as_deref(), Some("until 2023-11-14: known"));
    assert_eq!(fresh.held.len(), 1);
    let message = |judged: &Judged| match &judged.held[1].outcome {
        Outcome::Checked(findings) => (findings[0].message.clone(), findings[0].severity),
        Outcome::Skipped(_) => Default::default(),
    };
    let expired = waived("2023-11-13", "");
    assert_eq!(finding(&expired), None);
    let told = "the waiver of one connect ended on 2023-11-13".to_owned();
    assert_eq!(message(&expired), (told, None));
    let unused = waived("2023-11-14", ", select: solve");
    assert_eq!(finding(&unused), None);
    let told = "the waiver of one connect lets nothing pass".to_owned();
    assert_eq!(message(&unused), (told, Some(Severity::Warn)));
}

#[test]
fn rules_have_the_level_of_the_file() {
    let judged = judged("rules: {T003: 'off'}\n");
    assert!(judged.outcomes.iter().all(|(rule, _)| rule.id != "T003"));
}

#[test]
fn the_schema_in_the_docs_is_this_one() {
    let ours = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/trace.expect.schema.json");
    if std::env::var_os("DAGGER_WRITE_SCHEMA").is_some() {
        std::fs::write(&docs, &ours).unwrap();
    }
    let theirs = std::fs::read_to_string(&docs).unwrap_or_default();
    assert!(
        ours == theirs,
        "write it anew with `DAGGER_WRITE_SCHEMA=1 cargo test --lib schema`"
    );
}

#[test]
fn the_schema_takes_what_we_take_and_not_what_we_refuse() {
    let schema = jsonschema::validator_for(&json_schema()).unwrap();
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let good = r#"{"version": 1, "expect": [{"select": "a", "count": 1, "each": {"status": "ok"}, "duration": {"p95": "<= 5s"}}], "waivers": [{"rule": "T012", "until": "2027-01-31", "reason": "x"}]}"#;
    assert!(schema.is_valid(&json(good)));
    for bad in [
        r#"{"version": 2}"#,
        r#"{"version": 1, "expct": []}"#,
        r#"{"version": 1, "expect": [{"select": "a", "duration": {"maximum": "<= 5s"}}]}"#,
        r#"{"version": 1, "waivers": [{"rule": "T012"}]}"#,
    ] {
        assert!(!schema.is_valid(&json(bad)), "{bad}");
        assert!(load(&[("e.yaml", bad)]).is_err(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(version: 1\\n)?(expect|budgets|waivers|rules|extends|baseline)?[-a-z0-9:{}\\[\\], \\n\"'<>=%]{0,60}") {
        let _ = load(&[("e.yaml", &text)]);
    }
}
