//! `dagger trace query` finds the same spans wherever the trace is read from.

use std::fs::File;
use std::process::Command;

use crate::support::{Context, Dagger, Engine, bed};

#[test]
fn a_selector_means_the_same_in_the_store_in_jaeger_and_in_a_file() {
    let context = Context::three_stages("query-sources");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .with_collector()
        .run()
        .expect(0);
    run.verify(&[]).expect(0);
    let trace = run.trace();
    let state = run.state.path().display().to_string();
    let query = |args: &[&str]| {
        let all = [&["trace", "query", "*[vertex]", "--format=ids"], args].concat();
        Dagger::new(context.path(), &all).env("XDG_STATE_HOME", &state)
    };
    let ids = |query: Dagger| {
        let found = query.run().expect(0).stdout;
        let mut ids: Vec<_> = found.lines().map(str::to_owned).collect();
        ids.sort();
        ids
    };
    let stored = ids(query(&[]));
    assert!(stored.len() > 3, "{stored:?}");
    let query_url = bed().query_url();
    assert_eq!(ids(query(&[&trace, "--query-url", &query_url])), stored);
    assert_eq!(ids(query(&["--jaeger-url", &query_url])), stored);
    assert_eq!(ids(query(&[&format!("{query_url}/trace/{trace}")])), stored);

    let file = run.state.path().join("trace.json");
    let answer = Command::new("curl")
        .args(["-sSf", "-o"])
        .arg(&file)
        .arg(format!("{query_url}/api/traces/{trace}?raw=true"))
        .status();
    assert!(answer.expect("curl can be run").success());
    assert_eq!(ids(query(&["--from", &file.display().to_string()])), stored);
    let piped = query(&["--from=-"]).stdin(File::open(&file).unwrap());
    assert_eq!(ids(piped), stored);

    // Not there is not the same as nothing found.
    let absent = "00000000000000000000000000000bad";
    let at = ["--query-url", &query_url];
    let missing = query(&[&[absent], &at[..]].concat()).run().expect(4);
    assert!(
        missing.stderr.contains("is not there"),
        "{}",
        missing.stderr
    );
    let nothing = ["trace", "query", "*[no.such.key]", &trace];
    let nothing = Dagger::new(context.path(), &[&nothing[..], &at].concat());
    nothing.run().expect(1);
    query(&[&trace, "--query-url=http://127.0.0.1:1"])
        .run()
        .expect(4);
}
