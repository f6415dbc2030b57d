//! The recipes of `docs/ci.md` for GitLab and for a plain shell: their scripts run as they stand there.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde::Deserialize;

use crate::support::{Context, Engine, bed};

/// A job, with all that the recipe may say; what else stands there is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    image: String,
    services: Vec<Service>,
    variables: BTreeMap<String, String>,
    script: Vec<String>,
    artifacts: Artifacts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    name: String,
    alias: String,
    #[serde(default)]
    command: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Artifacts {
    when: String,
    paths: Vec<String>,
    reports: BTreeMap<String, String>,
}

/// The block of this language under this heading.
fn block(heading: &str, language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (_, part) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let part = part.split("\n## ").next().unwrap();
    let (_, block) = part.split_once(&format!("```{language}\n")).unwrap();
    block.split("```").next().unwrap().to_owned()
}

fn gitlab() -> Job {
    let jobs: BTreeMap<String, Job> = serde_saphyr::from_str(&block("GitLab", "yaml")).unwrap();
    jobs.into_values().next().unwrap()
}

/// Runs a script in `dir`, with `dagger` on the path and nothing else of this process.
fn run(shell: &[&str], script: &str, dir: &Path, vars: &[(&str, String)]) -> Output {
    let dagger = Path::new(env!("CARGO_BIN_EXE_dagger")).parent().unwrap();
    let file = dir.join("script");
    std::fs::write(&file, script).unwrap();
    Command::new(shell[0])
        .args(&shell[1..])
        .arg(&file)
        .current_dir(dir)
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", dagger.display()))
        .env("HOME", dir)
        .env("XDG_STATE_HOME", dir.join("state"))
        .envs(vars.iter().map(|(key, value)| (*key, value.as_str())))
        .output()
        .unwrap()
}

#[test]
fn the_job_for_gitlab_names_its_services_as_its_variables_do() {
    let job = gitlab();
    assert!(!job.image.is_empty());
    let urls = job.variables.values().filter(|value| value.contains("://"));
    let mut hosts: Vec<&str> = urls
        .map(|url| url.split("://").nth(1).unwrap().split(':').next().unwrap())
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    let aliases: Vec<&str> = job
        .services
        .iter()
        .map(|service| service.alias.as_str())
        .collect();
    assert_eq!(hosts, ["buildkitd", "jaeger"]);
    assert!(
        hosts.iter().all(|host| aliases.contains(host)),
        "{aliases:?}"
    );
    let daemon = &job.services[aliases
        .iter()
        .position(|name| *name == "buildkitd")
        .unwrap()];
    assert_eq!(daemon.name, "moby/buildkit");
    // The port where the daemon listens is the one that is dialled.
    assert!(daemon.command[1].ends_with(":1234"));
    assert!(job.variables["BUILDKIT_HOST"].ends_with(":1234"));
    assert_eq!(job.artifacts.when, "always");
    assert_eq!(
        job.artifacts.paths,
        [job.artifacts.reports["junit"].clone()]
    );
}

#[test]
fn the_script_for_gitlab_passes_on_a_good_build_and_fails_where_a_line_of_it_does() {
    let job = gitlab();
    let report = &job.artifacts.reports["junit"];
    // What the services are here. The daemon exports its own spans there too.
    let here = |variable: &str, value: &str| match variable {
        "BUILDKIT_HOST" => bed().tcp(Engine::Http),
        "OTEL_EXPORTER_JAEGER_ENDPOINT" => bed().collector(),
        "JAEGER_QUERY_URL" => bed().query_url(),
        _ => value.to_owned(),
    };
    let vars: Vec<(&str, String)> = job
        .variables
        .iter()
        .map(|(name, value)| (name.as_str(), here(name, value)))
        .collect();
    // GitLab's runner joins the lines into one script for bash.
    let script = job.script.join("\n");
    let shell = ["bash", "-eo", "pipefail"];

    let context = Context::three_stages("gitlab");
    let good = run(&shell, &script, context.path(), &vars);
    assert!(good.status.success(), "{good:#?}");
    let junit = std::fs::read_to_string(context.join(report)).unwrap();
    assert!(
        junit.contains("<testsuite") && !junit.contains("<failure"),
        "{junit}"
    );

    context.write(
        "Dockerfile",
        "FROM scratch AS base\nADD rootfs.tar /\nRUN false\n",
    );
    let failed = run(&shell, &script, context.path(), &vars);
    assert_eq!(failed.status.code(), Some(1), "{failed:#?}");
}

#[test]
fn the_plain_script_keeps_page_and_report_of_good_and_failed_builds() {
    let script = block("Any other, and no Jaeger", "sh");
    let vars = [("BUILDKIT_HOST", bed().unix(Engine::Mute))];
    let context = Context::three_stages("plain-shell");
    let failing = "FROM scratch AS base\nADD rootfs.tar /\nRUN echo plain-shell; false\n";
    for (dockerfile, code) in [(None, 0), (Some(failing), 1)] {
        if let Some(text) = dockerfile {
            context.write("Dockerfile", text);
        }
        let ran = run(&["sh"], &script, context.path(), &vars);
        assert_eq!(ran.status.code(), Some(code), "{ran:#?}");
        for kept in ["trace.xml", "trace.html"] {
            let text = std::fs::read_to_string(context.join(kept)).unwrap();
            assert!(text.len() > 100, "{kept}: {text}");
            std::fs::remove_file(context.join(kept)).unwrap();
        }
    }
}
