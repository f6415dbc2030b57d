//! `--call` and `--check`: the frontend is asked, and answers what it answers `buildctl`.

use std::process::Command;

use serde_json::Value;

use crate::support::{Context, Dagger, Engine, bed};

/// With three faults that the checks find.
const DOCKERFILE: &str = "FROM scratch AS base\nADD rootfs.tar /\nENV PATH=/bin\nARG VERSION=1\n\
    from base AS release\nCOPY Dockerfile /x\nCMD echo hi\n";

/// What `buildctl` prints of a subrequest.
fn buildctl(context: &Context, request: &str) -> String {
    let output = Command::new(bed().program("buildctl"))
        .args([
            "--addr",
            &bed().unix(Engine::Mute),
            "build",
            "--progress=quiet",
        ])
        .args([
            "--frontend=dockerfile.v0",
            "--local=context=.",
            "--local=dockerfile=.",
        ])
        .arg(format!("--opt=requestid={request}"))
        .current_dir(context.path())
        .output()
        .expect("buildctl");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn outline_and_targets_are_those_that_buildctl_prints() {
    let context = Context::new(DOCKERFILE);
    for (method, request) in [
        ("outline", "frontend.outline"),
        ("targets", "frontend.targets"),
    ] {
        let call = format!("--call={method}");
        // Outputs of the usual command line are not made.
        let run = Dagger::up(context.path(), Engine::Mute, &[&call, "-o", "local:out"])
            .run()
            .expect(0);
        assert_eq!(
            run.stdout.trim_end(),
            buildctl(&context, request).trim_end()
        );
        assert!(!context.join("out").exists());
    }
    let args = ["--call=outline,format=json", "--target=base"];
    let run = Dagger::up(context.path(), Engine::Mute, &args)
        .run()
        .expect(0);
    let outline: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(outline["name"], "base");
    assert_eq!(outline["args"][0]["name"], "VERSION");
}

#[test]
fn checks_find_faults_and_the_exit_code_says_so() {
    let context = Context::new(DOCKERFILE);
    let run = Dagger::up(context.path(), Engine::Http, &["--check"])
        .with_collector()
        .run()
        .expect(1);
    let (first, rest) = run.stdout.split_once("\n\n").expect("a first line");
    assert_eq!(first, "Check complete, 3 warnings have been found!");
    assert_eq!(rest.trim(), buildctl(&context, "frontend.lint").trim());
    // Its trace is as whole as that of a build.
    run.verify(&[]).expect(0);

    context.write(
        "Dockerfile",
        &DOCKERFILE
            .replace("from", "FROM")
            .replace("echo hi", "[\"hi\"]"),
    );
    let run = Dagger::up(context.path(), Engine::Mute, &["--call=check"])
        .run()
        .expect(0);
    assert_eq!(run.stdout, "Check complete, no warnings found.\n");
}

#[test]
fn what_the_frontend_does_not_know_is_told_by_it() {
    let context = Context::new(DOCKERFILE);
    let run = Dagger::up(context.path(), Engine::Mute, &["--call=frontend.weather"])
        .run()
        .expect(1);
    assert!(
        run.stderr.contains("unsupported request frontend.weather"),
        "{}",
        run.stderr
    );
    let run = Dagger::up(context.path(), Engine::Mute, &["--call=outlin"])
        .run()
        .expect(2);
    assert!(
        run.stderr.contains("did you mean `outline`"),
        "{}",
        run.stderr
    );
    context.write("Dockerfile", "FROM scratch\nNONSENSE\n");
    let run = Dagger::up(context.path(), Engine::Mute, &["--check"])
        .run()
        .expect(1);
    assert!(
        run.stdout.contains("unknown instruction"),
        "{}{}",
        run.stdout,
        run.stderr
    );
}
