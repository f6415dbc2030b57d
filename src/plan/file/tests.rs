//! What a plan file may say, and how it is told what it may not.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::plan::PlanError;

pub(super) fn load_as(
    name: &str,
    text: &str,
    with: &[(&str, &str)],
) -> Result<PlanFile, PlanError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(name), text).unwrap();
    for directory in ["src", "app"] {
        std::fs::create_dir(dir.path().join(directory)).unwrap();
        let dockerfile = dir.path().join(directory).join("Dockerfile");
        std::fs::write(dockerfile, "FROM scratch").unwrap();
    }
    std::fs::write(dir.path().join("Dockerfile"), "FROM scratch").unwrap();
    let with: Vec<_> = with
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let given = Given {
        cwd: dir.path(),
        plan: None,
        project: None,
        with: &with,
        env: &|name| (name == "CI").then(|| "yes".to_owned()),
        cue: &|_: &Path| Err("no cue".into()),
    };
    PlanFile::load(given).map(Option::unwrap)
}

fn load(text: &str) -> PlanFile {
    load_as("dagger.yaml", text, &[]).unwrap()
}

/// The fault as it is shown, and its help.
fn fault(text: &str) -> String {
    match load_as("dagger.yaml", text, &[]) {
        Err(error @ PlanError::File(_)) => format!("{error}\n  help: {}", error.help()),
        other => panic!("{other:?}"),
    }
}

const HEAD: &str = "version: 1\nactions:\n  base: { image: a }\n";

fn with_head(rest: &str) -> String {
    format!("{HEAD}{rest}")
}

#[test]
fn all_formats_say_the_same() {
    let yaml = "version: 1\nargs: {v: 1}\nactions:\n  base: {image: 'a:${args.v}'}\n  test:\n    from: base\n    run: [make, test]\n    env: {CI: '${env.CI}'}\n";
    let json = r#"{"version": 1, "args": {"v": 1}, "actions": {"base": {"image": "a:${args.v}"}, "test": {"from": "base", "run": ["make", "test"], "env": {"CI": "${env.CI}"}}}}"#;
    let toml = "version = 1\n[args]\nv = 1\n[actions.base]\nimage = 'a:${args.v}'\n[actions.test]\nfrom = 'base'\nrun = ['make', 'test']\nenv = {CI = '${env.CI}'}\n";
    let plain = |plan: PlanFile| -> Vec<_> {
        let actions = plan.actions.into_iter();
        actions
            .map(|action| {
                (
                    action.name,
                    serde_json::to_value(action.action).unwrap(),
                    action.needs,
                )
            })
            .collect()
    };
    let [yaml, json, toml] = [
        ("dagger.yaml", yaml),
        ("dagger.json", json),
        ("dagger.toml", toml),
    ]
    .map(|(name, text)| plain(load_as(name, text, &[]).unwrap()));
    assert_eq!(yaml, json);
    assert_eq!(yaml, toml);
    assert_eq!(yaml[0].1["image"], "a:1");
    assert_eq!(yaml[1].1["env"]["CI"], "yes");
    assert_eq!(yaml[1].2, [0]);
}

#[test]
fn a_value_is_set_from_outside() {
    let text = "version: 1\nargs: {v: 1}\nactions: {a: {image: 'x:${args.v}'}}";
    let plan = load_as("dagger.yaml", text, &[("v", "2")]).unwrap();
    assert_eq!(plan.actions[0].action.image.as_ref().unwrap().value, "x:2");
    let error = load_as("dagger.yaml", text, &[("w", "2")]).unwrap_err();
    assert!(error.to_string().contains("no such value"), "{error}");
    assert_eq!(error.help(), "did you mean `v`?");
}

#[test]
fn a_matrix_is_taken_apart() {
    let plan = load(
        "version: 1\nactions:\n  base: {image: a}\n  t:\n    matrix: {os: [x, y], v: [1, 2]}\n    from: base\n    run: 't ${matrix.os} ${matrix.v}'\n  all: {merge: ['t[x,1]', 't[y,2]'], needs: [t]}\n",
    );
    let names: Vec<_> = plan.actions.iter().map(|action| &*action.name).collect();
    assert_eq!(
        names,
        ["base", "t[x,1]", "t[x,2]", "t[y,1]", "t[y,2]", "all"]
    );
    assert_eq!(plan.actions[5].needs, [1, 2, 3, 4]);
    assert_eq!(plan.select(&["t".into()]).unwrap(), [0, 1, 2, 3, 4]);
}

#[test]
fn actions_stand_after_what_they_need() {
    let plan = load(
        "version: 1\nactions:\n  c: {from: b, run: x}\n  b: {from: a, run: x}\n  a: {image: a}\n  d: {image: d}\n",
    );
    let names: Vec<_> = plan.actions.iter().map(|action| &*action.name).collect();
    assert_eq!(names, ["a", "d", "b", "c"]);
    assert_eq!(plan.select(&["b".into()]).unwrap(), [0, 2]);
    insta::assert_snapshot!(plan.graph(GraphFormat::Text));
    insta::assert_snapshot!(plan.graph(GraphFormat::Dot));
    insta::assert_snapshot!(plan.graph(GraphFormat::Mermaid));
}

#[test]
fn every_fault_has_its_place_and_a_hint() {
    let faults = [
        ("unknown key", "  b: { from: base, run: x, wrokdir: /x }\n"),
        (
            "wrong type",
            "  b:\n    from: base\n    run: x\n    env: [a]\n",
        ),
        (
            "a fraction",
            "  b: { from: base, run: x, env: { V: 1.20 } }\n",
        ),
        ("unknown reference", "  b: { from: bsae, run: x }\n"),
        (
            "cycle",
            "  b: { from: c, run: x }\n  c: { from: d, run: x }\n  d: { from: b, run: x }\n",
        ),
        (
            "duplicate output",
            "  b: { from: base, run: x, outputs: [{ local: out }] }\n  c:\n    from: base\n    run: x\n    outputs:\n      - local: ./out\n",
        ),
        (
            "missing secret",
            "  b:\n    from: base\n    run: x\n    mounts:\n      - secret: tokne\n",
        ),
        ("outside", "  b: { local: { path: ../x } }\n"),
        (
            "outside absolute",
            "  b: { from: base, run: x, outputs: [{ tar: /etc/x }] }\n",
        ),
        ("no directory", "  b: { local: { path: nothing } }\n"),
        ("two kinds", "  b: { image: x, run: y }\n"),
        ("no kind", "  b: { env: { A: b } }\n"),
        (
            "unknown word",
            "  b: { from: base, run: x, network: hots }\n",
        ),
        ("no base", "  b: { run: x }\n"),
        (
            "mode",
            "  b: { file: { path: /a, content: '', mode: '9' } }\n",
        ),
        ("platform", "  b: { image: x, platforms: [linux] }\n"),
        (
            "host",
            "  b: { from: base, run: x, hosts: { db: localhost } }\n",
        ),
        (
            "limit",
            "  b: { from: base, run: x, ulimits: { nofile: '9:1' } }\n",
        ),
        (
            "limits of a copy",
            "  b: { copy: { path: a, to: b }, ulimits: { nofile: 9 } }\n",
        ),
        (
            "rights of a build",
            "  b: { build: {}, privileged: true }\n",
        ),
        (
            "unknown secret of a build",
            "  b: { build: { secrets: [tokne] } }\n",
        ),
        (
            "token over ssh",
            "  b: { git: { url: 'git@h:a/b.git', token: t } }\nsecrets: { t: { env: CI } }\n",
        ),
        ("value", "  b: { image: 'x:${args.v}' }\n"),
        ("bad yaml", "  b: { image: [\n"),
    ];
    let told: Vec<_> = faults
        .iter()
        .map(|(what, rest)| format!("# {what}\n{}\n", fault(&with_head(rest))))
        .collect();
    let told = told.join("\n");
    // The project's own path differs from run to run.
    let told = regex::Regex::new("`/[^`]*/(\\.tmp[^`/]*)")
        .unwrap()
        .replace_all(&told, "`PROJECT");
    insta::assert_snapshot!(told);
}

#[test]
fn a_plan_of_another_version_is_told_first() {
    let told = fault("version: 2\nnew_key: x\nactions: {}\n");
    assert!(
        told.starts_with("dagger.yaml:1:10: this program knows version 1"),
        "{told}"
    );
    assert!(fault("actions: {}\n").contains("`version` is missing"));
    assert!(fault("version: 1\nactions: {}\n").contains("no actions"));
}

#[test]
fn a_missing_secret_is_told_before_anything_runs() {
    let plan = load(
        "version: 1\nsecrets: {token: {env: NOPE}, other: {env: CI}}\nactions:\n  a: {image: a}\n  b: {from: a, run: x, mounts: [{secret: token}]}\n  c: {from: a, run: x, mounts: [{secret: other}]}\n",
    );
    let env = |name: &str| (name == "CI").then(|| "yes".to_owned());
    assert!(
        plan.secrets_of(&plan.select(&["c".into()]).unwrap(), &env)
            .unwrap()
            .contains_key("other")
    );
    let error = plan
        .secrets_of(&plan.select(&["b".into()]).unwrap(), &env)
        .unwrap_err();
    insta::assert_snapshot!(error.to_string());
}

#[test]
fn what_is_missing_is_done_without_if_that_is_asked_for() {
    let mut plan = load(
        "version: 1\nsecrets: {no: {env: NOPE}, yes: {env: CI}}\nactions:\n  a: {git: {url: 'https://h/a.git', token: no, header: yes}}\n  b: {from: a, run: x, mounts: [{secret: no}, {secret: yes}]}\n  c: {build: {secrets: [no, yes]}}\n",
    );
    let env = |name: &str| (name == "CI").then(|| "yes".to_owned());
    let all = plan.select(&[]).unwrap();
    assert!(plan.secrets_of(&all, &env).is_err());
    assert_eq!(plan.do_without_missing(&all, &env), ["no"]);
    let used: Vec<_> = plan.secrets_of(&all, &env).unwrap().into_keys().collect();
    assert_eq!(used, ["yes"]);
    let optional: Vec<_> = plan
        .actions
        .iter()
        .flat_map(|one| &one.action.mounts)
        .map(|mount| mount.value.optional)
        .collect();
    assert_eq!(optional, [true, false]);
}

#[test]
fn a_repository_over_ssh_is_fetched_with_an_agent() {
    for (url, full, agent) in [
        (
            "git@h.example:a/b.git",
            Some("ssh://git@h.example/a/b.git"),
            Some("default"),
        ),
        (
            "ssh://git@h.example/b.git",
            Some("ssh://git@h.example/b.git"),
            Some("default"),
        ),
        ("https://h.example/a.git", None, None),
        ("https://me@h.example:8443/a.git", None, None),
        ("h.example/a.git", None, None),
    ] {
        let git = Git {
            url: At {
                value: url.to_owned(),
                ..At::default()
            },
            ..Git::default()
        };
        assert_eq!(git.over_ssh().as_deref(), full, "{url}");
        assert_eq!(git.agent(), agent, "{url}");
    }
}

#[test]
fn the_schema_in_the_docs_is_this_one() {
    let ours = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plan.schema.json");
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
    let good = r#"{"version": 1, "args": {"v": 1}, "actions": {"base": {"image": "a"}, "b": {"from": "base", "run": "x", "copy": {"path": "a", "to": "b"}, "env": {"A": true}}}}"#;
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert!(schema.is_valid(&json(good)));
    for bad in [
        r#"{"version": 2, "actions": {}}"#,
        r#"{"version": 1}"#,
        r#"{"version": 1, "actions": {"a": {"imagee": "x"}}}"#,
        r#"{"version": 1, "actions": {"a": {"env": ["x"]}}}"#,
    ] {
        assert!(!schema.is_valid(&json(bad)), "{bad}");
    }
}

#[test]
fn every_plan_in_the_docs_is_a_good_one() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plan.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let schema = jsonschema::validator_for(&json_schema()).unwrap();
    let mut count = 0;
    for block in docs.split("```yaml\n").skip(1) {
        let text = block.split("```").next().unwrap();
        let plan = load(text);
        assert!(plan.text.contains("version: 1"));
        let json: serde_json::Value = serde_saphyr::from_str(text).unwrap();
        let faults: Vec<_> = schema
            .iter_errors(&json)
            .map(|one| one.to_string())
            .collect();
        assert_eq!(faults, Vec::<String>::new());
        count += 1;
    }
    assert!(count >= 4, "only {count} plans");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_it_panic(text in "(version: 1\nactions:\n)?[ a-z:{}\\[\\]\"'$&*!|>\n-]{0,80}|\\PC{0,60}") {
        for name in ["dagger.yaml", "dagger.toml"] {
            let _ = load_as(name, &text, &[]).map_err(|error| error.to_string());
        }
    }

    #[test]
    fn no_action_makes_it_panic(kind in "(run|image|copy|merge|diff|build|local|matrix|mounts|outputs)", value in "(\\[|\\{)?[a-z:, ${}./-]{0,20}(\\]|\\})?") {
        let _ = load_as("dagger.yaml", &format!("version: 1\nactions:\n  a: {{image: a}}\n  b: {{from: a, {kind}: {value}}}\n"), &[]).map_err(|error| error.to_string());
    }
}
