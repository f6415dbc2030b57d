//! `action.yml`, the action that wraps `dagger trace verify`: its inputs are flags, and its step's
//! script runs on a real trace as a runner of GitHub Actions runs it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde::Deserialize;

use crate::support::{Context, Dagger, Engine, Finished, bed};

#[derive(Deserialize)]
struct Action {
    inputs: BTreeMap<String, Input>,
    runs: Runs,
}

#[derive(Deserialize)]
struct Input {
    description: String,
    default: String,
}

#[derive(Deserialize)]
struct Runs {
    using: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    shell: String,
    env: BTreeMap<String, String>,
    run: String,
}

fn action() -> Action {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml");
    serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Runs the step after `run`, in the directory of that run, with these inputs.
fn step(run: &Finished, dir: &Path, given: &[(&str, &str)]) -> Output {
    let action = action();
    let step = &action.runs.steps[0];
    let dagger = Path::new(env!("CARGO_BIN_EXE_dagger")).parent().unwrap();
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(script.path(), &step.run).unwrap();
    let mut command = Command::new("bash");
    command
        .args(["--noprofile", "--norc", "-eo", "pipefail"])
        .arg(script.path())
        .current_dir(dir)
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", dagger.display()))
        .env("XDG_STATE_HOME", run.state.path())
        .env("JAEGER_QUERY_URL", bed().query_url())
        .env("GITHUB_STEP_SUMMARY", dir.join("summary.md"));
    for (variable, value) in &step.env {
        let input = value.strip_prefix("${{ inputs.").unwrap();
        let input = input.strip_suffix(" }}").unwrap();
        let given = given.iter().find(|(name, _)| *name == input);
        let value = given.map_or(action.inputs[input].default.as_str(), |(_, value)| value);
        command.env(variable, value);
    }
    command.output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

#[test]
fn each_input_is_a_flag_and_reaches_the_script_as_a_variable_only() {
    let action = action();
    assert_eq!(action.runs.using, "composite");
    let dir = tempfile::tempdir().unwrap();
    let help = Dagger::new(dir.path(), &["trace", "verify", "--help"])
        .run()
        .expect(0)
        .stdout;
    for (name, input) in &action.inputs {
        assert!(!input.description.is_empty(), "{name}");
        let elsewhere = ["trace", "working-directory"].contains(&name.as_str());
        let flag = format!("--{name} ");
        let bare = format!("--{name}\n");
        assert!(
            elsewhere || help.contains(&flag) || help.contains(&bare),
            "no flag for the input {name} in:\n{help}"
        );
    }
    for step in &action.runs.steps {
        assert_eq!(step.shell, "bash");
        assert!(!step.run.contains("${{"), "{}", step.run);
        for (variable, value) in &step.env {
            assert!(
                step.run.contains(&format!("${variable}")),
                "{variable} is not used"
            );
            assert!(value.starts_with("${{ inputs."), "{variable}: {value}");
        }
    }
}

#[test]
fn the_step_passes_on_a_whole_trace_and_fails_where_dagger_does() {
    let context = Context::three_stages("ci-action");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .with_collector()
        .run()
        .expect(0);
    let dir = context.path();
    let passed = step(
        &run,
        dir,
        &[
            ("report", "junit=trace.xml\njson=trace.json\n"),
            ("rule", "N001=error\n"),
        ],
    );
    assert_eq!(code(&passed), 0, "{passed:?}");
    let xml = std::fs::read_to_string(dir.join("trace.xml")).unwrap();
    assert!(xml.contains("<testsuite"), "{xml}");
    assert!(dir.join("trace.json").exists());
    let summary = std::fs::read_to_string(dir.join("summary.md")).unwrap();
    assert!(summary.contains(&run.trace()), "{summary}");

    let local = [("local", "true"), ("jaeger-url", "")];
    assert_eq!(code(&step(&run, dir, &local)), 0);

    // A trace that is nowhere, an input that is no switch, and text that wants to be a command.
    let none = [
        ("trace", "0123456789abcdef0123456789abcdef"),
        ("timeout", "1s"),
    ];
    let nowhere = step(&run, dir, &none);
    assert_eq!(code(&nowhere), 4, "{nowhere:?}");
    assert_eq!(code(&step(&run, dir, &[("strict", "yes")])), 2);
    assert_eq!(code(&step(&run, dir, &[("trace", "--help")])), 2);
    let hostile = [("trace", "$(touch made); touch made")];
    assert_eq!(code(&step(&run, dir, &hostile)), 2);
    assert!(!dir.join("made").exists());
}
