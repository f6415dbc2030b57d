//! Waits until a trace is complete.
//!
//! The collector answers before it stores, the daemon sends every 5 s, and Jaeger never says "that was
//! all". With an export report the first read that has everything ends the wait. Without one a trace
//! counts as complete when it is whole and stays the same for a while: it may still be stuck.
//!
//! Lives here: the loop. Elsewhere: what complete means (`verify::completeness`), one read
//! (`trace::jaeger`), the line that is shown meanwhile (`verify::waiting`).

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::completeness::Completeness;
use super::target::Target;
use crate::trace::error::{Retry, TraceError};
use crate::trace::jaeger::{Answer, JaegerClient};
use crate::trace::model::TraceId;

/// How long, and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// When to give up.
    pub timeout: Duration,
    /// Without a report: how long the trace has to stay the same.
    pub settle: Duration,
    /// Pause between two reads; it grows while nothing new comes.
    pub interval: Duration,
    /// Read once, and take it as it is.
    pub no_wait: bool,
}

/// Without a report: how many reads have to be the same.
const SETTLE_READS: u32 = 3;
/// How the pause grows.
const GROWTH: f64 = 1.5;
/// The longest pause, unless a longer one was asked for.
const INTERVAL_MOST: Duration = Duration::from_secs(3);
/// The shortest pause: nobody is asked in a tight loop.
const INTERVAL_LEAST: Duration = Duration::from_millis(10);
/// The longest time of anything; more is as good as for ever, and clocks overflow.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A pause is longer or shorter by up to this part, so that many jobs don't ask in step.
const JITTER: f64 = 0.2;

impl Default for Patience {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            settle: Duration::from_secs(2),
            interval: Duration::from_millis(200),
            no_wait: false,
        }
    }
}

/// Where a trace is read from.
pub trait Source {
    /// Reads what is there of the trace now; `None` if nothing is.
    fn read(
        &self,
        trace: TraceId,
    ) -> impl Future<Output = Result<Option<Answer>, TraceError>> + Send;
}

impl Source for JaegerClient {
    fn read(
        &self,
        trace: TraceId,
    ) -> impl Future<Output = Result<Option<Answer>, TraceError>> + Send {
        self.trace(trace)
    }
}

/// How the wait stands after a read.
#[derive(Debug)]
pub struct Progress<'p> {
    /// What is there; `None` if nothing is yet.
    pub state: Option<&'p Completeness>,
    /// Why the last read failed.
    pub error: Option<&'p TraceError>,
    /// Since the beginning.
    pub elapsed: Duration,
    /// When it ends at the latest.
    pub timeout: Duration,
}

/// What the wait brought.
#[derive(Debug)]
pub struct Waited {
    /// The last answer that had something.
    pub answer: Option<Answer>,
    /// What is there of the trace, and what not.
    pub state: Completeness,
    /// Why the wait ended.
    pub ending: Ending,
    /// How long it took.
    pub elapsed: Duration,
    /// Why the last read failed, if it did.
    pub error: Option<TraceError>,
}

/// Why the wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything in the export report is there.
    Report,
    /// There is no report; it is whole, and nothing new came for a while.
    Settling,
    /// Time is up.
    Deadline,
    /// There was to be one read only.
    NoWait,
    /// The backend refused for good; see the error.
    Refused,
}

/// Reads until the trace is complete, or time is up. At the deadline there is one last read.
///
/// `random` gives numbers from 0 to 1; `observe` is told after every read that was not the last.
pub async fn wait(
    source: &impl Source,
    target: &Target,
    patience: &Patience,
    mut random: impl FnMut() -> f64,
    mut observe: impl FnMut(&Progress<'_>),
) -> Waited {
    let start = Instant::now();
    let deadline = start + patience.timeout.min(LONGEST);
    // What was never sent will not come.
    let once = patience.no_wait || target.exported_nowhere();
    let interval_first = patience.interval.clamp(INTERVAL_LEAST, LONGEST);
    let mut interval = interval_first;
    let mut still: Option<Still> = None;
    let mut last: Option<(Answer, Completeness)> = None;
    loop {
        let read = source.read(target.trace).await;
        let now = Instant::now();
        let mut pause_at_least = Duration::ZERO;
        let mut ending = (now >= deadline).then_some(Ending::Deadline);
        if once {
            ending = Some(Ending::NoWait);
        }
        let error = match read {
            Ok(answer) => {
                if let Some(answer) = answer {
                    let target = target.of_client(&answer.spans);
                    let state = Completeness::of(&target, &answer);
                    let same = Still::next(still, &state, now);
                    if same.reads == 1 {
                        interval = interval_first;
                    }
                    if state.is_whole() && target.run.is_some() {
                        ending = Some(Ending::Report);
                    } else if state.is_whole() && same.is_settled(now, patience.settle) {
                        ending = Some(Ending::Settling);
                    }
                    still = Some(same);
                    last = Some((answer, state));
                }
                None
            }
            Err(error) => {
                match error.retry() {
                    Retry::Never => ending = Some(Ending::Refused),
                    Retry::After(asked) => pause_at_least = asked.unwrap_or_default(),
                }
                Some(error)
            }
        };
        let elapsed = now.saturating_duration_since(start);
        if let Some(ending) = ending {
            let (answer, state) = last.unzip();
            return Waited {
                answer,
                state: state.unwrap_or_default(),
                ending,
                elapsed,
                error,
            };
        }
        observe(&Progress {
            state: last.as_ref().map(|(_, state)| state),
            error: error.as_ref(),
            elapsed,
            timeout: patience.timeout,
        });
        let pause = jittered(interval, random()).max(pause_at_least);
        sleep(pause.min(deadline.saturating_duration_since(now))).await;
        interval = interval
            .mul_f64(GROWTH)
            .min(INTERVAL_MOST.max(interval_first));
    }
}

/// For how long the trace has been the same.
#[derive(Clone, Copy, Debug)]
struct Still {
    fingerprint: u64,
    since: Instant,
    reads: u32,
}

impl Still {
    fn next(before: Option<Self>, state: &Completeness, now: Instant) -> Self {
        match before.filter(|before| before.fingerprint == state.fingerprint) {
            Some(before) => Self {
                reads: before.reads.saturating_add(1),
                ..before
            },
            None => Self {
                fingerprint: state.fingerprint,
                since: now,
                reads: 1,
            },
        }
    }

    fn is_settled(&self, now: Instant, settle: Duration) -> bool {
        self.reads >= SETTLE_READS && now.saturating_duration_since(self.since) >= settle
    }
}

fn jittered(interval: Duration, random: f64) -> Duration {
    // Also a bad random number makes no negative pause, of which `mul_f64` is afraid.
    let random = if random.is_finite() {
        random.clamp(0.0, 1.0)
    } else {
        0.5
    };
    interval.mul_f64(1.0 + JITTER * (2.0 * random - 1.0))
}

#[cfg(test)]
mod tests;
