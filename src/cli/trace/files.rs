//! `dagger trace export` and `import`: traces to files and back.

use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};

use super::pick::{self, Picked};
use super::print;
use crate::cli::diagnostic::Failure;
use crate::cli::env::Env;
use crate::trace::critical_path::entry;
use crate::trace::model::{Span, TraceId};
use crate::trace::store::{NewRun, Store};
use crate::trace::{jaeger, otlp};

/// Arguments of `dagger trace export`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The run: its number, its trace's id or how that begins, or `latest`
    /// [default: the last run in this directory]
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// The file's format
    #[arg(long, value_enum, default_value_t = Format::Jaeger, value_name = "FORMAT")]
    format: Format,
    /// The file, readable for you alone; an existing one is replaced [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Arguments of `dagger trace import`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArgs {
    /// Files with Jaeger's JSON or OTLP's; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// A file's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Jaeger's JSON, for its page's upload; times to the microsecond
    Jaeger,
    /// OTLP's JSON; nothing is lost
    Otlp,
}

/// A file over this is not read.
const LARGEST_BYTES: u64 = 256 << 20;

/// The trace as a document.
pub(super) fn as_json(picked: &Picked, format: Format) -> Json {
    match format {
        Format::Jaeger => {
            json!({"data": [jaeger::write::to_json(picked.run.begun.trace, &picked.spans)]})
        }
        Format::Otlp => otlp::to_json(&picked.spans),
    }
}

pub(super) fn export(args: &ExportArgs, env: &Env) -> Result<(), Failure> {
    let picked = pick::picked(&pick::store(env)?, args.id.as_deref(), env)?;
    let text = format!("{}\n", as_json(&picked, args.format));
    let Some(path) = &args.output else {
        return print(&text);
    };
    write(path, text.as_bytes())
}

/// Writes a file that is readable for its owner alone.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let opened = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    let written = opened.and_then(|mut file| std::io::Write::write_all(&mut file, bytes));
    written.map_err(|error| Failure::Usage {
        message: format!("cannot write `{}`: {error}", path.display()),
        help: "name a file that can be written".into(),
    })
}

pub(super) fn import(args: &ImportArgs, env: &Env) -> Result<(), Failure> {
    let state = env.state_dir().ok_or_else(|| Failure::Usage {
        message: "there is no trace store: HOME is not set".into(),
        help: "set HOME or XDG_STATE_HOME".into(),
    })?;
    let store = Store::open(&state)?;
    for file in &args.files {
        let wrong = |problem: String| {
            Failure::Usage {
            message: format!("cannot import `{}`: {problem}", file.display()),
            help: "give a file that `dagger trace export`, Jaeger's page or an OTLP file exporter wrote"
                .into(),
        }
        };
        let bytes = read(file).map_err(|error| wrong(error.to_string()))?;
        let traces = traces(&bytes).map_err(wrong)?;
        for (trace, spans) in traces {
            let (run, new) = take_in(&store, trace, &spans)?;
            let said = if new == 0 {
                format!("trace {trace}: it is in the store already\n")
            } else {
                format!(
                    "trace {trace}: {new} of {} spans taken in as run {run}\n",
                    spans.len()
                )
            };
            print(&said)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(LARGEST_BYTES + 1)
            .read_to_end(&mut bytes)?
    } else {
        fs::File::open(path)?
            .take(LARGEST_BYTES + 1)
            .read_to_end(&mut bytes)?
    };
    if read as u64 > LARGEST_BYTES {
        return Err(std::io::Error::other("it is larger than 256 MiB"));
    }
    Ok(bytes)
}

/// The traces of a file, each with its spans.
fn traces(bytes: &[u8]) -> Result<Vec<(TraceId, Vec<Span>)>, String> {
    let json: Json = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut traces: Vec<(TraceId, Vec<Span>)> = Vec::new();
    if let Some(list) = json.get("data").and_then(Json::as_array) {
        for trace in list {
            let id = trace
                .get("traceID")
                .and_then(Json::as_str)
                .unwrap_or_default();
            let id: TraceId = id.parse().map_err(|error| format!("`traceID`: {error}"))?;
            let one = json!({"data": [trace]}).to_string();
            if let Ok(Ok(answer)) = jaeger::decode(one.as_bytes(), id)
                && !answer.spans.is_empty()
            {
                traces.push((id, answer.spans));
            }
        }
    } else if json.get("resourceSpans").is_some() {
        for span in otlp::from_json(bytes).map_err(|error| error.to_string())? {
            match traces.iter_mut().find(|(trace, _)| *trace == span.trace) {
                Some((_, spans)) => spans.push(span),
                None => traces.push((span.trace, vec![span])),
            }
        }
    } else {
        return Err("it has neither Jaeger's `data` nor OTLP's `resourceSpans`".into());
    }
    if traces.is_empty() {
        return Err("it holds no span".into());
    }
    Ok(traces)
}

/// Takes a trace in as a run of its own; a run that would have no span is not made.
fn take_in(store: &Store, trace: TraceId, spans: &[Span]) -> Result<(i64, usize), Failure> {
    let root = entry(spans);
    let top = spans.iter().find(|span| Some(span.id) == root);
    let run = store.begin(&NewRun {
        trace,
        root,
        remote_parent: top.and_then(|span| span.parent),
        service: top
            .map(|span| span.service().to_owned())
            .unwrap_or_default(),
        command: top.map(|span| span.name.clone()).unwrap_or_default(),
        args: String::new(),
        // Of no project: `the last run of this directory` is one that was made there.
        directory: PathBuf::new(),
        started_ns: spans
            .iter()
            .map(|span| span.start_ns)
            .min()
            .unwrap_or_default(),
        pid: 0,
        plan_digest: None,
    })?;
    let new = store.append(run, spans)?;
    if new == 0 {
        store.remove(run)?;
    } else if let Some(end) = spans.iter().map(|span| span.end_ns).max() {
        store.ended(run, end)?;
    }
    Ok((run.0, new))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[u8] = include_bytes!("../../../tests/fixtures/traces/buildctl-build.json");

    #[test]
    fn both_formats_are_read_back_whole() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let (trace, spans) = traces(SAMPLE).unwrap().remove(0);
        let (run, new) = take_in(&store, trace, &spans).unwrap();
        assert_eq!(new, 35);
        let picked = Picked {
            run: store.run(crate::trace::store::RunId(run)).unwrap().unwrap(),
            spans: store.trace(trace).unwrap(),
        };
        let sorted = |mut spans: Vec<Span>| {
            spans.sort_by_key(|span| (span.start_ns, span.id));
            spans
        };
        for format in [Format::Jaeger, Format::Otlp] {
            let text = as_json(&picked, format).to_string();
            let (id, back) = traces(text.as_bytes()).unwrap().remove(0);
            assert_eq!(
                (id, sorted(back)),
                (trace, sorted(spans.clone())),
                "{format:?}"
            );
        }
        // Twice is once.
        assert_eq!(take_in(&store, trace, &spans).unwrap().1, 0);
        assert_eq!(store.runs_of_trace(trace).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            "{\"data\":[]}",
            "{\"data\":[{}]}",
            "{\"resourceSpans\":[]}",
        ] {
            assert!(traces(text.as_bytes()).is_err(), "{text}");
        }
    }
}
