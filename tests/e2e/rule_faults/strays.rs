//! The build's trace holds what should not be in it: spans of others, secrets, too much.

use std::process::Command;

use serde_json::{Value, json};

use super::assert_found;
use crate::support::{Context, Dagger, Engine, Finished, bed, span_ids};

/// A build whose trace is whole.
fn good(salt: &str) -> Finished {
    let context = Context::three_stages(salt);
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .with_collector()
        .run()
        .expect(0);
    assert_found(&run.verify(&[]).expect(0), &[]);
    run
}

/// Sends a span into the build's trace, as any process can that knows the context: (id, parent).
fn stray(run: &Finished, resource: &[(&str, &str)], (id, parent): (&str, &str)) {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    let attributes: Vec<Value> = resource
        .iter()
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
        .collect();
    let span = json!({
        "traceId": run.trace(), "spanId": id, "parentSpanId": parent, "name": "stray", "kind": 1,
        "startTimeUnixNano": (now.as_nanos() - 1_000).to_string(),
        "endTimeUnixNano": now.as_nanos().to_string(),
    });
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": attributes},
        "scopeSpans": [{"spans": [span]}],
    }]});
    let sent = Command::new("curl")
        .args(["-sSf", "-H", "content-type: application/json", "-d"])
        .arg(body.to_string())
        .arg(format!("{}/v1/traces", bed().otlp_http()))
        .output()
        .unwrap();
    assert!(sent.status.success(), "{sent:?}");
    while !span_ids(&run.trace()).iter().any(|there| there == id) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// The id of the run's root.
fn root(run: &Finished) -> String {
    let file = run.state.path().join("dagger/traces.db");
    let root: String = rusqlite::Connection::open(file)
        .unwrap()
        .query_row("SELECT record ->> '$.root' FROM runs", [], |row| row.get(0))
        .unwrap();
    root
}

#[test]
fn a_process_that_exports_without_a_name_is_told() {
    let run = good("faults-nameless");
    stray(&run, &[], ("00000000000000a1", &root(&run)));
    assert_found(&run.verify(&[]).expect(1), &["P006"]);
}

#[test]
fn another_program_under_our_service_name_is_told() {
    let run = good("faults-impostor");
    let resource = [("service.name", "dagger")];
    stray(&run, &resource, ("00000000000000a2", &root(&run)));
    assert_found(
        &run.verify(&[]).expect(1),
        &["N001", "P007", "T007", "T011"],
    );
}

#[test]
fn spans_that_are_each_other_s_parent_are_told() {
    let run = good("faults-cycle");
    let resource = [("service.name", "elsewhere")];
    for (id, parent) in [
        ("00000000000000a3", "00000000000000a4"),
        ("00000000000000a4", "00000000000000a3"),
    ] {
        stray(&run, &resource, (id, parent));
    }
    assert_found(&run.verify(&[]).expect(1), &["T005"]);
}

#[test]
fn a_token_in_a_command_is_found() {
    let context = Context::new(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\n\
         RUN echo curl -H 'Authorization: Bearer ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8'\n",
    );
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .with_collector()
        .run()
        .expect(0);
    let verified = run.verify(&[]).expect(1);
    assert_found(&verified, &["N002"]);
    assert!(
        !verified.stdout.contains("ghp_a1B2c3D4"),
        "{}",
        verified.stdout
    );
}

#[test]
fn a_step_that_talks_too_much_is_told() {
    let context = Context::new(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\n\
         RUN for i in $(seq 200); do echo $i $(head -c 900 /dev/zero | tr '\\0' x); done\n",
    );
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .with_collector()
        .run()
        .expect(0);
    assert_found(&run.verify(&[]).expect(0), &["N003"]);
}
