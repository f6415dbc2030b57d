//! The result of a verification. Its serialised form is the JSON report: schema 1, to which fields may
//! be added and from which none goes. Times are whole microseconds.

use serde::Serialize;

use crate::trace::model::{Span, TraceId};
use crate::verify::completeness::Missing;
use crate::verify::finding::{Finding, Outcome, Severity};
use crate::verify::judge::{Held, Judged};
use crate::verify::poll::{Ending, Waited};
use crate::verify::rules::Rule;

/// Version of the JSON report.
const SCHEMA: u32 = 1;

/// The exit code when the trace is not there or its backend does not answer.
const NOT_FOUND: u8 = 4;

/// The result of a verification.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// 1.
    pub schema: u32,
    /// Who says so.
    pub tool: Tool,
    /// Of which trace.
    pub trace: TraceReport,
    /// Was all of it there?
    pub completeness: CompletenessReport,
    /// An entry for each finding, and one for each rule that passed or was skipped; in the order of
    /// the rules.
    pub results: Vec<ResultEntry>,
    /// Number of rules by their worst result.
    pub summary: Summary,
    /// 0 passed, 1 failed, 4 not there.
    pub exit_code: u8,
}

/// Who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tool {
    /// `dagger`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The trace that was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceReport {
    /// 32 hex digits.
    pub id: String,
    /// Where it was read: `jaeger`, `store` (the local one) or `file`.
    pub source: String,
    /// Its page, for people.
    pub url: String,
    /// Why this one.
    pub chosen: String,
    /// Name of the run's first span; absent if it is not there.
    pub root: Option<String>,
    /// Number of spans of the run.
    pub spans: usize,
    /// Their services.
    pub services: Vec<String>,
    /// Start of the run's first span, since the epoch.
    pub start: Option<u64>,
    /// Its length.
    pub duration_us: Option<u64>,
}

/// Was all of it there?
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CompletenessReport {
    /// How it is known: `report`, `settling`; or why it is not: `deadline`, `no-wait`, `refused`.
    pub by: String,
    /// How long was waited, in milliseconds.
    pub waited_ms: u64,
    /// Number of spans that had to come; absent without an export report.
    pub expected: Option<usize>,
    /// How many of them did, or without a report all that came.
    pub found: usize,
    /// Those that did not.
    pub missing: Vec<Missing>,
    /// Why the last read failed.
    pub error: Option<String>,
}

/// What one rule says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResultEntry {
    /// The rule's id.
    pub id: String,
    /// The rule's name.
    pub name: String,
    /// `invariant`, `expectation`, `budget`, `baseline`, `waiver`.
    pub kind: String,
    /// What came of it.
    pub status: Status,
    /// How bad it is, or would be.
    pub severity: Severity,
    /// What is wrong; why it was skipped; what was proved.
    pub message: String,
    /// What should be.
    pub expected: Option<String>,
    /// What is.
    pub actual: Option<String>,
    /// The spans it is about, 16 hex digits each.
    pub spans: Vec<String>,
    /// Further facts, each with its name.
    pub notes: Vec<Note>,
    /// Place in a plan or an expectation file; rules have none.
    pub location: Option<String>,
    /// What to do next.
    pub help: Option<String>,
}

/// A fact with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it is.
    pub name: String,
    /// The fact.
    pub text: String,
}

/// What came of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It holds.
    Pass,
    /// It could not look.
    Skip,
    /// It does not hold, and the project lets that pass.
    Waived,
    /// Worth a look.
    Warn,
    /// It does not hold.
    Fail,
}

/// Number of rules by their worst result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Hold.
    pub passed: usize,
    /// Do not hold.
    pub failed: usize,
    /// Are worth a look.
    pub warned: usize,
    /// Could not look.
    pub skipped: usize,
    /// Do not hold, which the project lets pass.
    pub waived: usize,
}

impl Summary {
    fn count(&mut self, entries: &[ResultEntry]) {
        let number = match entries.iter().map(|entry| entry.status).max() {
            Some(Status::Fail) => &mut self.failed,
            Some(Status::Warn) => &mut self.warned,
            Some(Status::Waived) => &mut self.waived,
            Some(Status::Skip) => &mut self.skipped,
            Some(Status::Pass) | None => &mut self.passed,
        };
        *number += 1;
    }
}

/// Which trace, and why this one.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The trace.
    pub trace: TraceId,
    /// Its page.
    pub url: String,
    /// Where it was read: `jaeger`, `store`, `file`.
    pub source: &'static str,
    /// Why this one.
    pub chosen: String,
}

/// What else fails a verification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strictness {
    /// A rule that could not look.
    pub skipped: bool,
    /// A warning.
    pub warnings: bool,
}

impl Report {
    /// Puts together what was waited for and what the rules say.
    pub fn new(subject: Subject, waited: &Waited, judged: &Judged, strictness: Strictness) -> Self {
        let mut results = Vec::new();
        let mut summary = Summary::default();
        for (rule, outcome) in &judged.outcomes {
            let entries = entries(rule, outcome, strictness);
            summary.count(&entries);
            results.extend(entries);
        }
        for held in &judged.held {
            let entries = entries_of(held, strictness);
            summary.count(&entries);
            results.extend(entries);
        }
        let exit_code = if judged.spans == 0 {
            NOT_FOUND
        } else {
            u8::from(summary.failed > 0 || (strictness.warnings && summary.warned > 0))
        };
        Self {
            schema: SCHEMA,
            tool: Tool {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            trace: trace(subject, judged),
            completeness: completeness(waited),
            results,
            summary,
            exit_code,
        }
    }
}

fn trace(subject: Subject, judged: &Judged) -> TraceReport {
    let root = judged.root.as_ref();
    let duration_us = |span: &Span| span.end_ns.saturating_sub(span.start_ns) / 1_000;
    TraceReport {
        id: subject.trace.to_string(),
        source: subject.source.to_owned(),
        url: subject.url,
        chosen: subject.chosen,
        root: root.map(|span| span.name.clone()),
        spans: judged.spans,
        services: judged.services.clone(),
        start: root.map(|span| span.start_ns / 1_000),
        duration_us: root.map(duration_us),
    }
}

fn completeness(waited: &Waited) -> CompletenessReport {
    let state = &waited.state;
    let by = match waited.ending {
        Ending::Report => "report",
        Ending::Settling => "settling",
        Ending::Deadline => "deadline",
        Ending::NoWait => "no-wait",
        Ending::Refused => "refused",
    };
    CompletenessReport {
        by: by.to_owned(),
        waited_ms: u64::try_from(waited.elapsed.as_millis()).unwrap_or(u64::MAX),
        expected: state.expected,
        found: match state.expected {
            Some(_) => state.found,
            None => state.spans,
        },
        missing: state.missing.clone(),
        error: waited.error.as_ref().map(ToString::to_string),
    }
}

fn entries(rule: &Rule, outcome: &Outcome, strictness: Strictness) -> Vec<ResultEntry> {
    let entry = entry(rule.id, rule.name, "invariant", rule.severity);
    of_outcome(&entry, rule.proves, outcome, strictness)
}

fn entries_of(held: &Held, strictness: Strictness) -> Vec<ResultEntry> {
    let mut entry = entry(held.id, &held.name, held.kind, held.severity);
    entry.location = held.place.as_ref().map(ToString::to_string);
    of_outcome(&entry, &held.proves, &held.outcome, strictness)
}

fn entry(id: &str, name: &str, kind: &str, severity: Severity) -> ResultEntry {
    ResultEntry {
        id: id.to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        status: Status::Pass,
        severity,
        message: String::new(),
        expected: None,
        actual: None,
        spans: Vec::new(),
        notes: Vec::new(),
        location: None,
        help: None,
    }
}

fn of_outcome(
    entry: &ResultEntry,
    proves: &str,
    outcome: &Outcome,
    strictness: Strictness,
) -> Vec<ResultEntry> {
    let plain = |status, message: &str| ResultEntry {
        status,
        message: message.to_owned(),
        ..entry.clone()
    };
    match outcome {
        Outcome::Skipped(reason) if strictness.skipped => {
            let mut entry = plain(
                Status::Fail,
                &format!("{} could not be checked: {reason}", entry.name),
            );
            entry.severity = Severity::Error;
            entry.help = Some("--strict fails what could not be checked".to_owned());
            vec![entry]
        }
        Outcome::Skipped(reason) => vec![plain(Status::Skip, reason)],
        Outcome::Checked(findings) if findings.is_empty() => {
            vec![plain(Status::Pass, proves)]
        }
        Outcome::Checked(findings) => findings
            .iter()
            .map(|finding| of_finding(plain(Status::Fail, &finding.message), finding))
            .collect(),
    }
}

fn of_finding(plain: ResultEntry, finding: &Finding) -> ResultEntry {
    let severity = finding.severity.unwrap_or(plain.severity);
    let note = |(name, text): &(&'static str, String)| Note {
        name: (*name).to_owned(),
        text: text.clone(),
    };
    let mut notes: Vec<Note> = finding.notes.iter().map(note).collect();
    notes.extend(
        finding
            .waived
            .iter()
            .map(|waived| note(&("waived", waived.clone()))),
    );
    ResultEntry {
        status: match severity {
            _ if finding.waived.is_some() => Status::Waived,
            Severity::Error => Status::Fail,
            Severity::Warn => Status::Warn,
        },
        severity,
        expected: finding.expected.clone(),
        actual: finding.actual.clone(),
        spans: finding.spans.iter().map(ToString::to_string).collect(),
        notes,
        help: finding.help.clone(),
        ..plain
    }
}
