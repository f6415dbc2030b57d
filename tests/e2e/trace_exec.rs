//! `dagger trace exec`: a shell script becomes one trace.

use std::path::Path;

use crate::support::{Context, Dagger, Engine, Finished, bed};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

fn exec(script: &str) -> Dagger {
    let args = [
        "trace", "exec", "--name", "script", "--", "sh", "-c", script,
    ];
    Dagger::new(Path::new("/"), &args)
}

#[test]
fn the_exit_code_and_the_output_are_the_commands() {
    let run = exec("echo out; exit 7").run().expect(7);
    assert_eq!(run.stdout, "out\n");
    exec("kill -9 $$").run().expect(137);
    let missing = Dagger::new(Path::new("/"), &["trace", "exec", "--", "no-such-program"]);
    let missing = missing.run().expect(127);
    assert!(missing.stderr.contains("cannot run `no-such-program`"));
}

#[test]
fn a_build_in_a_script_hangs_under_the_scripts_span() {
    let context = Context::three_stages("exec");
    let up = format!(
        "{} up --quiet {}",
        env!("CARGO_BIN_EXE_dagger"),
        context.path().display()
    );
    let run = exec(&format!("{up} && {up}"))
        .env("BUILDKIT_HOST", &bed().unix(Engine::Mute))
        .with_collector()
        .run()
        .expect(0);
    let url = format!("{}/api/traces/{}?raw=true", bed().query_url(), run.trace());
    let answer = std::process::Command::new("curl")
        .args(["-sSf", &url])
        .output()
        .expect("curl can be run");
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).expect("JSON");
    let spans = answer["data"][0]["spans"].as_array().expect("spans");
    let script = spans.iter().find(|span| span["operationName"] == "script");
    let script = script.expect("the script's span")["spanID"].clone();
    let builds = spans
        .iter()
        .filter(|span| span["operationName"] == "dagger up")
        .filter(|span| span["references"][0]["spanID"] == script)
        .count();
    assert_eq!(builds, 2);
}

#[test]
fn flags_say_whether_a_trace_is_exported_and_malformed_ones_are_ignored() {
    let with = |parent: String| {
        exec("echo $TRACEPARENT")
            .env("TRACEPARENT", &parent)
            .env("TRACESTATE", "a=b")
            .with_collector()
            .run()
            .expect(0)
    };
    for flags in ["01", "03", "ff"] {
        let run = with(format!("{PARENT}-{flags}"));
        assert_eq!(run.trace(), "0af7651916cd43dd8448eb211c80319c");
        assert!(run.stdout.trim_end().ends_with("-01"), "{}", run.stdout);
        assert!(run.stderr.contains("2 of 2 spans"), "{}", run.stderr);
    }
    for flags in ["00", "02"] {
        let run = with(format!("{PARENT}-{flags}"));
        assert!(run.stdout.trim_end().ends_with("-00"), "{}", run.stdout);
        assert!(run.stderr.contains("it is not sampled"), "{}", run.stderr);
    }
    let run = with("00-xyz-01".to_owned());
    assert!(
        run.stderr.contains("TRACEPARENT is ignored"),
        "{}",
        run.stderr
    );
    assert_ne!(run.trace(), "0af7651916cd43dd8448eb211c80319c");
}

#[test]
fn a_signal_goes_to_the_command() {
    let started = exec("trap 'exit 3' TERM; echo ready; sleep 20 & wait").spawn();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let kill = std::process::Command::new("kill")
        .args(["-TERM", &started.0.id().to_string()])
        .status();
    assert!(kill.expect("kill can be run").success());
    Finished::wait(started).expect(3);
}
