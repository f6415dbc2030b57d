//! `dagger trace verify`: its reports, and the places that a trace is read from, on real builds.

use std::fs;

use serde_json::Value;

use crate::support::{Context, Dagger, Engine, Finished, bed};

/// A build whose trace is whole, and one that Jaeger has but a part of.
fn built(name: &str) -> Finished {
    let context = Context::three_stages(name);
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .with_collector()
        .run()
        .expect(0);
    run.verify(&[]).expect(0);
    run
}

/// What Jaeger answers of a run's trace.
fn answer(run: &Finished) -> Value {
    let url = format!("{}/api/traces/{}?raw=true", bed().query_url(), run.trace());
    let output = std::process::Command::new("curl")
        .args(["-sSf", &url])
        .output();
    serde_json::from_slice(&output.unwrap().stdout).unwrap()
}

#[test]
fn the_local_store_a_file_and_standard_input_say_what_jaeger_says() {
    let run = built("verify-sources");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace.json");
    fs::write(&file, answer(&run).to_string()).unwrap();
    let state = run.state.path().display().to_string();
    let verify = |args: &[&str]| {
        let all = [&["trace", "verify", "--format=json"], args].concat();
        Dagger::new(dir.path(), &all).env("XDG_STATE_HOME", &state)
    };
    let trace = run.trace();
    let counts = |run: Finished, source: &str| {
        let report = run.expect(0).json();
        assert_eq!(report["trace"]["source"], source, "{report:#}");
        (
            report["summary"]["passed"].clone(),
            report["trace"]["spans"].clone(),
        )
    };
    let jaeger = counts(verify(&[&trace]).run(), "jaeger");
    // No Jaeger is asked for these.
    let gone = |args: &[&str]| verify(args).env("JAEGER_QUERY_URL", "http://127.0.0.1:1");
    assert_eq!(
        counts(gone(&[&trace, "--local"]).run(), "store").1,
        jaeger.1
    );
    let path = file.display().to_string();
    assert_eq!(counts(gone(&["--from", &path]).run(), "file").1, jaeger.1);
    let stdin = gone(&["--from", "-"]).stdin(fs::File::open(&file).unwrap());
    assert_eq!(counts(stdin.run(), "file").1, jaeger.1);

    fs::write(&file, "{\"data\": []}").unwrap();
    let none = gone(&["--from", &path]).run().expect(2);
    assert!(none.stderr.contains("holds no trace"), "{}", none.stderr);
    let missing = gone(&["--from", "nowhere.json"]).run().expect(2);
    assert!(
        missing.stderr.contains("nowhere.json"),
        "{}",
        missing.stderr
    );
}

#[test]
fn every_report_tells_the_span_that_is_missing() {
    let run = built("verify-reports");
    let dir = tempfile::tempdir().unwrap();
    let mut answer = answer(&run);
    // The span that all others of ours hang under, and one with a name that wants to be markup.
    let spans = answer["data"][0]["spans"].as_array_mut().unwrap();
    spans.retain(|span| span["operationName"] != "solve");
    for span in spans.iter_mut() {
        if span["operationName"].as_str().unwrap().contains("RUN tr") {
            span["operationName"] = "</failure><script>alert(1)</script>\n::error::x | `y`".into();
        }
    }
    fs::write(dir.path().join("trace.json"), answer.to_string()).unwrap();
    let args = [
        "trace",
        "verify",
        "--from=trace.json",
        "--report=json=r.json",
        "--report=junit=r.xml",
        "--report=sarif=r.sarif",
        "--report=markdown=r.md",
        "--report=text=r.txt",
        "--report=github",
    ];
    let summary = dir.path().join("step-summary");
    let verified = Dagger::new(dir.path(), &args)
        .env("XDG_STATE_HOME", &run.state.path().display().to_string())
        .env("GITHUB_STEP_SUMMARY", &summary.display().to_string())
        .run()
        .expect(1);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();

    let json: Value = serde_json::from_str(&read("r.json")).unwrap();
    let failed: Vec<_> = json["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|result| result["status"] == "fail")
        .map(|result| result["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(!failed.is_empty(), "{json:#}");
    let sarif: Value = serde_json::from_str(&read("r.sarif")).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let told = sarif["runs"][0]["results"].as_array().unwrap().iter();
    let told: Vec<_> = told.filter(|result| result["level"] == "error").collect();
    assert_eq!(told.len(), failed.len());
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .unwrap();
    for result in told {
        assert!(
            rules.iter().any(|rule| rule["id"] == result["ruleId"]),
            "{result}"
        );
    }
    // An XML reader of its own takes it, and counts the same.
    let junit = std::process::Command::new("python3")
        .args(["-c", "import sys, xml.etree.ElementTree as e; print(len(list(e.parse(sys.argv[1]).iter('failure'))))"])
        .arg(dir.path().join("r.xml"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&junit.stdout).trim(),
        failed.len().to_string()
    );
    for (name, text) in [
        ("r.md", read("r.md")),
        ("step-summary", read("step-summary")),
        ("r.txt", read("r.txt")),
    ] {
        assert!(text.contains(failed[0].as_str()), "{name}: {text}");
        assert!(
            name == "r.txt" || !text.contains("<script>"),
            "{name}: {text}"
        );
    }
    let annotations = verified
        .stdout
        .lines()
        .filter(|line| line.starts_with("::error "));
    assert_eq!(
        annotations.count(),
        failed.len().min(10),
        "{}",
        verified.stdout
    );
    assert!(
        !verified.stdout.contains("\n::error::x"),
        "{}",
        verified.stdout
    );
    // Nothing half-written is left.
    let parts = fs::read_dir(dir.path()).unwrap().flatten();
    assert!(
        !parts
            .into_iter()
            .any(|file| file.path().extension().is_some_and(|kind| kind == "part"))
    );
}
