//! The wait, on a clock that tests move.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::verify::testing::{Whole, good_build};

/// Gives one answer after the other; the last one for ever.
struct Script {
    answers: Mutex<VecDeque<Step>>,
    reads: Mutex<Vec<Duration>>,
    start: Instant,
}

#[derive(Clone)]
enum Step {
    Nothing,
    Spans(Box<Whole>),
    Status(u16, Option<u64>),
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            answers: Mutex::new(steps.into_iter().collect()),
            reads: Mutex::default(),
            start: Instant::now(),
        }
    }

    fn read_at(&self) -> Vec<u128> {
        let reads = self.reads.lock().unwrap();
        reads.iter().map(Duration::as_millis).collect()
    }
}

impl Source for Script {
    async fn read(&self, _: TraceId) -> Result<Option<Answer>, TraceError> {
        self.reads.lock().unwrap().push(self.start.elapsed());
        let mut answers = self.answers.lock().unwrap();
        let step = if answers.len() > 1 {
            answers.pop_front().unwrap()
        } else {
            answers[0].clone()
        };
        let url = "http://h".to_owned();
        match step {
            Step::Nothing => Ok(None),
            Step::Spans(whole) => Ok(Some(whole.answer())),
            Step::Status(status @ (401 | 403 | 400), _) => Err(TraceError::Refused {
                url,
                status,
                detail: String::new(),
            }),
            Step::Status(status, seconds) => Err(TraceError::Busy {
                url,
                status,
                detail: String::new(),
                retry_after: seconds.map(Duration::from_secs),
            }),
        }
    }
}

/// Waits without jitter, and gives what was observed.
async fn wait_for(script: &Script, target: &Target, patience: Patience) -> (Waited, usize) {
    let mut observed = 0;
    let waited = wait(script, target, &patience, || 0.5, |_| observed += 1).await;
    (waited, observed)
}

fn spans(whole: Whole) -> Step {
    Step::Spans(Box::new(whole))
}

/// The build before the daemon's spans have come.
fn without_daemon() -> Whole {
    let mut whole = good_build();
    whole.spans.retain(|span| span.service() != "buildkitd");
    whole
}

#[tokio::test(start_paused = true)]
async fn first_read_with_everything_ends_the_wait() {
    let script = Script::new([spans(good_build())]);
    let (waited, observed) = wait_for(&script, &good_build().target(), Patience::default()).await;
    assert_eq!(waited.ending, Ending::Report);
    assert_eq!((script.read_at(), observed), (vec![0], 0));
    assert_eq!(waited.state.expected, Some(waited.state.found));
}

#[tokio::test(start_paused = true)]
async fn late_spans_are_waited_for_with_growing_pauses() {
    let script = Script::new([
        Step::Nothing,
        Step::Nothing,
        spans(without_daemon()),
        spans(without_daemon()),
        spans(good_build()),
    ]);
    let (waited, observed) = wait_for(&script, &good_build().target(), Patience::default()).await;
    assert_eq!(waited.ending, Ending::Report);
    // 200, 300, then something new: 200 again, 300.
    assert_eq!(script.read_at(), [0, 200, 500, 700, 1_000]);
    assert_eq!(observed, 4);
}

#[tokio::test(start_paused = true)]
async fn missing_daemon_spans_are_counted_and_end_at_the_deadline() {
    let script = Script::new([spans(without_daemon())]);
    let (waited, _) = wait_for(&script, &good_build().target(), Patience::default()).await;
    assert_eq!(waited.ending, Ending::Deadline);
    assert_eq!(waited.elapsed, Duration::from_secs(30));
    assert_eq!(waited.state.missing_by_service()["buildkitd"], 5);
    let reads = script.read_at();
    assert_eq!(reads.last(), Some(&30_000));
    let pauses = reads.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(pauses.max().unwrap() <= 3_000);
}

#[tokio::test(start_paused = true)]
async fn without_a_report_the_trace_has_to_settle() {
    let mut target = good_build().target();
    target.run = None;
    let mut part = good_build();
    part.remove(crate::trace::model::SpanId(43));
    let script = Script::new([spans(part), spans(good_build())]);
    let (waited, _) = wait_for(&script, &target, Patience::default()).await;
    assert_eq!(waited.ending, Ending::Settling);
    let reads = script.read_at();
    // Came at 200, and was the same for 2 s and more.
    assert!(waited.elapsed >= Duration::from_millis(2_200), "{reads:?}");
    assert!(reads.len() >= 4);
    assert_eq!(waited.state.expected, None);
}

#[tokio::test(start_paused = true)]
async fn three_equal_reads_are_needed_however_short_the_settling() {
    let mut target = good_build().target();
    target.run = None;
    let script = Script::new([spans(good_build())]);
    let patience = Patience {
        settle: Duration::ZERO,
        ..Patience::default()
    };
    let (waited, _) = wait_for(&script, &target, patience).await;
    assert_eq!(waited.ending, Ending::Settling);
    assert_eq!(script.read_at().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn refusal_stops_at_once() {
    for status in [400, 401, 403] {
        let script = Script::new([Step::Status(status, None)]);
        let (waited, _) = wait_for(&script, &good_build().target(), Patience::default()).await;
        assert_eq!(waited.ending, Ending::Refused);
        assert_eq!(script.read_at(), [0]);
        assert!(waited.error.is_some() && waited.answer.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured() {
    let script = Script::new([Step::Status(429, Some(7)), spans(good_build())]);
    let (waited, _) = wait_for(&script, &good_build().target(), Patience::default()).await;
    assert_eq!(waited.ending, Ending::Report);
    assert_eq!(script.read_at(), [0, 7_000]);
    // But not beyond the deadline.
    let script = Script::new([Step::Status(503, Some(u64::MAX))]);
    let (waited, _) = wait_for(&script, &good_build().target(), Patience::default()).await;
    assert_eq!(waited.ending, Ending::Deadline);
    assert_eq!(script.read_at(), [0, 30_000]);
}

#[tokio::test(start_paused = true)]
async fn last_answer_counts_when_later_reads_fail() {
    let script = Script::new([spans(without_daemon()), Step::Status(503, None)]);
    let (waited, _) = wait_for(&script, &good_build().target(), Patience::default()).await;
    assert_eq!(waited.ending, Ending::Deadline);
    assert!(waited.answer.is_some() && waited.error.is_some());
}

#[tokio::test(start_paused = true)]
async fn one_read_is_enough_when_told_so_or_nothing_was_exported() {
    let script = Script::new([spans(without_daemon())]);
    let patience = Patience {
        no_wait: true,
        ..Patience::default()
    };
    let (waited, _) = wait_for(&script, &good_build().target(), patience).await;
    assert_eq!((waited.ending, script.read_at()), (Ending::NoWait, vec![0]));

    let mut nowhere = good_build();
    nowhere.record.export.routes.clear();
    let script = Script::new([Step::Nothing]);
    let (waited, _) = wait_for(&script, &nowhere.target(), Patience::default()).await;
    assert_eq!((waited.ending, script.read_at()), (Ending::NoWait, vec![0]));
}

#[tokio::test(start_paused = true)]
async fn extreme_settings_do_no_harm() {
    for patience in [
        Patience {
            timeout: Duration::ZERO,
            ..Patience::default()
        },
        Patience {
            timeout: Duration::MAX,
            settle: Duration::MAX,
            interval: Duration::MAX,
            no_wait: false,
        },
    ] {
        let script = Script::new([Step::Nothing]);
        let target = good_build().target();
        let waited = wait(&script, &target, &patience, || f64::NAN, |_| {}).await;
        assert_eq!(waited.ending, Ending::Deadline);
        assert!(script.read_at().len() < 4);
    }
}

#[test]
fn jitter_stays_within_a_fifth() {
    let pause = |random| jittered(Duration::from_secs(1), random).as_millis();
    assert_eq!((pause(0.0), pause(0.5), pause(1.0)), (800, 1_000, 1_200));
    assert_eq!((pause(-5.0), pause(5.0)), (800, 1_200));
}
