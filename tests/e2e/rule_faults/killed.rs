//! `dagger` does not get to its end, or is one of two in a trace.

use std::path::Path;

use dagger::trace::store::{RunFilter, Store};

use super::{assert_found, found};
use crate::support::{Context, Dagger, Engine, bed};
use crate::trace_faults::{long, meanwhile};

#[test]
fn what_a_killed_build_left_is_not_taken_for_a_build() {
    let context = long("faults-killed", 600);
    let run = meanwhile(
        Dagger::up(context.path(), Engine::Mute, &[]).with_collector(),
        |child| {
            std::thread::sleep(std::time::Duration::from_millis(1_500));
            child.kill().unwrap();
        },
    )
    .expect(-1);
    let store = Store::open_existing(&run.state.path().join("dagger"));
    let runs = store.unwrap().unwrap().runs(&RunFilter::default()).unwrap();
    let trace = runs[0].begun.trace.to_string();
    let state = run.state.path().display().to_string();
    let verify = |args: &[&str]| {
        let args = [
            &["trace", "verify", &trace, "--format=json", "--timeout=1s"],
            args,
        ]
        .concat();
        Dagger::new(context.path(), &args)
            .env("XDG_STATE_HOME", &state)
            .run()
    };
    // What it had sent by then is in Jaeger.
    let left = found(&verify(&[]).expect(1));
    assert!(left.contains("T002"), "{left:?}");
    // What it had recorded by then, too, with what was open marked as that.
    Dagger::new(context.path(), &["trace", "push"])
        .env("XDG_STATE_HOME", &state)
        .with_collector()
        .run()
        .expect(0);
    let left = found(&verify(&[]).expect(1));
    assert!(left.contains("T009") && !left.contains("T002"), "{left:?}");
}

#[test]
fn two_builds_of_one_job_are_told_apart_by_their_records_alone() {
    let parent = format!(
        "00-0af7651916cd43dd8448eb211c{:06x}-b7ad6b7169203331-01",
        0xfa_0175
    );
    let build = |salt: &str| {
        let context = Context::three_stages(salt);
        Dagger::up(context.path(), Engine::Mute, &[])
            .env("TRACEPARENT", &parent)
            .with_collector()
            .run()
            .expect(0)
    };
    let (one, other) = (build("faults-job-1"), build("faults-job-2"));
    for run in [&one, &other] {
        assert_found(&run.verify(&[]).expect(0), &[]);
    }
    let elsewhere = ["trace", "verify", "--format=json", "--timeout=1s"];
    let verified = Dagger::new(Path::new("/"), &elsewhere)
        .env("TRACEPARENT", &parent)
        .env("JAEGER_QUERY_URL", &bed().query_url())
        .run()
        .expect(1);
    assert_found(&verified, &["T002"]);
}
