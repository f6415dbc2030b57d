//! What a run is of: the pipeline and the commit, by OpenTelemetry's conventions (`cicd.*`, `vcs.*`).
//!
//! From the variables of GitHub, GitLab, Jenkins and Buildkite; on a plain checkout from the files of git,
//! without running it. Nothing here is required: what cannot be known is left out.

use std::path::{Path, PathBuf};

use crate::trace::model::{Attributes, Value};

/// Looks up a variable that is set and not empty.
type Var<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Directories looked at, from the working directory upwards, for git's.
const LEVELS: usize = 64;

/// Bytes of a file of git's that are read.
const FILE_BYTES: u64 = 4 << 20;

/// The attributes of a run in this directory.
pub fn attributes(var: Var<'_>, directory: &Path) -> Attributes {
    let pairs = github(var)
        .or_else(|| gitlab(var))
        .or_else(|| buildkite(var))
        .or_else(|| jenkins(var))
        .unwrap_or_else(|| git(directory));
    pairs
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), Value::Str(value?))))
        .collect()
}

type Pairs = Vec<(&'static str, Option<String>)>;

fn github(var: Var<'_>) -> Option<Pairs> {
    var("GITHUB_ACTIONS").filter(|value| value == "true")?;
    let repository = var("GITHUB_REPOSITORY");
    let (owner, name) = split(repository.as_deref());
    let url = repository
        .and_then(|repository| Some(format!("{}/{repository}", var("GITHUB_SERVER_URL")?)));
    let run = var("GITHUB_RUN_ID");
    let run_url = url.as_ref().zip(run.as_ref());
    let change = var("GITHUB_REF").and_then(|reference| {
        let number = reference.strip_prefix("refs/pull/")?.split('/').next()?;
        Some(number.to_owned())
    });
    Some(vec![
        ("cicd.pipeline.name", var("GITHUB_WORKFLOW")),
        (
            "cicd.pipeline.run.url.full",
            run_url.map(|(url, run)| format!("{url}/actions/runs/{run}")),
        ),
        ("cicd.pipeline.run.id", run),
        ("cicd.pipeline.task.name", var("GITHUB_JOB")),
        ("cicd.worker.name", var("RUNNER_NAME")),
        ("vcs.provider.name", Some("github".to_owned())),
        ("vcs.repository.url.full", url.map(|url| plain(&url))),
        ("vcs.repository.name", name),
        ("vcs.owner.name", owner),
        (
            "vcs.ref.head.name",
            var("GITHUB_HEAD_REF").or_else(|| var("GITHUB_REF_NAME")),
        ),
        ("vcs.ref.head.type", var("GITHUB_REF_TYPE")),
        ("vcs.ref.head.revision", var("GITHUB_SHA")),
        ("vcs.ref.base.name", var("GITHUB_BASE_REF")),
        ("vcs.change.id", change),
    ])
}

fn gitlab(var: Var<'_>) -> Option<Pairs> {
    var("GITLAB_CI")?;
    let tag = var("CI_COMMIT_TAG");
    let kind = if tag.is_some() { "tag" } else { "branch" };
    let branch = var("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME").or_else(|| var("CI_COMMIT_REF_NAME"));
    Some(vec![
        (
            "cicd.pipeline.name",
            var("CI_PIPELINE_NAME").or_else(|| var("CI_PROJECT_PATH")),
        ),
        ("cicd.pipeline.run.id", var("CI_PIPELINE_ID")),
        (
            "cicd.pipeline.run.url.full",
            var("CI_PIPELINE_URL").map(|url| plain(&url)),
        ),
        ("cicd.pipeline.task.name", var("CI_JOB_NAME")),
        ("cicd.pipeline.task.run.id", var("CI_JOB_ID")),
        (
            "cicd.pipeline.task.run.url.full",
            var("CI_JOB_URL").map(|url| plain(&url)),
        ),
        ("cicd.worker.name", var("CI_RUNNER_DESCRIPTION")),
        ("vcs.provider.name", Some("gitlab".to_owned())),
        (
            "vcs.repository.url.full",
            var("CI_PROJECT_URL").map(|url| plain(&url)),
        ),
        ("vcs.repository.name", var("CI_PROJECT_NAME")),
        ("vcs.owner.name", var("CI_PROJECT_NAMESPACE")),
        ("vcs.ref.head.name", tag.or(branch)),
        ("vcs.ref.head.type", Some(kind.to_owned())),
        ("vcs.ref.head.revision", var("CI_COMMIT_SHA")),
        (
            "vcs.ref.base.name",
            var("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
        ),
        ("vcs.change.id", var("CI_MERGE_REQUEST_IID")),
    ])
}

fn buildkite(var: Var<'_>) -> Option<Pairs> {
    var("BUILDKITE")?;
    let tag = var("BUILDKITE_TAG");
    let kind = if tag.is_some() { "tag" } else { "branch" };
    let no = |value: &String| value != "false";
    Some(vec![
        ("cicd.pipeline.name", var("BUILDKITE_PIPELINE_SLUG")),
        ("cicd.pipeline.run.id", var("BUILDKITE_BUILD_ID")),
        (
            "cicd.pipeline.run.url.full",
            var("BUILDKITE_BUILD_URL").map(|url| plain(&url)),
        ),
        (
            "cicd.pipeline.task.name",
            var("BUILDKITE_LABEL").or_else(|| var("BUILDKITE_STEP_KEY")),
        ),
        ("cicd.pipeline.task.run.id", var("BUILDKITE_JOB_ID")),
        ("cicd.worker.name", var("BUILDKITE_AGENT_NAME")),
        (
            "vcs.repository.url.full",
            var("BUILDKITE_REPO").map(|url| plain(&url)),
        ),
        ("vcs.ref.head.name", tag.or_else(|| var("BUILDKITE_BRANCH"))),
        ("vcs.ref.head.type", Some(kind.to_owned())),
        ("vcs.ref.head.revision", var("BUILDKITE_COMMIT")),
        (
            "vcs.ref.base.name",
            var("BUILDKITE_PULL_REQUEST_BASE_BRANCH"),
        ),
        ("vcs.change.id", var("BUILDKITE_PULL_REQUEST").filter(no)),
    ])
}

fn jenkins(var: Var<'_>) -> Option<Pairs> {
    var("JENKINS_URL")?;
    let branch = var("CHANGE_BRANCH")
        .or_else(|| var("BRANCH_NAME"))
        .or_else(|| var("GIT_BRANCH"));
    Some(vec![
        ("cicd.pipeline.name", var("JOB_NAME")),
        ("cicd.pipeline.run.id", var("BUILD_NUMBER")),
        (
            "cicd.pipeline.run.url.full",
            var("BUILD_URL").map(|url| plain(&url)),
        ),
        ("cicd.pipeline.task.name", var("STAGE_NAME")),
        ("cicd.worker.name", var("NODE_NAME")),
        (
            "vcs.repository.url.full",
            var("GIT_URL").map(|url| plain(&url)),
        ),
        ("vcs.ref.head.name", var("TAG_NAME").or(branch)),
        ("vcs.ref.head.revision", var("GIT_COMMIT")),
        ("vcs.ref.base.name", var("CHANGE_TARGET")),
        ("vcs.change.id", var("CHANGE_ID")),
    ])
}

fn split(repository: Option<&str>) -> (Option<String>, Option<String>) {
    match repository.and_then(|repository| repository.split_once('/')) {
        Some((owner, name)) => (Some(owner.to_owned()), Some(name.to_owned())),
        None => (None, None),
    }
}

/// A repository's address without user and password.
fn plain(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// What the files of git say (gitrepository-layout(5)).
fn git(directory: &Path) -> Pairs {
    let found = directory
        .ancestors()
        .take(LEVELS)
        .find_map(|above| git_dir(&above.join(".git")));
    let Some(git) = found else {
        return Vec::new();
    };
    // Of a linked worktree, branches and configuration are with the main one.
    let common = match text(&git.join("commondir")) {
        Some(path) => git.join(path.trim()),
        None => git.clone(),
    };
    let head = text(&git.join("HEAD")).unwrap_or_default();
    let (name, revision) = match head.trim().strip_prefix("ref: ") {
        Some(reference) => (
            reference.strip_prefix("refs/heads/").map(str::to_owned),
            revision(&common, reference),
        ),
        None => (None, hex(head.trim())),
    };
    let kind = name.as_ref().map(|_| "branch".to_owned());
    let remote = text(&common.join("config")).and_then(|config| origin(&config));
    vec![
        ("vcs.repository.url.full", remote.map(|url| plain(&url))),
        ("vcs.ref.head.name", name),
        ("vcs.ref.head.type", kind),
        ("vcs.ref.head.revision", revision),
    ]
}

/// The directory behind `.git`, which of a linked worktree is a file.
fn git_dir(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let text = text(path)?;
    let target = text.trim().strip_prefix("gitdir: ")?;
    Some(path.parent()?.join(target))
}

/// The commit that a reference names.
fn revision(git: &Path, reference: &str) -> Option<String> {
    if reference.split('/').any(|part| part == "..") {
        return None;
    }
    let loose = text(&git.join(reference)).and_then(|text| hex(text.trim()));
    loose.or_else(|| {
        let packed = text(&git.join("packed-refs"))?;
        packed.lines().find_map(|line| {
            let (revision, name) = line.split_once(' ')?;
            (name == reference).then(|| hex(revision)).flatten()
        })
    })
}

fn hex(text: &str) -> Option<String> {
    let plain = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| text.to_owned())
}

/// The address of the remote `origin`.
fn origin(config: &str) -> Option<String> {
    let mut inside = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[remote \"origin\"]";
        } else if let (true, Some((key, value))) = (inside, line.split_once('='))
            && key.trim() == "url"
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

fn text(path: &Path) -> Option<String> {
    use std::io::Read;
    let file = std::fs::File::open(path).ok()?;
    // A pipe would block for ever.
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(FILE_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(vars: &[(&str, &str)], directory: &Path) -> Vec<String> {
        let var = |name: &str| {
            let found = vars.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let attributes = attributes(&var, directory);
        attributes
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect()
    }

    #[test]
    fn githubs_variables_become_attributes() {
        let vars = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_RUN_ID", "7"),
            ("GITHUB_REF", "refs/pull/12/merge"),
            ("GITHUB_HEAD_REF", "topic"),
        ];
        assert_eq!(
            of(&vars, Path::new("/nowhere")),
            [
                "cicd.pipeline.run.url.full=https://github.com/o/r/actions/runs/7",
                "cicd.pipeline.run.id=7",
                "vcs.provider.name=github",
                "vcs.repository.url.full=https://github.com/o/r",
                "vcs.repository.name=r",
                "vcs.owner.name=o",
                "vcs.ref.head.name=topic",
                "vcs.change.id=12",
            ]
        );
    }

    #[test]
    fn the_other_systems_say_which_commit_and_no_password() {
        let commit = "vcs.ref.head.revision=abc".to_owned();
        for (on, variable, url) in [
            ("GITLAB_CI", "CI_COMMIT_SHA", "CI_PROJECT_URL"),
            ("BUILDKITE", "BUILDKITE_COMMIT", "BUILDKITE_REPO"),
            ("JENKINS_URL", "GIT_COMMIT", "GIT_URL"),
        ] {
            let vars = [
                (on, "true"),
                (variable, "abc"),
                (url, "https://me:secret@h/p@1.git"),
            ];
            let found = of(&vars, Path::new("/nowhere"));
            assert!(found.contains(&commit), "{on}: {found:?}");
            let repository = "vcs.repository.url.full=https://h/p@1.git".to_owned();
            assert!(found.contains(&repository), "{on}: {found:?}");
        }
    }

    #[test]
    fn a_plain_checkout_is_read_without_git() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let revision = "0123456789abcdef0123456789abcdef01234567";
        write(".git/HEAD", "ref: refs/heads/a/b\n");
        write(
            ".git/packed-refs",
            &format!("# pack-refs\n{revision} refs/heads/a/b\n"),
        );
        write(
            ".git/config",
            "[core]\n\turl = no\n[remote \"origin\"]\n\turl = https://t:k@h/r.git\n",
        );
        write("sub/file", "");
        let expected = [
            "vcs.repository.url.full=https://h/r.git".to_owned(),
            "vcs.ref.head.name=a/b".to_owned(),
            "vcs.ref.head.type=branch".to_owned(),
            format!("vcs.ref.head.revision={revision}"),
        ];
        assert_eq!(of(&[], &dir.path().join("sub")), expected);
        write(".git/HEAD", revision);
        assert_eq!(of(&[], dir.path())[1..], expected[3..]);
    }
}
