//! The line that is shown while a trace is not complete.

use std::time::Duration;

use super::poll::{Ending, Progress, Waited};
use crate::trace::error::TraceError;
use crate::trace::model::TraceId;

/// Without a terminal: the shortest time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Goes back to the start of the line and clears it.
const CLEAR: &str = "\r\u{1b}[2K";
/// Turns wrapping off and on again: a line over the width is cut and can still be rewritten.
const NO_WRAP: (&str, &str) = ("\u{1b}[?7l", "\u{1b}[?7h");

/// What goes to standard error while waiting: one line rewritten on a terminal; elsewhere a line at
/// the start, one on a change but at most every 5 s, and one at the end.
#[derive(Debug)]
pub struct WaitingLine {
    trace: String,
    terminal: bool,
    last: Option<(Duration, String)>,
}

impl WaitingLine {
    /// For this trace.
    pub fn new(trace: TraceId, terminal: bool) -> Self {
        let trace = trace.to_string().chars().take(4).collect();
        Self {
            trace,
            terminal,
            last: None,
        }
    }

    /// What to write now, if anything.
    pub fn update(&mut self, progress: &Progress<'_>) -> Option<String> {
        let state = state(progress);
        let line = format!(
            "waiting for trace {}… {state} · {:.1} s of {} s",
            self.trace,
            progress.elapsed.as_secs_f64(),
            progress.timeout.as_secs_f64(),
        );
        if self.terminal {
            self.last = Some((progress.elapsed, state));
            return Some(format!("{CLEAR}{}{line}{}", NO_WRAP.0, NO_WRAP.1));
        }
        let due = self.last.as_ref().is_none_or(|(at, said)| {
            *said != state && progress.elapsed.saturating_sub(*at) >= LINE_EVERY
        });
        due.then(|| {
            self.last = Some((progress.elapsed, state));
            line + "\n"
        })
    }

    /// What to write at the end; nothing if there was no wait.
    pub fn finish(&self, waited: &Waited) -> Option<String> {
        self.last.as_ref()?;
        if self.terminal {
            return Some(CLEAR.to_owned());
        }
        let (trace, seconds) = (&self.trace, waited.elapsed.as_secs_f64());
        let line = match waited.ending {
            Ending::Report => format!("trace {trace}… is complete after {seconds:.1} s"),
            Ending::Settling => format!("trace {trace}… has settled after {seconds:.1} s"),
            Ending::Deadline | Ending::NoWait | Ending::Refused => {
                format!("trace {trace}… is not complete after {seconds:.1} s")
            }
        };
        Some(line + "\n")
    }
}

fn state(progress: &Progress<'_>) -> String {
    let failed = progress.error.map(short);
    let Some(state) = progress.state else {
        return failed.unwrap_or_else(|| "nothing there yet".to_owned());
    };
    let mut text = match state.expected {
        Some(expected) => format!("{}/{expected} spans", state.found),
        None => format!("{} spans", state.spans),
    };
    text += if state.root {
        " · root yes"
    } else {
        " · root no"
    };
    if !state.missing.is_empty() {
        let by_service: Vec<String> = state
            .missing_by_service()
            .into_iter()
            .map(|(service, number)| format!("{service} {number}"))
            .collect();
        text += &format!(
            " · {} missing ({})",
            state.missing.len(),
            by_service.join(", ")
        );
    }
    if state.orphans > 0 {
        text += &format!(" · {} without their parent", state.orphans);
    }
    if let Some(failed) = failed {
        text += &format!(" · {failed}");
    }
    text
}

/// Why the last read failed, in a few words.
fn short(error: &TraceError) -> String {
    match error {
        TraceError::Unreachable { .. } => "Jaeger cannot be reached".to_owned(),
        TraceError::Timeout { .. } => "no answer in time".to_owned(),
        TraceError::Busy { status, .. } | TraceError::Refused { status, .. } => {
            format!("status {status}")
        }
        TraceError::NoApi { .. } => "404 without Jaeger's answer (wrong base path?)".to_owned(),
        TraceError::Garbled { .. } => "an answer that broke off".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::completeness::{Completeness, Missing};

    fn state(missing: usize) -> Completeness {
        let one = Missing {
            service: "buildkitd".into(),
            id: None,
            parent: Some("00f067aa0ba902b7".into()),
        };
        Completeness {
            spans: 118,
            root: true,
            expected: Some(131),
            found: 131 - missing,
            missing: vec![one; missing],
            ..Completeness::default()
        }
    }

    fn at(seconds: u64, state: Option<&Completeness>) -> Progress<'_> {
        Progress {
            state,
            error: None,
            elapsed: Duration::from_secs(seconds),
            timeout: Duration::from_secs(30),
        }
    }

    fn line(terminal: bool) -> WaitingLine {
        WaitingLine::new(
            "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap(),
            terminal,
        )
    }

    #[test]
    fn terminal_has_one_line_rewritten_and_cleared() {
        let mut line = line(true);
        let text = line.update(&at(4, Some(&state(13)))).unwrap();
        assert_eq!(
            text,
            "\r\u{1b}[2K\u{1b}[?7lwaiting for trace 4bf9… 118/131 spans · root yes · 13 missing \
             (buildkitd 13) · 4.0 s of 30 s\u{1b}[?7h"
        );
        assert!(line.update(&at(4, Some(&state(13)))).is_some());
        let waited = Waited {
            answer: None,
            state: state(0),
            ending: Ending::Report,
            elapsed: Duration::from_secs(5),
            error: None,
        };
        assert_eq!(line.finish(&waited).as_deref(), Some(CLEAR));
    }

    #[test]
    fn elsewhere_a_line_comes_on_change_and_at_most_every_five_seconds() {
        let mut line = line(false);
        let first = line.update(&at(0, None)).unwrap();
        assert_eq!(
            first,
            "waiting for trace 4bf9… nothing there yet · 0.0 s of 30 s\n"
        );
        assert_eq!(line.update(&at(2, Some(&state(13)))), None);
        assert!(line.update(&at(6, Some(&state(13)))).is_some());
        assert_eq!(line.update(&at(20, Some(&state(13)))), None);
        assert!(line.update(&at(21, Some(&state(12)))).is_some());
    }
}
