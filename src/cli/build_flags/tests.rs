use super::*;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    flags: BuildFlags,
}

fn env(dir: &std::path::Path) -> Env {
    Env {
        var: Box::new(|key| (key == "SET").then(|| "hunter2".to_owned())),
        program: None,
        cwd: dir.into(),
        stderr_is_terminal: false,
        stdout_is_terminal: false,
        terminal_size: || None,
    }
}

fn read(args: &[&str]) -> Result<Asked, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    std::fs::write(dir.path().join("f"), "x").unwrap();
    let line = Line::try_parse_from(["x"].iter().chain(args)).map_err(|e| e.to_string())?;
    line.flags
        .read(&env(dir.path()))
        .map_err(|failure| format!("{failure}; {}", failure.help().unwrap_or_default()))
}

#[test]
fn flags_become_the_frontends_attributes() {
    let asked = read(&[
        "--label=a=b",
        "--add-host=h:127.0.0.1",
        "--add-host=i=::1",
        "--network=none",
        "--shm-size=1k",
        "--ulimit=nofile=1:2",
        "--cgroup-parent=g",
        "--pull",
        "--sbom",
        "--provenance=mode=max",
        "--attest=type=provenance,mode=min",
        "--build-context=lib=d",
        "--build-context=base=docker-image://x",
    ])
    .unwrap();
    let attrs: Vec<_> = asked
        .options
        .attrs
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(
        attrs,
        [
            "add-hosts=h=127.0.0.1,i=::1",
            "attest:provenance=mode=max",
            "attest:sbom=",
            "cgroup-parent=g",
            "context:base=docker-image://x",
            "context:lib=local:lib",
            "force-network-mode=none",
            "image-resolve-mode=pull",
            "label:a=b",
            "shm-size=1024",
            "ulimit=nofile=1:2",
        ]
    );
    assert_eq!(asked.locals.len(), 1);
}

#[test]
fn no_cache_is_for_all_stages_or_some() {
    let stages = |args: &[&str]| read(args).unwrap().options.no_cache;
    assert_eq!(stages(&[]), None);
    assert_eq!(stages(&["--no-cache"]), Some(vec![]));
    assert_eq!(
        stages(&["--no-cache=a,b"]),
        Some(vec!["a".into(), "b".into()])
    );
    assert_eq!(stages(&["--no-cache-filter=a"]), Some(vec!["a".into()]));
}

#[test]
fn what_is_wrong_is_named() {
    for (args, message) in [
        (
            ["--secret=id=x,scr=f"].as_slice(),
            "unknown field `scr`; did you mean `src`?",
        ),
        (&["--secret=src=f"], "the field `id` is missing"),
        (
            &["--secret=id=x,env=UNSET"],
            "the variable `UNSET` is not set",
        ),
        (&["--secret=id=x,src=none"], "there is no file `none`"),
        (&["--ssh=default"], "SSH_AUTH_SOCK is not set"),
        (&["--ssh=k=none"], "there is no `"),
        (&["--network=hots"], "did you mean `host`?"),
        (&["--shm-size=x"], "is no size"),
        (&["--ulimit=nofile"], "is no limit"),
        (&["--add-host=h:x"], "`x` is no address"),
        (&["--allow=network.hots"], "did you mean `network.host`?"),
        (&["--attest=type=sbon"], "did you mean `sbom`?"),
        (
            &["--cache-to=type=regitry,ref=x"],
            "did you mean `registry`?",
        ),
        (
            &["--cache-to=type=local,src=x"],
            "the field `dest` is missing",
        ),
        (
            &["--cache-from=type=s3,bucket=b,secret_acces_key=hunter2"],
            "did you mean `secret_access_key`?",
        ),
        (&["--build-context=x=nowhere"], "is no directory"),
        (&["--build-context=x=oci-layout://d"], "cannot read"),
    ] {
        let error = read(args).unwrap_err();
        assert!(error.contains(message), "{args:?}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn force_leaves_out_what_is_not_there() {
    let args = [
        "--force",
        "--secret=id=x,env=UNSET",
        "--ssh=default",
        "--build-context=x=no",
    ];
    assert!(read(&args).unwrap().locals.is_empty());
}

#[test]
fn no_secret_is_in_what_was_asked() {
    let asked = read(&["--secret=id=x,env=SET", "--secret=id=SET"]).unwrap();
    assert!(!format!("{asked:?}").contains("hunter2"));
}
