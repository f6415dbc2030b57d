//! Where a trace is read from: Jaeger, the local store, a file, standard input.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::choose::{self, Chosen};
use super::{SHORTEST_REQUEST, VerifyContext, VerifyError};
use crate::cli::duration;
use crate::trace::error::TraceError;
use crate::trace::jaeger::{Answer, JaegerClient, decode};
use crate::trace::model::TraceId;
use crate::trace::store::Store;
use crate::verify::poll::Source;

/// Which trace, and where it is.
#[derive(Clone, Debug, Args)]
pub(super) struct SourceArgs {
    /// The trace: 16 or 32 hex digits, or the address of its page in Jaeger
    /// [default: that of the last run in this directory]
    #[arg(value_name = "ID")]
    pub(super) id: Option<String>,

    /// Jaeger's query API; user-info in it is sent as basic auth, `bearer:TOKEN@` as a token
    /// [env: JAEGER_QUERY_URL] [default: http://localhost:16686]
    #[arg(long, value_name = "URL")]
    pub(super) jaeger_url: Option<String>,

    /// Read the trace from the local store instead of Jaeger
    #[arg(long, conflicts_with_all = ["jaeger_url", "from"])]
    pub(super) local: bool,

    /// Read the trace from a file with Jaeger's JSON; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "jaeger_url")]
    pub(super) from: Option<PathBuf>,

    /// The service whose spans are the run's [default: the run's own, else dagger]
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,

    /// How long one request may take
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    pub(super) request_timeout: Duration,
}

/// The trace that is meant, and what reads it.
pub(super) struct Opened {
    pub(super) chosen: Chosen,
    pub(super) reader: Reader,
    /// The kind of place, for the report.
    pub(super) kind: &'static str,
    /// The trace's page, or the name of the place.
    pub(super) page: String,
}

/// Reads a trace.
pub(super) enum Reader {
    /// As often as is wanted.
    Jaeger(JaegerClient),
    /// It is what it is.
    Held(Option<Answer>),
}

impl Reader {
    /// Can it bring more later?
    pub(super) fn grows(&self) -> bool {
        matches!(self, Self::Jaeger(_))
    }
}

impl Source for Reader {
    async fn read(&self, trace: TraceId) -> Result<Option<Answer>, TraceError> {
        match self {
            Self::Jaeger(client) => client.trace(trace).await,
            Self::Held(answer) => Ok(answer.clone()),
        }
    }
}

/// Chooses the trace, and opens the place where it is.
pub(super) async fn open(
    args: &SourceArgs,
    context: &VerifyContext<'_>,
    longest: Duration,
) -> Result<Opened, VerifyError> {
    if let Some(file) = &args.from {
        let body = blocking({
            let file = file.clone();
            move || bytes(&file)
        })
        .await?;
        let id = first_id(&body).ok_or_else(|| VerifyError::File {
            file: file.clone(),
            problem: "holds no trace in Jaeger's JSON".into(),
        })?;
        let args = SourceArgs {
            id: args.id.clone().or(Some(id.to_string())),
            ..args.clone()
        };
        let chosen = choose::choose(&args, context).await?;
        let answer = decode(&body, chosen.target.trace).map_err(|broken| VerifyError::File {
            file: file.clone(),
            problem: format!("cannot be read as Jaeger's JSON: {broken:?}"),
        })?;
        return Ok(Opened {
            chosen,
            reader: Reader::Held(answer.ok()),
            kind: "file",
            page: file.display().to_string(),
        });
    }
    let chosen = choose::choose(args, context).await?;
    if args.local {
        let (state_dir, trace) = (context.state_dir.clone(), chosen.target.trace);
        let spans = blocking(move || {
            let Some(dir) = state_dir else {
                return Ok(Vec::new());
            };
            match Store::open_existing(&dir)? {
                Some(store) => Ok(store.trace(trace)?),
                None => Ok(Vec::new()),
            }
        })
        .await?;
        let answer = (!spans.is_empty()).then(|| Answer {
            spans,
            ..Answer::default()
        });
        return Ok(Opened {
            chosen,
            reader: Reader::Held(answer),
            kind: "store",
            page: "the local store".into(),
        });
    }
    let page = chosen.url.page(chosen.target.trace);
    // A request that hangs must not outlast the wait by much.
    let limit = args.request_timeout.min(longest).max(SHORTEST_REQUEST);
    let client = JaegerClient::new(chosen.url.clone(), limit)?;
    Ok(Opened {
        chosen,
        reader: Reader::Jaeger(client),
        kind: "jaeger",
        page,
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VerifyError> + Send + 'static,
) -> Result<T, VerifyError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)?
}

/// Largest file that is read, in bytes.
const FILE_BYTES: u64 = 1 << 30;

fn bytes(file: &Path) -> Result<Vec<u8>, VerifyError> {
    let mut body = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(FILE_BYTES).read_to_end(&mut body)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(FILE_BYTES).read_to_end(&mut body))
    };
    read.map_err(|error| VerifyError::File {
        file: file.to_owned(),
        problem: error.to_string(),
    })?;
    Ok(body)
}

/// The id of the first trace in Jaeger's JSON.
fn first_id(body: &[u8]) -> Option<TraceId> {
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    let id = json.pointer("/data/0/traceID")?.as_str()?;
    id.parse().ok()
}
