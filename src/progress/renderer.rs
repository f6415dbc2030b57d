//! What all renderers have in common, and how one is chosen.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use super::event::{BuildEvent, Outcome};
use super::json::Json;
use super::plain::Plain;
use super::quiet::Quiet;
use super::tty::Tty;

/// One way to show a build. It knows neither the daemon nor the clock: `now` is the caller's.
pub trait Renderer: Send {
    /// Takes events, in order.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn events(&mut self, events: &[BuildEvent], now: SystemTime) -> io::Result<()>;

    /// How often [`tick`](Self::tick) is to be called; `None`: never.
    fn tick_every(&self) -> Option<Duration> {
        None
    }

    /// Time has passed.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn tick(&mut self, now: SystemTime) -> io::Result<()> {
        let _ = now;
        Ok(())
    }

    /// The build has ended: shows what is left and, of a failure, why.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn finish(&mut self, outcome: &Outcome, now: SystemTime) -> io::Result<()>;
}

/// How a build is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Rows that are redrawn.
    Tty,
    /// Lines in the form of `buildctl --progress=plain`.
    Plain,
    /// One JSON object a line.
    Json,
}

/// What the terminal can do and the user wants.
pub struct Options {
    /// May it be coloured?
    pub colour: bool,
    /// Only failures are shown.
    pub quiet: bool,
    /// Columns and rows, asked before each frame.
    pub size: Box<dyn Fn() -> Option<(u16, u16)> + Send>,
}

/// A renderer that writes to `out`.
pub fn renderer(format: Format, options: Options, out: Box<dyn Write + Send>) -> Box<dyn Renderer> {
    match format {
        Format::Json => Box::new(Json::new(out, options.quiet)),
        Format::Tty | Format::Plain if options.quiet => Box::new(Quiet::new(out)),
        Format::Plain => Box::new(Plain::new(out)),
        Format::Tty => Box::new(Tty::new(out, options)),
    }
}
