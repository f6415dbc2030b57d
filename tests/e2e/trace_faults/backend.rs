//! The collector is dead, dies, or does not do what a collector does.

use super::{
    assert_pushed_whole, assert_waits, assert_whole, in_time, long, meanwhile, newest, own, push,
    recorded, store, up,
};
use crate::support::{
    Context, Dagger, Engine, Fault, OwnJaeger, bed, faulty_collector, silent_collector, span_ids_of,
};

#[test]
fn jaeger_is_dead_before_the_build() {
    let context = Context::three_stages("fault-before");
    let mut jaeger = OwnJaeger::forgetful();
    let run = in_time(own(&jaeger, up(&context, ""))).expect(0);
    assert!(run.stderr.contains("connection refused"), "{}", run.stderr);
    assert_waits(&run);
    jaeger.start();
    push(
        run.state.path(),
        &jaeger.collector(),
        &jaeger.query_url(),
        &[],
    );
    assert_whole(run.state.path(), &jaeger.query_url());
}

#[test]
fn jaeger_dies_during_the_build() {
    let context = long("fault-during", 4);
    let mut jaeger = OwnJaeger::durable();
    jaeger.start();
    let run = meanwhile(own(&jaeger, up(&context, "")), |_| {
        // The first spans are there by now; those that are on their way are lost by Jaeger, or not.
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        jaeger.kill();
    });
    let run = run.expect(0);
    assert_waits(&run);
    let export = newest(run.state.path()).record.unwrap().export;
    assert!(export.routes[0].delivered > 0, "{export:?}");
    jaeger.start();
    push(
        run.state.path(),
        &jaeger.collector(),
        &jaeger.query_url(),
        &[],
    );
    assert_whole(run.state.path(), &jaeger.query_url());
}

#[test]
fn jaeger_dies_after_the_build() {
    let context = Context::three_stages("fault-after");
    let mut jaeger = OwnJaeger::durable();
    jaeger.start();
    let run = in_time(own(&jaeger, up(&context, ""))).expect(0);
    // 202 says accepted, not stored.
    let until = std::time::Instant::now() + super::HANG;
    let (state, url) = (run.state.path(), jaeger.query_url());
    while span_ids_of(&url, &run.trace()).len() < recorded(state).len() {
        assert!(std::time::Instant::now() < until);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    jaeger.kill();
    jaeger.start();
    let pushed = push(state, &jaeger.collector(), &url, &[]);
    assert_eq!(pushed.stdout, "nothing waits\n");
    assert_whole(state, &url);
}

#[test]
fn a_collector_that_is_slow_refuses_or_talks_nonsense() {
    for (fault, told) in [
        (Fault::Slow, "no answer within 5 s"),
        (Fault::Deaf, "no answer within 5 s"),
        (Fault::Refuses, "HTTP 500 Internal Server Error: full"),
        (Fault::HalfCloses, "did not reach"),
        (Fault::Babbles, "did not reach"),
    ] {
        let context = Context::three_stages(&format!("fault-{fault:?}"));
        let run = in_time(up(&context, &faulty_collector(fault))).expect(0);
        assert!(run.stderr.contains(told), "{fault:?}: {}", run.stderr);
        assert_waits(&run);
        assert_pushed_whole(&run);
    }
}

#[test]
fn a_backlog_for_a_slow_collector_holds_nobody_up() {
    let context = Context::three_stages("fault-backlog");
    let collector = faulty_collector(Fault::Slow);
    let first = in_time(up(&context, &collector)).expect(0);
    let state = first.state.path().display().to_string();
    let began = std::time::Instant::now();
    let second = in_time(up(&context, &collector).env("XDG_STATE_HOME", &state)).expect(0);
    // Both ways wait together: one answer of 30 s, or two deadlines one after the other, would be longer.
    assert!(began.elapsed() < std::time::Duration::from_secs(25));
    assert!(
        second.stderr.contains("wait for the next run"),
        "{}",
        second.stderr
    );
    let waiting = store(first.state.path()).waiting(u64::MAX / 4).unwrap();
    assert_eq!(waiting.len(), 2, "{waiting:?}");
    assert_pushed_whole(&first);
    assert_eq!(
        span_ids_of(&bed().query_url(), &first.trace()).len() as u64,
        waiting[0].spans
    );
}

#[test]
fn what_was_taken_without_an_answer_does_not_come_twice() {
    let context = Context::three_stages("fault-silent");
    let collector = bed().collector();
    let to = collector.trim_start_matches("http://").split('/').next();
    let run = in_time(up(&context, &silent_collector(to.unwrap()))).expect(0);
    assert!(
        run.stderr.contains("no answer within 5 s"),
        "{}",
        run.stderr
    );
    assert_waits(&run);
    // The first batch is there, and nobody told us.
    let there = span_ids_of(&bed().query_url(), &run.trace()).len();
    assert!(there > 0);
    let state = run.state.path();
    let pushed = push(state, &collector, &bed().query_url(), &["--all"]);
    assert!(
        pushed
            .stdout
            .contains(&format!("{there} spans had arrived before")),
        "{}",
        pushed.stdout
    );
    assert_whole(state, &bed().query_url());
}

#[test]
fn a_name_that_nobody_knows() {
    let context = Context::three_stages("fault-dns");
    let collector = "http://jaeger.invalid:14268/api/traces";
    let run = in_time(up(&context, collector)).expect(0);
    assert!(run.stderr.contains("lookup"), "{}", run.stderr);
    assert_waits(&run);
    assert_pushed_whole(&run);

    let agent = Dagger::up(context.path(), Engine::Mute, &[]);
    let run = in_time(agent.env("JAEGER_TRACE", "jaeger.invalid:6831")).expect(0);
    assert_waits(&run);
    assert_pushed_whole(&run);
}

#[test]
fn a_failed_build_is_told_with_its_own_exit_code() {
    let context =
        Context::new("FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN exit 7 # dead\n");
    for collector in [
        "http://127.0.0.1:1/api/traces",
        &faulty_collector(Fault::Slow),
    ] {
        let run = in_time(up(&context, collector)).expect(1);
        assert_waits(&run);
        assert_pushed_whole(&run);
    }
}
