//! `--confirm`: the build is run again before it counts as slower than former runs.
//!
//! Lives here: running the command, reading its trace, what is left of the findings. Elsewhere: the
//! comparison (`verify::baseline`), the former runs (`former`).

use std::collections::HashMap;
use std::ffi::OsString;
use std::process::Stdio;

use tokio::process::Command;

use super::former::{Compared, Likeness};
use super::source::{Reader, stored};
use super::{VerifyArgs, VerifyContext, VerifyError, random, say};
use crate::trace::model::{Span, SpanId, TraceId};
use crate::verify::poll::wait;
use crate::verify::{Held, Outcome, Target};

/// Runs the command again, as often as was asked, and makes warnings of the findings that did not come
/// again in more than half of the runs.
///
/// # Errors
/// When the command cannot be run, fails, or leaves no trace.
pub(super) async fn confirm(
    args: &VerifyArgs,
    compared: Compared,
    service: &str,
    reader: &Reader,
    context: &mut VerifyContext<'_>,
) -> Result<Vec<Held>, VerifyError> {
    let slower =
        |held: &Held| matches!(&held.outcome, Outcome::Checked(found) if !found.is_empty());
    let mut held = compared.held;
    let Some(times) = args.confirm.filter(|_| held.iter().any(slower)) else {
        return Ok(held);
    };
    let mut like = 0_u16;
    let mut again: HashMap<(String, String), u16> = HashMap::new();
    for number in 1..=times {
        let shown = format!("slower than usual: running it again ({number} of {times})\n");
        say(context.stderr, &shown);
        let spans = run_again(args, service, reader, context).await?;
        if Likeness::of(&spans) != compared.likeness {
            continue;
        }
        like += 1;
        let slower = compared.baseline.compare(&spans, &compared.former);
        for subject in slower.iter().flat_map(subjects) {
            *again.entry(subject).or_default() += 1;
        }
    }
    for one in &mut held {
        let name = one.name.clone();
        if let Outcome::Checked(findings) = &mut one.outcome {
            for finding in findings {
                let subject = (name.clone(), subject(&finding.message));
                let came = again.get(&subject).copied().unwrap_or_default();
                let note = if like == 0 {
                    "no run again found as much in its cache: it could not be confirmed".to_owned()
                } else {
                    format!("slower in {came} of {like} runs again")
                };
                finding.notes.push(("confirmed", note));
                if like > 0 && came * 2 <= like {
                    finding.severity = Some(crate::verify::Severity::Warn);
                }
            }
        }
    }
    Ok(held)
}

/// What the findings of a comparison are about: their numbers differ from run to run.
fn subjects(held: &Held) -> Vec<(String, String)> {
    match &held.outcome {
        Outcome::Checked(findings) => findings
            .iter()
            .map(|finding| (held.name.clone(), subject(&finding.message)))
            .collect(),
        Outcome::Skipped(_) => Vec::new(),
    }
}

fn subject(message: &str) -> String {
    let subject = message.split_once(" took ").map(|(subject, _)| subject);
    subject.unwrap_or(message).to_owned()
}

/// Runs the command in a trace of its own, and reads that from where the first one came.
async fn run_again(
    args: &VerifyArgs,
    service: &str,
    reader: &Reader,
    context: &mut VerifyContext<'_>,
) -> Result<Vec<Span>, VerifyError> {
    let failed = |problem: String| VerifyError::Again {
        command: shown(&args.again),
        problem,
    };
    let Some((program, rest)) = args.again.split_first() else {
        return Err(failed("nothing was given".into()));
    };
    let (trace, parent) =
        ids().ok_or_else(|| failed("this system has no random numbers".into()))?;
    let status = Command::new(program)
        .args(rest)
        .env("TRACEPARENT", format!("00-{trace}-{parent}-01"))
        .stdin(Stdio::null())
        // The report goes there.
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(format!("it ended with {status}")));
    }
    let answer = match reader {
        Reader::Held(_) => stored(context, trace).await?,
        Reader::Jaeger(_) => {
            let target = Target::of_trace(trace, Some(service.to_owned()), Some(parent));
            wait(reader, &target, &args.patience(), random, |_| ())
                .await
                .answer
        }
    };
    let spans = answer.map(|answer| answer.spans).unwrap_or_default();
    if spans.is_empty() {
        return Err(failed(format!(
            "its trace {trace} is not where the first one is: it has to heed TRACEPARENT and export there"
        )));
    }
    Ok(spans)
}

fn ids() -> Option<(TraceId, SpanId)> {
    let trace = getrandom::u64().ok()?;
    let (low, span) = (getrandom::u64().ok()?, getrandom::u64().ok()?);
    // All 0 is no id.
    Some((
        TraceId((u128::from(trace) << 64) | u128::from(low.max(1))),
        SpanId(span.max(1)),
    ))
}

fn shown(command: &[OsString]) -> String {
    let words = command.iter().map(|word| word.to_string_lossy());
    let words: Vec<_> = words.collect();
    crate::cli::redact::command_line(words.iter().map(AsRef::as_ref))
}
