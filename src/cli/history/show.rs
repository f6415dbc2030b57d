//! Records of builds as text and as JSON. What other clients wrote into them is made harmless first.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::buildkit::{Blob, BuildRecord, BuildState};
use crate::cli::engine::Format;
use crate::cli::redact;
use crate::progress::{bytes, clean, rfc3339};

/// Columns of the list, but for the last one.
const COLUMNS: usize = 5;

/// The build's name, fit to be shown.
pub(super) fn id(record: &BuildRecord) -> String {
    clean(&record.build)
}

/// Prints a list.
pub(super) fn records(
    records: &[BuildRecord],
    format: Format,
    now: SystemTime,
    out: &mut impl Write,
) -> io::Result<()> {
    if format == Format::Json {
        let all: Vec<_> = records.iter().map(as_json).collect();
        return writeln!(out, "{:#}", json!({"schema": 1, "builds": all}));
    }
    let head = ["BUILD", "STATE", "STEPS", "CREATED", "TOOK"].map(str::to_owned);
    let mut rows = vec![(head, "WHAT".to_owned())];
    rows.extend(records.iter().map(|record| row(record, now)));
    let mut widths = [0; COLUMNS];
    for (row, _) in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for (row, what) in rows {
        for (cell, width) in row.iter().zip(widths) {
            write!(out, "{cell:<width$}  ")?;
        }
        writeln!(out, "{what}")?;
    }
    Ok(())
}

fn row(record: &BuildRecord, now: SystemTime) -> ([String; COLUMNS], String) {
    let pinned = if record.pinned { ", pinned" } else { "" };
    let steps = record.steps;
    let cells = [
        id(record),
        format!("{}{pinned}", state(&record.state)),
        format!(
            "{}/{}, {} cached",
            steps.completed, steps.total, steps.cached
        ),
        record
            .created
            .map_or_else(String::new, |created| ago(between(created, now))),
        took(record, now),
    ];
    (cells, what(record))
}

/// Prints one record. `trace`: the trace that it belongs to, if that is known.
pub(super) fn record(
    record: &BuildRecord,
    trace: Option<&str>,
    format: Format,
    now: SystemTime,
    out: &mut impl Write,
) -> io::Result<()> {
    if format == Format::Json {
        let mut all = as_json(record);
        if let Some(all) = all.as_object_mut() {
            all.insert("trace_id".to_owned(), trace.into());
        }
        return writeln!(out, "{all:#}");
    }
    let mut line = |name: &str, value: &str| writeln!(out, "{name:<10} {value}");
    line("build", &id(record))?;
    match &record.state {
        BuildState::Failed(why) => line("state", &format!("failed: {}", clean(why)))?,
        other => line("state", state(other))?,
    }
    line("what", &what(record))?;
    let time = |time: Option<SystemTime>| time.map_or_else(|| "-".to_owned(), rfc3339);
    line("created", &time(record.created))?;
    line("completed", &time(record.completed))?;
    line("took", &took(record, now))?;
    let steps = record.steps;
    line(
        "steps",
        &format!(
            "{} of {}, {} cached",
            steps.completed, steps.total, steps.cached
        ),
    )?;
    line("warnings", &record.warnings.to_string())?;
    line("pinned", if record.pinned { "yes" } else { "no" })?;
    if !record.exporters.is_empty() {
        line("exported", &clean(&record.exporters.join(" ")))?;
    }
    let blob = |blob: &Option<Blob>| {
        blob.as_ref().map_or_else(
            || "-".to_owned(),
            |blob| format!("{}, {}", clean(&blob.digest), bytes(blob.bytes)),
        )
    };
    line("logs", &blob(&record.logs))?;
    line("spans", &blob(&record.trace))?;
    line("trace", trace.unwrap_or("-"))?;
    for (key, value) in attrs(record) {
        line("told", &format!("{key}={value}"))?;
    }
    for (key, value) in &record.response {
        line("answered", &clean(&format!("{key}={value}")))?;
    }
    Ok(())
}

fn state(state: &BuildState) -> &'static str {
    match state {
        BuildState::Running => "running",
        BuildState::Done => "done",
        BuildState::Cancelled => "cancelled",
        BuildState::Failed(_) => "failed",
    }
}

/// What was built, in a few words.
fn what(record: &BuildRecord) -> String {
    if record.frontend.is_empty() {
        return "LLB".to_owned();
    }
    let attrs: Vec<_> = attrs(record).collect();
    let attr = |name: &str| {
        let found = attrs.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone())
    };
    let mut words = vec![clean(&record.frontend)];
    words.extend(attr("source"));
    words.extend(attr("context"));
    words.extend(attr("filename"));
    words.extend(attr("target").map(|target| format!("[{target}]")));
    words.join(" ")
}

/// What the frontend was told, without what looks secret.
fn attrs(record: &BuildRecord) -> impl Iterator<Item = (String, String)> {
    record.attrs.iter().map(|(key, value)| {
        let shown = redact::command_line([format!("{key}={value}").as_str()]);
        let value = shown.strip_prefix(&format!("{key}=")).unwrap_or("***");
        (clean(key), clean(value))
    })
}

fn took(record: &BuildRecord, now: SystemTime) -> String {
    record.created.map_or_else(String::new, |created| {
        let spent = between(created, record.completed.unwrap_or(now));
        format!("{:.1}s", spent.as_secs_f64())
    })
}

fn between(start: SystemTime, end: SystemTime) -> Duration {
    end.duration_since(start).unwrap_or_default()
}

fn ago(length: Duration) -> String {
    match length.as_secs() {
        seconds @ 0..60 => format!("{seconds} s ago"),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

fn as_json(record: &BuildRecord) -> Value {
    let blob = |blob: &Option<Blob>| {
        blob.as_ref().map(|blob| {
            json!({"media_type": blob.media_type, "digest": blob.digest, "bytes": blob.bytes})
        })
    };
    let attrs: Map<String, Value> = attrs(record)
        .map(|(key, value)| (key, value.into()))
        .collect();
    let error = match &record.state {
        BuildState::Failed(why) => Some(why),
        _ => None,
    };
    json!({
        "build": record.build,
        "state": state(&record.state),
        "error": error,
        "frontend": record.frontend,
        "attrs": attrs,
        "exporters": record.exporters,
        "response": record.response,
        "created": record.created.map(rfc3339),
        "completed": record.completed.map(rfc3339),
        "steps": {
            "total": record.steps.total,
            "completed": record.steps.completed,
            "cached": record.steps.cached,
        },
        "warnings": record.warnings,
        "pinned": record.pinned,
        "logs": blob(&record.logs),
        "trace": blob(&record.trace),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::buildkit::Steps;

    pub(in crate::cli::history) fn record(build: &str) -> BuildRecord {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let attr = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        BuildRecord {
            build: build.into(),
            state: BuildState::Done,
            frontend: "dockerfile.v0".into(),
            attrs: BTreeMap::from([
                attr("filename", "Dockerfile"),
                attr("target", "re\x1b[2Jlease"),
                attr("build-arg:NPM_TOKEN", "s3cret"),
                attr("context", "https://me:s3cret@example.org/x.git"),
            ]),
            exporters: vec!["local".into()],
            response: BTreeMap::new(),
            created: at(1_000_000),
            completed: at(1_000_003),
            steps: Steps {
                total: 7,
                completed: 7,
                cached: 3,
            },
            warnings: 1,
            pinned: false,
            logs: Some(Blob {
                media_type: "application/vnd.buildkit.status.v0".into(),
                digest: "sha256:0123".into(),
                bytes: 2130,
            }),
            trace: None,
        }
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_200)
    }

    #[test]
    fn a_list_has_a_row_a_build() {
        let failed = BuildRecord {
            state: BuildState::Failed("boom".into()),
            pinned: true,
            frontend: String::new(),
            ..record("a-longer-name")
        };
        let running = BuildRecord {
            state: BuildState::Running,
            completed: None,
            ..record("z")
        };
        let mut out = Vec::new();
        records(
            &[record("abc"), failed, running],
            Format::Text,
            now(),
            &mut out,
        )
        .unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }

    #[test]
    fn a_record_shows_no_secret_and_moves_no_cursor() {
        for format in [Format::Text, Format::Json] {
            let mut out = Vec::new();
            super::record(
                &record("abc"),
                Some("0123456789abcdef0123456789abcdef"),
                format,
                now(),
                &mut out,
            )
            .unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(!text.contains("s3cret"), "{text}");
            assert!(!text.contains('\x1b'), "{text}");
            insta::assert_snapshot!(format!("record_{format:?}"), text);
        }
    }
}
