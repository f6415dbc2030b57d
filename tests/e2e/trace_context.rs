//! What goes into a build with its trace, and what comes back: context for the steps, spans of their
//! processes, the pipeline, the commit, the plan's digest, and a link for people.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use dagger::trace::model::Span;
use dagger::trace::store::{Run, RunFilter, Store};
use sha2::{Digest, Sha256};

use crate::support::{Context, Dagger, Engine, Finished, bed, span_ids};

fn newest(run: &Finished) -> (Run, Vec<Span>) {
    let store = Store::open_existing(&run.state.path().join("dagger"))
        .unwrap()
        .unwrap();
    let newest = store.runs(&RunFilter::default()).unwrap().remove(0);
    let spans = store.trace(newest.begun.trace).unwrap();
    (newest, spans)
}

#[test]
fn spans_of_processes_in_steps_are_part_of_the_trace() {
    let program = tempfile::tempdir().unwrap();
    let program = program.path().join("step-span");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/step-span.rs");
    let compiled = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "-C",
            "target-feature=+crt-static",
            "-o",
        ])
        .args([&program, &source])
        .status();
    assert!(compiled.unwrap().success());
    for engine in [Engine::Mute, Engine::Http, Engine::Udp] {
        let context = Context::new(&format!(
            "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nCOPY step-span /bin/\nRUN step-span # {engine:?}\n"
        ));
        std::fs::copy(&program, context.join("step-span")).unwrap();
        let run = Dagger::up(context.path(), engine, &[])
            .with_collector()
            .run()
            .expect(0);
        let (_, spans) = newest(&run);
        let own = spans.iter().find(|span| span.service() == "in-step");
        let own = own.expect("the span of the process");
        let parent = spans.iter().find(|span| Some(span.id) == own.parent);
        let parent = parent.expect("its step");
        assert!(parent.name.contains("RUN step-span"), "{}", parent.name);
        assert_eq!(parent.service(), "buildkitd");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let mut found = span_ids(&run.trace());
        while found.len() < spans.len() && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(200));
            found = span_ids(&run.trace());
        }
        let recorded: BTreeSet<_> = spans.iter().map(|span| span.id.to_string()).collect();
        assert_eq!(found.len(), recorded.len(), "{engine:?}");
        assert_eq!(
            found.into_iter().collect::<BTreeSet<_>>(),
            recorded,
            "{engine:?}"
        );
    }
}

#[test]
fn steps_get_the_trace_and_its_state() {
    let context = Context::new("FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN env # state\n");
    let run = Dagger::up(context.path(), Engine::Mute, &["--no-cache"])
        .env(
            "TRACEPARENT",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .env("TRACESTATE", "vendor=value,other=1")
        .run()
        .expect(0);
    assert!(
        run.stderr.contains("TRACESTATE=vendor=value,other=1"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .contains("TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-")
    );
}

#[test]
fn the_plans_digest_is_recorded() {
    let digest = |path: &Path| {
        let bytes = Sha256::digest(std::fs::read(path).unwrap());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("sha256:{hex}"))
    };
    let context = Context::three_stages("digest");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .run()
        .expect(0);
    assert_eq!(
        newest(&run).0.begun.plan_digest,
        digest(&context.join("Dockerfile"))
    );
    context.write(
        "dagger.yaml",
        "version: 1\nactions:\n  one:\n    build: { context: . }\n",
    );
    let run = Dagger::up(context.path(), Engine::Mute, &["one"])
        .run()
        .expect(0);
    assert_eq!(
        newest(&run).0.begun.plan_digest,
        digest(&context.join("dagger.yaml"))
    );
}

#[test]
fn on_github_the_run_says_so_and_its_summary_has_the_link() {
    let context = Context::three_stages("github");
    let summary = context.join("summary.md");
    std::fs::write(&summary, "before\n").unwrap();
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .with_collector()
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_WORKFLOW", "build")
        .env("GITHUB_RUN_ID", "42")
        .env("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567")
        .env("GITHUB_REF_NAME", "main")
        .env("GITHUB_STEP_SUMMARY", &summary.display().to_string())
        .env(
            "OTEL_RESOURCE_ATTRIBUTES",
            "vcs.ref.head.name=theirs,team=a%2Cb",
        )
        .run()
        .expect(0);
    let (_, spans) = newest(&run);
    let own = spans
        .iter()
        .find(|span| span.service() == "dagger")
        .unwrap();
    let value = |key: &str| {
        let mut all = own.resource.attributes.iter();
        all.find(|(name, _)| name == key)
            .map(|(_, value)| value.to_string())
    };
    for (key, expected) in [
        ("cicd.pipeline.name", "build"),
        ("cicd.pipeline.run.id", "42"),
        (
            "vcs.ref.head.revision",
            "0123456789abcdef0123456789abcdef01234567",
        ),
        ("vcs.ref.head.name", "theirs"),
        ("team", "a,b"),
    ] {
        assert_eq!(value(key).as_deref(), Some(expected), "{key}");
    }
    let link = format!("{}/trace/{}", bed().query_url(), run.trace());
    let shown = run.stderr.lines().any(|line| line.trim() == link);
    assert!(shown, "{}", run.stderr);
    let text = std::fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("before\n"), "{text}");
    assert!(text.contains(&format!("({link})")), "{text}");
}
