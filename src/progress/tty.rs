//! Rows that are redrawn: one a step, under it the parts of its work and its last lines while it runs.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use super::epilogue;
use super::event::{BuildEvent, Outcome, VertexStatus};
use super::format::{between, bytes, seconds};
use super::renderer::{Options, Renderer};
use super::steps::{Line, Step, Steps};
use super::summary::Summary;
use super::text::{clean, cut, width};
use super::warnings::Warnings;

/// Time between two frames.
const FRAME: Duration = Duration::from_millis(100);

/// Last lines shown of a running step.
const OUTPUT_ROWS: usize = 6;

/// A rate of less time says little.
const RATE_AFTER: Duration = Duration::from_millis(500);

/// Used where the terminal does not say its size.
const SIZE: (u16, u16) = (80, 24);

/// A terminal narrower than this shows little; it must only not break.
const LEAST_COLUMNS: usize = 10;

/// Frames begin and end with these, so that a terminal that can shows each as a whole.
const BEGIN: &str = "\x1b[?2026h\x1b[?25l";
const END: &str = "\x1b[?2026l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// Redraws rows.
pub(super) struct Tty {
    out: Box<dyn Write + Send>,
    options: Options,
    steps: Steps,
    warnings: Warnings,
    began: Option<SystemTime>,
    /// Widths of the rows of the last frame: where it begins depends on how they wrap now.
    drawn: Vec<usize>,
    changed: bool,
}

/// How a row is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Done,
    Failed,
    Dim,
}

/// Something that has a row.
enum Item<'a> {
    Step(&'a Step),
    /// A part of a running step's work.
    Status(&'a VertexStatus),
    /// One of its last lines.
    Line(&'a Line),
    /// So many steps have no room.
    More(usize),
}

/// A row before it is fitted to the terminal.
struct Row {
    left: String,
    right: String,
    style: Style,
}

impl Tty {
    pub(super) fn new(out: Box<dyn Write + Send>, options: Options) -> Self {
        Self {
            out,
            options,
            steps: Steps::default(),
            warnings: Warnings::default(),
            began: None,
            drawn: Vec::new(),
            changed: true,
        }
    }

    fn size(&self) -> (usize, usize) {
        let (columns, rows) = (self.options.size)().unwrap_or(SIZE);
        (
            usize::from(columns).max(LEAST_COLUMNS),
            usize::from(rows).max(2),
        )
    }

    /// What there is to show; running steps come with their details. Nothing is made into text yet:
    /// most of a large build has no room.
    fn items(&self) -> Vec<Item<'_>> {
        let mut items = Vec::new();
        for step in self.steps.iter().filter(|step| step.started()) {
            items.push(Item::Step(step));
            if step.running() {
                items.extend(step.statuses.iter().map(Item::Status));
                let skipped = step.tail.len().saturating_sub(OUTPUT_ROWS);
                items.extend(step.tail.iter().skip(skipped).map(Item::Line));
            }
        }
        items
    }

    fn header(&self, state: &str, now: SystemTime) -> Row {
        let counts = self.steps.counts();
        let spent = self
            .began
            .map(|began| between(began, now))
            .unwrap_or_default();
        let left = format!(
            "[+] Building {} ({}/{})",
            seconds(spent),
            counts.completed,
            counts.total
        );
        Row {
            left: format!("{left}{state}"),
            right: String::new(),
            style: Style::Plain,
        }
    }

    /// Draws a frame over the last one. `all`: every row, also those that the terminal has no room for.
    fn draw(&mut self, state: &str, now: SystemTime, all: bool) -> io::Result<()> {
        let (columns, height) = self.size();
        let mut items = self.items();
        // The last row stays free for the cursor, the first is the header.
        let room = height - 2;
        if !all && items.len() > room {
            shorten(&mut items, room);
        }
        let header = std::iter::once(self.header(state, now));
        let rows: Vec<_> = header
            .chain(items.iter().map(|item| item.row(now)))
            .collect();
        let mut frame = String::from(BEGIN);
        let up: usize = self
            .drawn
            .iter()
            .map(|width| width.div_ceil(columns).max(1))
            .sum();
        if up > 0 {
            frame.push_str(&format!("\x1b[{up}A"));
        }
        frame.push('\r');
        self.drawn.clear();
        for row in &rows {
            let text = row.fitted(columns);
            self.drawn.push(width(&text));
            let (on, off) = self.colours(row.style);
            frame.push_str(&format!("{on}{text}{off}\x1b[K\n"));
        }
        frame.push_str("\x1b[J");
        frame.push_str(END);
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }

    fn colours(&self, style: Style) -> (&'static str, &'static str) {
        match style {
            _ if !self.options.colour => ("", ""),
            Style::Plain => ("", ""),
            Style::Done => ("\x1b[34m", "\x1b[0m"),
            Style::Failed => ("\x1b[31m", "\x1b[0m"),
            Style::Dim => ("\x1b[2m", "\x1b[0m"),
        }
    }
}

impl Row {
    /// The row in exactly the terminal's width less one column, so that it never wraps.
    fn fitted(&self, columns: usize) -> String {
        let columns = columns - 1;
        if self.right.is_empty() {
            return cut(&self.left, columns);
        }
        let right = cut(&self.right, columns);
        let room = columns.saturating_sub(width(&right) + 1);
        let left = cut(&self.left, room);
        let gap = (columns - width(&left)).saturating_sub(width(&right));
        format!("{left}{}{right}", " ".repeat(gap))
    }
}

fn step_row(step: &Step, now: SystemTime) -> Row {
    let name = clean(&step.vertex.name);
    let spent = seconds(step.duration(now));
    let (mark, style) = match () {
        () if step.vertex.failed() => ("ERROR ", Style::Failed),
        () if step.vertex.cancelled() => ("CANCELED ", Style::Dim),
        () if step.vertex.cached => ("CACHED ", Style::Done),
        () if step.completed() => ("", Style::Done),
        () => ("", Style::Plain),
    };
    Row {
        left: format!(" => {mark}{name}"),
        right: spent,
        style,
    }
}

/// A part of a step's work, with its rate while it goes on and on the whole once it is done.
fn status_row(status: &VertexStatus) -> Row {
    let mut left = format!(" => => {}", clean(&status.id));
    if status.total > 0 {
        left.push_str(&format!(
            " {} / {}",
            bytes(status.current),
            bytes(status.total)
        ));
    } else if status.current > 0 {
        left.push_str(&format!(" {}", bytes(status.current)));
    }
    let spent = status
        .started
        .zip(status.completed.or(status.at))
        .map(|(start, end)| between(start, end));
    let spent = spent.unwrap_or_default();
    if status.current > 0 && spent > RATE_AFTER {
        let rate = status.current as f64 / spent.as_secs_f64();
        left.push_str(&format!(" ({}/s)", bytes(rate as i64)));
    }
    Row {
        left,
        right: seconds(spent),
        style: Style::Plain,
    }
}

impl Item<'_> {
    fn row(&self, now: SystemTime) -> Row {
        match self {
            Self::Step(step) => step_row(step, now),
            Self::Status(status) => status_row(status),
            Self::Line(line) => Row {
                left: format!(" => => # {}", clean(&line.text)),
                right: String::new(),
                style: Style::Dim,
            },
            Self::More(count) => Row {
                left: format!(" => … and {count} more"),
                right: String::new(),
                style: Style::Dim,
            },
        }
    }

    fn is_done(&self) -> bool {
        matches!(self, Self::Step(step) if step.completed() && !step.vertex.failed())
    }

    fn is_failed(&self) -> bool {
        matches!(self, Self::Step(step) if step.vertex.failed())
    }
}

/// Leaves `room` rows. Finished steps go first, then what running ones print, then parts of their work,
/// then they themselves; each time the oldest first. Failures stay longest.
fn shorten(items: &mut Vec<Item<'_>>, room: usize) {
    let orders: [fn(&Item<'_>) -> bool; 3] = [
        |item| item.is_done(),
        |item| matches!(item, Item::Line(_)),
        |item| matches!(item, Item::Status(_)),
    ];
    for goes in orders {
        drop_oldest(items, room, goes);
    }
    if items.len() > room {
        let all = items.len();
        let left = room.saturating_sub(1);
        drop_oldest(items, left, |item| !item.is_failed());
        drop_oldest(items, left, |_| true);
        items.push(Item::More(all - items.len()));
        items.truncate(room);
    }
}

fn drop_oldest(items: &mut Vec<Item<'_>>, room: usize, goes: impl Fn(&Item<'_>) -> bool) {
    let mut over = items.len().saturating_sub(room);
    items.retain(|item| {
        let gone = over > 0 && goes(item);
        over -= usize::from(gone);
        !gone
    });
}

impl Renderer for Tty {
    fn events(&mut self, events: &[BuildEvent], now: SystemTime) -> io::Result<()> {
        self.began.get_or_insert(now);
        for event in events {
            self.steps.apply(event);
            if let BuildEvent::Warning(warning) = event {
                self.warnings.add(warning);
            }
        }
        self.changed = true;
        Ok(())
    }

    fn tick_every(&self) -> Option<Duration> {
        Some(FRAME)
    }

    fn tick(&mut self, now: SystemTime) -> io::Result<()> {
        // While nothing runs the clock in the header still does.
        if self.began.is_some() || self.changed {
            self.began.get_or_insert(now);
            self.changed = false;
            self.draw("", now, false)?;
        }
        Ok(())
    }

    fn finish(&mut self, outcome: &Outcome, now: SystemTime) -> io::Result<()> {
        let state = match outcome {
            Outcome::Done => " FINISHED",
            Outcome::Failed { .. } => " FAILED",
            Outcome::Cancelled => " CANCELED",
        };
        self.draw(state, now, true)?;
        self.drawn.clear();
        let (columns, _) = self.size();
        for line in Summary::of(&self.steps, now).lines(outcome) {
            writeln!(self.out, "{}", cut(&line, columns - 1))?;
        }
        for line in self.warnings.lines() {
            writeln!(self.out, "{line}")?;
        }
        for line in epilogue::lines(&self.steps, outcome) {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        // A terminal that is gone needs no cursor.
        let _ = self
            .out
            .write_all(SHOW_CURSOR.as_bytes())
            .and_then(|()| self.out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::super::steps::testing::*;
    use super::*;

    fn tty(columns: u16, rows: u16) -> (Tty, Sink) {
        let sink = Sink::default();
        let options = Options {
            colour: false,
            quiet: false,
            size: Box::new(move || Some((columns, rows))),
        };
        (Tty::new(Box::new(sink.clone()), options), sink)
    }

    /// The rows of the last frame, as a person sees them.
    fn seen(sink: &Sink) -> String {
        let text = sink.text();
        let frame = text.rsplit(BEGIN).next().unwrap_or_default();
        frame
            .replace("\x1b[K", "")
            .replace("\x1b[J", "")
            .replace(END, "")
            .trim_start_matches("\x1b[")
            .to_owned()
    }

    fn events() -> Vec<BuildEvent> {
        vec![
            vertex(
                "a",
                "[internal] load build definition from Dockerfile",
                Some(0),
                Some(40),
            ),
            vertex(
                "b",
                "[base 1/2] RUN 日本語 && a-long-command --with many --arguments and more",
                Some(50),
                None,
            ),
            log(
                "b",
                "compiling\n10%\r20%\nwarning: \x1b[31mred\x1b[0m\n",
                60,
            ),
            vertex("c", "[internal] load build context", Some(50), None),
            status("c", "transferring context:", 2_130_000, 4_000_000, None),
            failed("d", "[x] RUN false", 60, 900, "boom"),
            failed("e", "[y] RUN sleep 9", 60, 900, "process: context canceled"),
            vertex("f", "queued", None, None),
        ]
    }

    #[test]
    fn a_frame_at_80_columns() {
        let (mut tty, sink) = tty(80, 24);
        tty.events(&events(), at(0)).unwrap();
        tty.tick(at(1200)).unwrap();
        insta::assert_snapshot!(seen(&sink));
    }

    #[test]
    fn a_frame_at_40_columns() {
        let (mut tty, sink) = tty(40, 24);
        tty.events(&events(), at(0)).unwrap();
        tty.tick(at(1200)).unwrap();
        insta::assert_snapshot!(seen(&sink));
    }

    #[test]
    fn finished_steps_make_room_for_running_ones() {
        let (mut tty, sink) = tty(80, 8);
        let many: Vec<_> = (0..50)
            .map(|n| {
                vertex(
                    &format!("d{n}"),
                    &format!("step {n}"),
                    Some(0),
                    (n % 10 != 0).then_some(1),
                )
            })
            .collect();
        tty.events(&many, at(0)).unwrap();
        tty.tick(at(1000)).unwrap();
        let rows: Vec<_> = seen(&sink)
            .lines()
            .skip(1)
            .map(|row| row.trim().to_owned())
            .collect();
        assert!(
            rows.len() <= 7
                && ["step 0", "step 10", "step 40"]
                    .iter()
                    .all(|name| rows.iter().any(|row| row.contains(name))),
            "{rows:?}"
        );
    }

    #[test]
    fn more_running_steps_than_rows_are_counted_and_failures_stay() {
        let (mut tty, sink) = tty(80, 8);
        let mut many: Vec<_> = (0..50)
            .map(|n| vertex(&format!("d{n}"), &format!("step {n}"), Some(0), None))
            .collect();
        many.insert(0, failed("x", "the culprit", 0, 5, "boom"));
        many.push(log("d3", "a line\n", 5));
        tty.events(&many, at(0)).unwrap();
        tty.tick(at(1000)).unwrap();
        let shown = seen(&sink);
        let rows: Vec<_> = shown.lines().skip(1).map(str::trim).collect();
        assert!(
            rows.len() == 6
                && rows.iter().any(|row| row.contains("the culprit"))
                && rows.iter().any(|row| row.contains("step 49"))
                && rows.iter().any(|row| row.contains("and 46 more")),
            "{rows:#?}"
        );
    }

    #[test]
    fn a_flood_of_output_costs_a_frame_a_tick_and_a_screen_a_frame() {
        const TICKS: u64 = 10;
        const LINES: usize = 10_000;
        let (columns, rows) = (120, 40);
        let (mut tty, sink) = tty(columns, rows);
        let steps: Vec<_> = (0..500)
            .map(|n| vertex(&format!("d{n}"), &format!("step {n} 日本語"), Some(0), None))
            .collect();
        tty.events(&steps, at(0)).unwrap();
        let line = "x".repeat(200) + "\n";
        let flood: Vec<_> = (0..LINES)
            .map(|n| log(&format!("d{}", n % 500), &line, 1))
            .collect();
        for tick in 1..=TICKS {
            let before = sink.text().len();
            tty.events(&flood, at(tick * 100)).unwrap();
            assert_eq!(
                sink.text().len(),
                before,
                "nothing is written between frames"
            );
            tty.tick(at(tick * 100)).unwrap();
            let frame = sink.text().len() - before;
            // A letter has at most four bytes; colours and the ends of rows are few.
            let screen = usize::from(rows) * (usize::from(columns) * 4 + 16) + 64;
            assert!(frame <= screen, "a frame of {frame} bytes");
        }
        assert_eq!(sink.text().matches(BEGIN).count() as u64, TICKS);
        let kept: usize = tty.steps.iter().map(|step| step.tail.len()).sum();
        assert!(
            kept <= 500 * super::super::steps::TAIL_LINES,
            "{kept} lines are kept"
        );
    }

    #[test]
    fn the_end_says_where_the_time_went_in_one_column_less_than_there_is() {
        let (mut tty, sink) = tty(20, 24);
        tty.events(
            &[vertex("a", "a long name of a step", Some(0), Some(2000))],
            at(0),
        )
        .unwrap();
        tty.finish(&Outcome::Done, at(2000)).unwrap();
        let text = sink.text();
        let last: Vec<_> = text.lines().rev().take(2).collect();
        assert_eq!(
            last,
            [
                "    2.0s  a long n…",
                "\u{1b}[J\u{1b}[?2026l1 step, in 2.0s"
            ]
        );
    }

    #[test]
    fn a_narrowed_terminal_is_cleared_to_where_the_frame_began() {
        let size = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(80));
        let sink = Sink::default();
        let shared = size.clone();
        let size_of = move || Some((shared.load(std::sync::atomic::Ordering::Relaxed), 24));
        let options = Options {
            colour: false,
            quiet: false,
            size: Box::new(size_of),
        };
        let mut tty = Tty::new(Box::new(sink.clone()), options);
        tty.events(&[vertex("a", "x", Some(0), None)], at(0))
            .unwrap();
        tty.tick(at(100)).unwrap();
        size.store(40, std::sync::atomic::Ordering::Relaxed);
        tty.tick(at(200)).unwrap();
        // The header is short; the step's row of 79 columns now takes two.
        assert!(sink.text().contains("\x1b[3A"), "{:?}", sink.text());
    }

    proptest::proptest! {
        #[test]
        fn no_row_is_wider_than_the_terminal(name in "(\\PC|[\\x00-\\x1f]){0,60}", columns in 1u16..100, rows in 1u16..30) {
            let (mut tty, sink) = tty(columns, rows);
            tty.events(&[vertex("a", &name, Some(0), None), log("a", &name, 1)], at(0)).unwrap();
            tty.tick(at(5)).unwrap();
            let shown = seen(&sink);
            for row in shown.lines() {
                let row = row.trim_start_matches('\r');
                proptest::prop_assert!(width(row) < usize::from(columns).max(LEAST_COLUMNS), "{row:?}");
                proptest::prop_assert!(!row.contains('\x1b'));
            }
        }
    }
}
