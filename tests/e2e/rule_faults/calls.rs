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
    assert_found(&verified, &["D003", "P005"]);
}

#[test]
fn a_step_that_was_taken_out_of_the_status_stream_is_missed() {
    let context = Context::three_stages("faults-step");
    let without = Meddling::StatusWithout("exporting ");
    let args = ["--daemon-spans=import", "--output=type=local,dest=out"];
    let run = Dagger::up(context.path(), Engine::Mute, &args)
        .env(
            "BUILDKIT_HOST",
            &meddling(&bed().tcp(Engine::Mute), without),
        )
        .with_collector()
        .run()
        .expect(0);
    // The daemon has no span of that step, only its history knows.
    let verified = run.verify(&[]).expect(0);
    assert_found(&verified, &["D003"]);
    let denied = run.verify(&["--deny-warnings"]).expect(1);
    assert_found(&denied, &["D003"]);
}
