//! What lies between `dagger` and the daemon meddles with their calls.

use super::assert_found;
use crate::support::{Context, Dagger, Engine, Finished, Meddling, bed, meddling};

/// A good build through what meddles.
fn up(context: &Context, meddles: Meddling, args: &[&str]) -> Finished {
    let args = [&["--daemon-spans=import"], args].concat();
    let host = meddling(&bed().tcp(Engine::Mute), meddles);
    Dagger::up(context.path(), Engine::Mute, &args)
        .env("BUILDKIT_HOST", &host)
        .with_collector()
        .run()
        .expect(0)
}

#[test]
fn a_call_that_lost_its_context_is_named() {
    let context = Context::three_stages("faults-context");
    let run = up(&context, Meddling::NoContext("Control/ListWorkers"), &[]);
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
    let run = up(&context, Meddling::StatusEndsBefore("RUN tr a-z"), &[]);
    let verified = run.verify(&["--timeout=1s"]).expect(1);
    assert_found(&verified, &["D003", "P005"]);
}

#[test]
fn a_step_that_was_taken_out_of_the_status_stream_is_missed() {
    let context = Context::three_stages("faults-step");
    let without = Meddling::StatusWithout("exporting ");
    let run = up(&context, without, &["--output=type=local,dest=out"]);
    // The daemon has no span of that step, only its history knows.
    let verified = run.verify(&[]).expect(0);
    assert_found(&verified, &["D003"]);
    let denied = run.verify(&["--deny-warnings"]).expect(1);
    assert_found(&denied, &["D003"]);
}
