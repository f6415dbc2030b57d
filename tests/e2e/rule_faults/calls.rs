//! What lies between `dagger` and the daemon meddles with their calls.

use super::assert_found;
use crate::support::{Context, Dagger, Engine, Meddling, bed, meddling};

#[test]
fn a_call_that_lost_its_context_is_named() {
    let context = Context::three_stages("faults-context");
    let without = Meddling::NoContext("Control/ListWorkers");
    let run = Dagger::up(context.path(), Engine::Mute, &["--daemon-spans=import"])
        .env(
            "BUILDKIT_HOST",
            &meddling(&bed().tcp(Engine::Mute), without),
        )
        .with_collector()
        .run()
        .expect(0);
    let verified = run.verify(&["--timeout=1s"]).expect(1);
    assert_found(&verified, &["P001"]);
    assert!(
        verified.stdout.contains("ListWorkers"),
        "{}",
        verified.stdout
    );
}

#[test]
fn a_status_stream_that_ends_early_is_told() {
    let context = Context::three_stages("faults-status");
    let cut = Meddling::StatusEndsBefore("RUN tr a-z");
    let run = Dagger::up(context.path(), Engine::Mute, &["--daemon-spans=import"])
        .env("BUILDKIT_HOST", &meddling(&bed().tcp(Engine::Mute), cut))
        .with_collector()
        .run()
        .expect(0);
    let verified = run.verify(&["--timeout=1s"]).expect(1);
    assert_found(&verified, &["P005"]);
}
