//! `dagger trace verify`: proves that a trace in Jaeger is whole.
//!
//! Lives here: the flags, choosing the trace, what goes to which stream. Elsewhere: waiting, rules and
//! reports (`verify`), the query client and the run records (`trace`).

mod again;
mod choose;
pub(super) mod expected;
mod former;
mod reports;
mod secrets;
mod settle;
mod source;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use thiserror::Error;

use crate::trace::error::TraceError;
use crate::trace::jaeger::Answer;
use crate::trace::model::{Span, TraceId};
use crate::trace::store::StoreError;
use crate::verify::expect::{Baseline, Expectations};
use crate::verify::poll::{Patience, Source as _, Waited, wait};
use crate::verify::report::{Report, Strictness, Style, Subject, json, text};
use crate::verify::waiting::WaitingLine;
use crate::verify::{Held, Profile, Target, Tolerance, judge_with};

use super::{duration, trace_rules};
use reports::ReportTo;
use settle::Settling;
pub(super) use source::SourceArgs;
use source::{Opened, open};

/// Arguments of `dagger trace verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    source: SourceArgs,

    /// Whose build it is; only the rules that apply to it are asked
    #[arg(long, value_enum, default_value_t = Profile::Dagger, value_name = "CLIENT")]
    profile: Profile,

    /// How the result is printed on standard output
    #[arg(long, value_enum, default_value_t = ReportFormat::Text, value_name = "FORMAT")]
    format: ReportFormat,

    /// Write a report, to standard output or a file: text, json, junit, github, markdown or sarif;
    /// may be repeated
    #[arg(long = "report", value_name = "FORMAT[=FILE]")]
    reports: Vec<ReportTo>,

    /// Fail also when a rule could not be checked
    #[arg(long)]
    strict: bool,

    /// Fail also on warnings
    #[arg(long)]
    deny_warnings: bool,

    /// How bad a rule's findings are: `T003=off`, `warn` or `error`; may be repeated
    #[arg(long = "rule", value_name = "ID=LEVEL", value_parser = trace_rules::level)]
    rules: Vec<trace_rules::Level>,

    /// What the trace is expected to be
    /// [default: `trace.expect.yaml` in this directory, if it is there]
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// Expect nothing but what the rules say, though there is a `trace.expect.yaml`
    #[arg(long, conflicts_with = "expect")]
    no_expect: bool,

    /// Compare with the last N runs that did the same, of the local store or else of the Jaeger that the trace
    /// is in, and fail if this one is slower than usual
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(3..=1000))]
    baseline: Option<u16>,

    /// Before it counts as slower than former runs: run COMMAND again, N times; what is not slower in more than
    /// half of those is a warning
    #[arg(long, value_name = "N", requires = "again", conflicts_with = "from",
          value_parser = clap::value_parser!(u16).range(1..=100))]
    confirm: Option<u16>,

    /// The command that made the trace, for --confirm, e.g. `-- dagger up`
    #[arg(last = true, value_name = "COMMAND", requires = "confirm")]
    again: Vec<OsString>,

    /// How long to wait for a complete trace
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    timeout: Duration,

    /// Without a run record: how long nothing new may come before the trace counts as complete
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration::parse)]
    settle: Duration,

    /// First pause between two reads; pauses grow to 3 s
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = duration::parse)]
    interval: Duration,

    /// How far the daemon's clock may be from ours
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration::parse)]
    clock_tolerance: Duration,

    /// Read once, and judge what is there
    #[arg(long)]
    no_wait: bool,

    /// Show also the rules that passed or were skipped
    #[arg(short, long)]
    verbose: bool,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// For people
    Text,
    /// For machines: schema 1
    Json,
}

/// The world as `verify` sees it.
pub struct VerifyContext<'a> {
    /// Where `dagger` keeps its state; `None` if the user has no home.
    pub state_dir: Option<PathBuf>,
    /// The working directory, absolute: the last run of it is meant if no id is given.
    pub directory: PathBuf,
    /// Looks up an environment variable.
    pub var: &'a (dyn Fn(&str) -> Option<String> + Send + Sync),
    /// Where the report goes.
    pub stdout: &'a mut (dyn Write + Send),
    /// Where everything else goes.
    pub stderr: &'a mut (dyn Write + Send),
    /// May the report have colours?
    pub stdout_colour: bool,
    /// May the waiting line be redrawn?
    pub stderr_live: bool,
}

/// How a verification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// The trace is what it should be.
    Passed,
    /// It is there, and is not.
    Failed,
    /// It is not there, or Jaeger does not answer.
    NotFound,
}

impl ExitStatus {
    /// The process's exit code (see `docs/design.md`).
    pub fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::NotFound => 4,
        }
    }
}

/// Why nothing was verified.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// What was given is neither an id nor a page.
    #[error("`{given}` is neither a trace id nor the address of a trace")]
    Id {
        /// What was given, without credentials.
        given: String,
    },
    /// Neither an id nor a run.
    #[error("no trace to verify: no run of `{}` is recorded", directory.display())]
    NoRun {
        /// Whose last run was looked for.
        directory: PathBuf,
    },
    /// The record of the run makes no sense.
    #[error("the run record of trace {trace} holds what is no id")]
    Record {
        /// The trace.
        trace: String,
        /// What it holds.
        source: crate::trace::model::IdError,
    },
    /// The URL cannot be read, or run records cannot be listed.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The report cannot be made.
    #[error("cannot write the report as JSON")]
    Json(#[from] serde_json::Error),
    /// What was named as a trace's file is none.
    #[error("the file `{}` {problem}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The trace is not in the place.
    #[error("trace {trace} is not there: {page}")]
    Absent {
        /// The trace.
        trace: TraceId,
        /// Its page, or the name of the place.
        page: String,
    },
    /// The build cannot be run again.
    #[error("cannot run `{command}` again to confirm that it is slower: {problem}")]
    Again {
        /// The command, secrets struck out.
        command: String,
        /// What is wrong.
        problem: String,
    },
    /// Something in an expectation file is wrong.
    #[error("{0}")]
    Expect(Box<crate::document::Fault>),
    /// The local store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A report cannot be written.
    #[error("cannot write the report `{}`", file.display())]
    ReportFile {
        /// Where it was to go.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The result cannot be told.
    #[error("cannot write the result")]
    Write(#[from] io::Error),
}

impl VerifyError {
    /// The process's exit code (see `docs/design.md`).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Id { .. }
            | Self::NoRun { .. }
            | Self::Record { .. }
            | Self::File { .. }
            | Self::Expect(_) => 2,
            Self::Trace(error) if error.is_usage() => 2,
            Self::Trace(_) | Self::Store(_) | Self::Absent { .. } => 4,
            Self::Json(_) | Self::Write(_) | Self::ReportFile { .. } | Self::Again { .. } => 1,
        }
    }

    /// What to do next.
    pub fn help(&self) -> String {
        match self {
            Self::Id { .. } => {
                "give 16 or 32 hex digits, or paste the address of the trace's page".into()
            }
            Self::NoRun { .. } => "run `dagger up` here first, or give the trace's id, which \
                                   `dagger up` prints at its end"
                .into(),
            Self::Record { .. } => "give the trace's id; without its record less is checked".into(),
            Self::Trace(error) => error.help(),
            Self::Store(error) => error.help().to_string(),
            Self::Again { .. } => {
                "give the command that made the trace after `--`, as it was".into()
            }
            Self::Absent { .. } => {
                "it may still be on its way: `dagger trace verify` waits for it".into()
            }
            Self::Expect(fault) if !fault.help.is_empty() => fault.help.clone(),
            Self::Expect(_) => "docs/expectations.md says what may be written".into(),
            Self::File { .. } => {
                "save the answer of Jaeger's `/api/traces/ID?raw=true` and give that".into()
            }
            Self::ReportFile { .. } => {
                "see whether the directory is there and can be written".into()
            }
            Self::Json(_) | Self::Write(_) => "see where standard output goes".into(),
        }
    }
}

/// Verifies one trace: chooses it, waits for it, judges it and prints the report.
///
/// # Errors
/// When the arguments make no sense, before any network call; or when the result cannot be written.
/// That the trace is not there or Jaeger does not answer is a result.
pub async fn run(
    args: &VerifyArgs,
    context: &mut VerifyContext<'_>,
) -> Result<ExitStatus, VerifyError> {
    let expectations = expected::load(args.expect.as_deref(), args.no_expect, &context.directory)?;
    let longest = if args.patience().no_wait {
        args.source.request_timeout
    } else {
        args.timeout
    };
    let Opened {
        chosen,
        reader,
        kind,
        page,
    } = open(&args.source, context, longest).await?;
    let (known, unknown) = secrets::known(&chosen.secrets, context);
    let (mut target, warnings) = (chosen.target, [chosen.warnings, unknown].concat());
    target.secrets = known;
    if args.profile == Profile::Buildkit {
        target = target.of_other_client(args.source.service.is_some());
    }
    warn(context, &warnings);
    let verifying = format!("verifying trace {} ({})\n", target.trace, chosen.why);
    say(context.stderr, &verifying);
    let subject = Subject {
        trace: target.trace,
        url: page,
        source: kind,
        chosen: chosen.why,
    };
    let mut patience = args.patience();
    patience.no_wait |= !reader.grows();
    let mut line = WaitingLine::new(target.trace, context.stderr_live);
    let settling = match reader.jaeger() {
        Some(jaeger) if !patience.no_wait => {
            Settling::begin(target.trace, jaeger.url(), args.timeout, context)
        }
        _ => None,
    };
    let waited = {
        let stderr = &mut *context.stderr;
        wait(&reader, &target, &patience, random, |progress| {
            if let Some(text) = line.update(progress) {
                say(stderr, &text);
            }
        })
        .await
    };
    if let Some(text) = line.finish(&waited) {
        say(context.stderr, &text);
    }
    let sent = match settling {
        Some(settling) => settling.end().await,
        None => 0,
    };
    if sent > 0 {
        let sent =
            format!("{sent} spans of the daemon had not come by themselves: they were sent\n");
        say(context.stderr, &sent);
    }
    let baseline = match (args.baseline, expectations.baseline.clone()) {
        (Some(runs), Some(baseline)) => Some(Baseline {
            runs: runs.into(),
            ..baseline
        }),
        (Some(runs), None) => Some(Baseline::of_everything(runs.into())),
        (None, baseline) => baseline,
    };
    let compared = match (baseline, &waited.answer) {
        (Some(baseline), Some(answer)) => {
            let spans = &answer.spans;
            let jaeger = reader.jaeger();
            let compared = former::compare(baseline, target.trace, spans, jaeger, context).await?;
            again::confirm(args, compared, &target.service, &reader, context).await?
        }
        _ => Vec::new(),
    };
    let expected = (&expectations, compared);
    let ended = report(args, context, &target, subject, &waited, expected);
    // The process ends now; to take a large trace apart first, text by text, would only take time.
    std::mem::forget(waited);
    ended
}

/// Reads a trace once, as it is now; which one was taken, and why, goes to standard error.
///
/// # Errors
/// When the arguments make no sense, the place cannot be read, or the trace is not there.
pub(super) async fn read_once(
    args: &SourceArgs,
    context: &mut VerifyContext<'_>,
) -> Result<Vec<Span>, VerifyError> {
    let Opened {
        chosen,
        reader,
        page,
        ..
    } = open(args, context, args.request_timeout).await?;
    warn(context, &chosen.warnings);
    let trace = chosen.target.trace;
    say(context.stderr, &format!("trace {trace} ({})\n", chosen.why));
    let answer = reader.read(trace).await?;
    let spans = answer.map(|answer| answer.spans).unwrap_or_default();
    if spans.is_empty() {
        return Err(VerifyError::Absent { trace, page });
    }
    Ok(spans)
}

fn warn(context: &mut VerifyContext<'_>, warnings: &[String]) {
    for warning in warnings {
        say(context.stderr, &format!("warning: {warning}\n"));
    }
}

/// Writes to standard error; that it is closed is no reason not to verify.
fn say(stderr: &mut (dyn Write + Send), text: &str) {
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

fn report(
    args: &VerifyArgs,
    context: &mut VerifyContext<'_>,
    target: &Target,
    subject: Subject,
    waited: &Waited,
    (expectations, compared): (&Expectations, Vec<Held>),
) -> Result<ExitStatus, VerifyError> {
    let nothing = Answer::default();
    let answer = waited.answer.as_ref().unwrap_or(&nothing);
    let tolerance = Tolerance {
        clocks: args.clock_tolerance,
        now_ns: now_ns(),
        ..Tolerance::default()
    };
    let error = waited.error.as_ref();
    let mut judged = judge_with(target, answer, error, tolerance, expectations, compared);
    judged.set_levels(&args.rules);
    let strictness = Strictness {
        skipped: args.strict,
        warnings: args.deny_warnings,
    };
    let report = Report::new(subject, waited, &judged, strictness);
    let printed = match args.format {
        ReportFormat::Json => json(&report)?,
        ReportFormat::Text => text(
            &report,
            Style {
                colour: context.stdout_colour,
                verbose: args.verbose,
            },
        ),
    };
    context.stdout.write_all(printed.as_bytes())?;
    reports::write(&args.reports, &report, context)?;
    context.stdout.flush()?;
    Ok(match report.exit_code {
        0 => ExitStatus::Passed,
        4 => ExitStatus::NotFound,
        _ => ExitStatus::Failed,
    })
}

/// The least that a request is given, also with `--timeout 0`.
const SHORTEST_REQUEST: Duration = Duration::from_millis(100);

impl VerifyArgs {
    fn patience(&self) -> Patience {
        Patience {
            timeout: self.timeout,
            settle: self.settle,
            interval: self.interval,
            no_wait: self.no_wait || self.timeout.is_zero(),
        }
    }
}

/// The time, in nanoseconds since the epoch.
fn now_ns() -> Option<u64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.ok().and_then(|now| u64::try_from(now.as_nanos()).ok())
}

/// A number from 0 to 1, for the pauses between reads; the middle if the system has none.
fn random() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
