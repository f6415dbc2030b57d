//! Nothing but failures.

use std::io::{self, Write};
use std::time::SystemTime;

use super::epilogue;
use super::event::{BuildEvent, Outcome};
use super::renderer::Renderer;
use super::steps::Steps;

/// Shows nothing unless the build fails.
pub(super) struct Quiet {
    out: Box<dyn Write + Send>,
    steps: Steps,
}

impl Quiet {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            steps: Steps::default(),
        }
    }
}

impl Renderer for Quiet {
    fn events(&mut self, events: &[BuildEvent], _: SystemTime) -> io::Result<()> {
        for event in events {
            self.steps.apply(event);
        }
        Ok(())
    }

    fn finish(&mut self, outcome: &Outcome, _: SystemTime) -> io::Result<()> {
        for line in epilogue::lines(&self.steps, outcome) {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }
}
