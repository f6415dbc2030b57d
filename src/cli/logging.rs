//! The log on standard error: what `tracing` says beside the trace.

use clap::ValueEnum;
use tracing::{Metadata, level_filters::LevelFilter};

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Level {
    /// Nothing but failures
    Error,
    /// Also what may be wrong
    Warn,
    /// Also what is done
    Info,
    /// Also why
    Debug,
    /// Everything
    Trace,
}

impl Level {
    /// The level after so many `-v`.
    pub(super) fn raised(self, verbose: u8) -> Self {
        let asked = match verbose {
            0 => return self,
            1 => Self::Info,
            2 => Self::Debug,
            _ => Self::Trace,
        };
        if asked.filter() > self.filter() {
            asked
        } else {
            self
        }
    }

    fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }

    /// Is this for the log? Span events (field `event`) belong to the trace, not to it.
    pub(super) fn wants(self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= self.filter()
            && metadata.target().starts_with("dagger")
            && metadata.fields().field("event").is_none()
    }
}
