//! Lines in the form of `buildctl --progress=plain`, for logs.
//!
//! Steps are numbered in the order of their first line. One step at a time owns the output until it
//! has completed; what others say waits, so that a log reads step by step. A step that has waited long
//! takes over.

use std::io::{self, BufWriter, Write};
use std::time::{Duration, SystemTime};

use super::epilogue;
use super::event::{BuildEvent, Outcome, VertexStatus, Warning};
use super::format::{between, bytes, log_seconds, seconds};
use super::renderer::Renderer;
use super::steps::{Step, Steps};
use super::summary::Summary;
use super::text::{clean, clean_output};

/// Events are put together for so long: a step that completes and starts again at once (its cache was
/// probed) is one step to people.
const TICK: Duration = Duration::from_millis(100);

/// How long a step may be kept waiting by another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// A transfer is shown again when it has come so much further, or after so much time.
const STATUS_PART: f64 = 0.05;
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// Writes lines.
pub(super) struct Plain {
    out: BufWriter<Box<dyn Write + Send>>,
    steps: Steps,
    /// Beside each step: what of it is to be printed.
    printed: Vec<Printed>,
    /// The step that owns the output.
    current: Option<usize>,
    numbers: usize,
}

/// What was printed of a step, and what waits.
#[derive(Debug, Default)]
struct Printed {
    number: Option<usize>,
    waiting: Vec<String>,
    /// Something is to be printed since then.
    since: Option<SystemTime>,
    statuses: Vec<(String, ShownStatus)>,
    /// The end that was printed: (completion, error).
    end: Option<SystemTime>,
}

#[derive(Debug)]
struct ShownStatus {
    current: i64,
    at: SystemTime,
    completed: bool,
}

impl Plain {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out: BufWriter::new(out),
            steps: Steps::default(),
            printed: Vec::new(),
            current: None,
            numbers: 0,
        }
    }

    fn take(&mut self, event: &BuildEvent, now: SystemTime) {
        let Some(change) = self.steps.apply(event) else {
            return;
        };
        while self.printed.len() <= change.step {
            self.printed.push(Printed::default());
        }
        let (Some(step), Some(printed)) = (
            self.steps.get(change.step),
            self.printed.get_mut(change.step),
        ) else {
            return;
        };
        let lines = change.lines.iter();
        printed.waiting.extend(
            lines.map(|line| format!("{} {}", log_seconds(line.after), clean_output(&line.text))),
        );
        match event {
            BuildEvent::Status(status) => printed.status(status, now),
            BuildEvent::Warning(Warning { short, .. }) => {
                printed.waiting.push(format!("WARN: {}", clean(short)))
            }
            BuildEvent::Vertex(_) | BuildEvent::Log(_) => {}
        }
        if step.started()
            && (!printed.waiting.is_empty() || printed.number.is_none() || step.completed())
        {
            printed.since.get_or_insert(now);
        }
    }

    /// Prints what may be printed now.
    fn print(&mut self, now: SystemTime) -> io::Result<()> {
        let mut ready: Vec<usize> = Vec::new();
        let mut rest: Vec<usize> = Vec::new();
        for (index, printed) in self
            .printed
            .iter()
            .enumerate()
            .filter(|(_, printed)| printed.since.is_some())
        {
            let completed = self
                .steps
                .get(index)
                .is_some_and(|step| step.completed() && printed.end != step.vertex.completed);
            if completed {
                ready.push(index)
            } else {
                rest.push(index)
            }
        }
        // What has completed is said first, in the order of completion; the owner's end before all.
        let steps = &self.steps;
        ready.sort_by_key(|index| {
            (
                Some(*index) != self.current,
                steps.get(*index).and_then(|step| step.vertex.completed),
            )
        });
        for index in ready {
            self.step(index, now)?;
        }
        if let Some(current) = self.current.filter(|current| rest.contains(current)) {
            self.step(current, now)?;
            rest.retain(|index| *index != current);
        }
        let owned = self
            .current
            .and_then(|index| self.steps.get(index))
            .is_some_and(Step::running);
        // The one that has waited longest is next.
        rest.sort_by_key(|index| self.printed.get(*index).and_then(|printed| printed.since));
        for index in rest {
            let waited = self
                .printed
                .get(index)
                .and_then(|printed| printed.since)
                .map(|since| between(since, now));
            if !owned || waited.is_some_and(|waited| waited >= PATIENCE) {
                self.step(index, now)?;
                break;
            }
        }
        self.out.flush()
    }

    /// Prints all that waits of one step.
    fn step(&mut self, index: usize, now: SystemTime) -> io::Result<()> {
        let (Some(step), Some(printed)) = (self.steps.get(index), self.printed.get_mut(index))
        else {
            return Ok(());
        };
        let number = *printed.number.get_or_insert_with(|| {
            self.numbers += 1;
            self.numbers
        });
        let waiting = std::mem::take(&mut printed.waiting);
        printed.since = None;
        let ended = step.completed() && printed.end != step.vertex.completed;
        if self.current != Some(index) {
            if let Some(before) = self.current.replace(index) {
                let before_number = self
                    .printed
                    .get(before)
                    .and_then(|printed| printed.number)
                    .unwrap_or(0);
                if self.steps.get(before).is_some_and(Step::running) {
                    writeln!(self.out, "#{before_number} ...")?;
                }
                writeln!(self.out)?;
            }
            writeln!(self.out, "#{number} {}", clean(&step.vertex.name))?;
        }
        for line in waiting {
            writeln!(self.out, "#{number} {}", line.trim_end())?;
        }
        if ended {
            if let Some(printed) = self.printed.get_mut(index) {
                printed.end = step.vertex.completed;
            }
            match &step.vertex.error {
                Some(_) if step.vertex.cancelled() => writeln!(self.out, "#{number} CANCELED")?,
                Some(error) => writeln!(self.out, "#{number} ERROR: {}", clean(error))?,
                None if step.vertex.cached => writeln!(self.out, "#{number} CACHED")?,
                None => writeln!(self.out, "#{number} DONE {}", seconds(step.duration(now)))?,
            }
        }
        Ok(())
    }
}

impl Printed {
    /// Puts a status line in the queue if it says something new.
    fn status(&mut self, status: &VertexStatus, now: SystemTime) {
        let at = status.at.unwrap_or(now);
        let shown = ShownStatus {
            current: status.current,
            at,
            completed: status.completed.is_some(),
        };
        match self.statuses.iter_mut().find(|(id, _)| *id == status.id) {
            Some((_, old)) => {
                let further = (status.current - old.current) as f64
                    >= STATUS_PART * status.total.max(1) as f64;
                let news = (shown.completed && !old.completed)
                    || (status.total > 0 && further && status.current > old.current)
                    || between(old.at, at) >= STATUS_EVERY;
                if !news {
                    return;
                }
                *old = shown;
            }
            None => self.statuses.push((status.id.clone(), shown)),
        }
        let id = clean(&status.id);
        // Of one status only the newest line waits.
        let same = |line: &String| {
            line.strip_prefix(id.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        self.waiting.retain(|line| !same(line));
        self.waiting.push(status_line(&id, status));
    }
}

/// `ID[ CURRENT[ / TOTAL]][ SECONDSs][ done]`
fn status_line(id: &str, status: &VertexStatus) -> String {
    let mut line = id.to_owned();
    if status.total > 0 {
        line.push_str(&format!(
            " {} / {}",
            bytes(status.current),
            bytes(status.total)
        ));
    } else if status.current != 0 {
        line.push_str(&format!(" {}", bytes(status.current)));
    }
    let end = status.completed.or(status.at);
    let spent = status
        .started
        .zip(end)
        .map(|(start, end)| between(start, end));
    if let Some(spent) = spent.filter(|spent| *spent > Duration::from_millis(10)) {
        line.push_str(&format!(" {}", seconds(spent)));
    }
    if status.completed.is_some() {
        line.push_str(" done");
    }
    line
}

impl Renderer for Plain {
    fn events(&mut self, events: &[BuildEvent], now: SystemTime) -> io::Result<()> {
        for event in events {
            self.take(event, now);
        }
        Ok(())
    }

    fn tick_every(&self) -> Option<Duration> {
        Some(TICK)
    }

    fn tick(&mut self, now: SystemTime) -> io::Result<()> {
        self.print(now)
    }

    fn finish(&mut self, outcome: &Outcome, now: SystemTime) -> io::Result<()> {
        // Each round ends one step's turn at least.
        for _ in 0..=self.printed.len() {
            self.current = self.current.filter(|index| {
                self.printed
                    .get(*index)
                    .is_some_and(|printed| printed.since.is_some())
                    || self.printed.iter().all(|printed| printed.since.is_none())
            });
            self.print(now)?;
        }
        let summary = Summary::of(&self.steps, now).lines(outcome);
        if !summary.is_empty() {
            writeln!(self.out)?;
        }
        let last = epilogue::lines(&self.steps, outcome);
        for line in summary.into_iter().chain(last) {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::steps::testing::*;
    use super::*;
    use crate::progress::event::SourceExcerpt;

    fn rendered(events: &[BuildEvent], outcome: &Outcome) -> String {
        let sink = Sink::default();
        let mut plain = Plain::new(Box::new(sink.clone()));
        plain.events(events, at(0)).unwrap();
        plain.finish(outcome, at(0)).unwrap();
        sink.text()
    }

    /// The lines without times and sizes, which differ between runs.
    fn shape(text: &str) -> Vec<String> {
        let times = regex::Regex::new(r"\b\d+\.\d+s?\b|\d+(\.\d+)?k?M?B").unwrap();
        text.lines()
            .map(|line| {
                times
                    .replace_all(line, "_")
                    .replace(" _ done", " done")
                    .replace("_ done", "done")
            })
            .collect()
    }

    const GOOD: &str = include_str!("../../tests/fixtures/buildkit-v0.34.2/rawjson.jsonl");
    const BAD: &str = include_str!("../../tests/fixtures/buildkit-v0.34.2/rawjson-fail.jsonl");

    #[test]
    fn a_captured_build_reads_as_buildctl_shows_it() {
        let mut ours = shape(&rendered(&captured(GOOD), &Outcome::Done));
        // The figures at the end are ours alone.
        let figures = ours.iter().rposition(String::is_empty).unwrap();
        assert_eq!(
            ours.drain(figures..).nth(1).as_deref(),
            Some("9 steps, in _, _ transferred")
        );
        let theirs = shape(include_str!(
            "../../tests/fixtures/buildkit-v0.34.2/plain.txt"
        ));
        let sorted = |lines: &[String]| {
            // Steps of one moment may have changed places between the two runs, and so their numbers.
            let numbers = regex::Regex::new(r"^#\d+ ").unwrap();
            let mut lines: Vec<_> = lines
                .iter()
                .map(|line| numbers.replace(line, "# ").into_owned())
                .collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&ours), sorted(&theirs), "{}", ours.join("\n"));
    }

    #[test]
    fn a_captured_failure_ends_with_its_lines_and_its_place() {
        let source = SourceExcerpt {
            filename: "Dockerfile.fail".into(),
            text: "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN exit 7\n".into(),
            lines: vec![(4, 4)],
        };
        let outcome = Outcome::Failed {
            message: "process did not complete".into(),
            sources: vec![source],
        };
        let text = rendered(&captured(BAD), &outcome);
        insta::assert_snapshot!(shape(&text).join("\n"));
    }

    #[test]
    fn one_step_owns_the_output_until_it_is_done() {
        let sink = Sink::default();
        let mut plain = Plain::new(Box::new(sink.clone()));
        let mut play = |events: &[BuildEvent], millis| {
            plain.events(events, at(millis)).unwrap();
            plain.tick(at(millis)).unwrap();
        };
        play(
            &[vertex("a", "A", Some(0), None), log("a", "a1\n", 10)],
            100,
        );
        play(
            &[
                vertex("b", "B", Some(100), None),
                log("b", "b1\n", 110),
                log("a", "a2\n", 120),
            ],
            200,
        );
        play(&[log("b", "b2\n", 300)], 300);
        play(&[log("b", "b3\n", 5300)], 5400);
        play(&[vertex("a", "A", Some(0), Some(5500))], 5600);
        play(&[failed("b", "B", 100, 5700, "x: context canceled")], 5800);
        plain.finish(&Outcome::Done, at(6000)).unwrap();
        insta::assert_snapshot!(sink.text());
    }

    #[test]
    fn names_cannot_reach_the_terminal() {
        let text = rendered(
            &[
                vertex("a", "A\x1b[2J\nB", Some(0), Some(1)),
                log("a", "x\x1b]0;t\x07y\n", 1),
            ],
            &Outcome::Done,
        );
        assert!(!text.contains('\x1b'), "{text:?}");
    }
}
