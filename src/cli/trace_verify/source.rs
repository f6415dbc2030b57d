//! Where a trace is read from: Jaeger, the local store, a file, standard input.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use reqwest::Certificate;
use serde::Deserialize;

use super::choose::{self, Chosen};
use super::{SHORTEST_REQUEST, VerifyContext, VerifyError};
use crate::cli::duration;
use crate::trace::error::TraceError;
use crate::trace::jaeger::{Answer, DEFAULT_QUERY_URL, JaegerClient, QueryUrl, decode};
use crate::trace::model::TraceId;
use crate::trace::store::Store;
use crate::verify::poll::Source;

/// Which trace, and where it is.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct SourceArgs {
    /// The trace: 16 or 32 hex digits, or the address of its page in Jaeger
    /// [default: that of the last run in this directory]
    #[arg(value_name = "ID")]
    pub(super) id: Option<String>,

    /// Jaeger's query API; user-info in it is sent as basic auth, `bearer:TOKEN@` as a token
    /// [env: JAEGER_QUERY_URL] [default: http://localhost:16686]
    #[arg(long, visible_alias = "query-url", value_name = "URL")]
    pub(super) jaeger_url: Option<String>,

    /// The last trace of --service in Jaeger
    #[arg(long, requires = "service", conflicts_with_all = ["id", "local", "from"])]
    pub(super) latest: bool,

    /// A file of certificates (PEM) of authorities that Jaeger's own may be signed by, beside those of
    /// the system [env: JAEGER_QUERY_CA]
    #[arg(long, value_name = "FILE")]
    pub(super) query_ca: Option<PathBuf>,

    /// Read the trace from the local store instead of Jaeger [default: if no Jaeger answers, none was
    /// named, and the run exported nowhere]
    #[arg(long, conflicts_with_all = ["jaeger_url", "from"])]
    pub(super) local: bool,

    /// Read the trace from a file with Jaeger's JSON; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "jaeger_url")]
    pub(super) from: Option<PathBuf>,

    /// The service whose spans are the run's [default: the run's own, else dagger; of another client the one
    /// that called the daemon]
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,

    /// How long one request may take
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    pub(super) request_timeout: Duration,
}

impl SourceArgs {
    /// Which trace was given, if one was.
    pub(in crate::cli) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Is another place than the local store meant?
    pub(in crate::cli) fn is_elsewhere(&self) -> bool {
        let page = self.id().is_some_and(|id| id.contains("://"));
        page || self.jaeger_url.is_some() || self.from.is_some() || self.latest
    }
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
    /// The Jaeger that is asked, if one is.
    pub(super) fn jaeger(&self) -> Option<&JaegerClient> {
        match self {
            Self::Jaeger(client) => Some(client),
            Self::Held(_) => None,
        }
    }

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
    // A request that hangs must not outlast the wait by much.
    let limit = args.request_timeout.min(longest).max(SHORTEST_REQUEST);
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
    let chosen = if args.latest {
        latest(args, context, limit).await?
    } else {
        choose::choose(args, context).await?
    };
    if args.local {
        let answer = stored(context, chosen.target.trace).await?;
        return Ok(of_store(chosen, answer));
    }
    let page = chosen.url.page(chosen.target.trace);
    let client = client(args, context, chosen.url.clone(), limit)?;
    // A run that exported to a Jaeger is to be found in one.
    let could_be_local =
        !chosen.asked && (chosen.target.run.is_none() || chosen.target.exported_nowhere());
    let local = match could_be_local {
        // A store that cannot be read is told of already, and Jaeger is asked all the same.
        true => stored(context, chosen.target.trace)
            .await
            .unwrap_or_default(),
        false => None,
    };
    if let Some(answer) = local {
        let asked = client.trace(chosen.target.trace).await;
        if matches!(
            asked,
            Err(TraceError::Unreachable { .. } | TraceError::Timeout { .. })
        ) {
            let mut chosen = chosen;
            chosen.warnings.push(format!(
                "no Jaeger answers at {}, and none was named: the trace is read from the local store",
                chosen.url
            ));
            return Ok(of_store(chosen, Some(answer)));
        }
    }
    Ok(Opened {
        chosen,
        reader: Reader::Jaeger(client),
        kind: "jaeger",
        page,
    })
}

/// The last trace of the service that was named.
async fn latest(
    args: &SourceArgs,
    context: &VerifyContext<'_>,
    limit: Duration,
) -> Result<Chosen, VerifyError> {
    let service = args.service.clone().unwrap_or_default();
    let url = choose::named_url(args, context)?;
    let url = url.map_or_else(|| DEFAULT_QUERY_URL.parse(), Ok)?;
    let client = client(args, context, url, limit)?;
    let found = client.latest(&service, SystemTime::now()).await?;
    let id = found.ok_or_else(|| TraceError::NoneOf {
        service: service.clone(),
        url: client.url().to_string(),
    })?;
    let args = SourceArgs {
        id: Some(id.to_string()),
        ..args.clone()
    };
    let mut chosen = choose::choose(&args, context).await?;
    chosen.url = client.url().clone();
    chosen.asked = true;
    chosen.why = format!("the last trace of `{service}`");
    Ok(chosen)
}

/// What asks Jaeger.
fn client(
    args: &SourceArgs,
    context: &VerifyContext<'_>,
    url: QueryUrl,
    limit: Duration,
) -> Result<JaegerClient, VerifyError> {
    let named = || (context.var)("JAEGER_QUERY_CA").filter(|file| !file.trim().is_empty());
    let file = args.query_ca.clone().or_else(|| named().map(PathBuf::from));
    let authorities = match file {
        Some(file) => authorities(&file)?,
        None => Vec::new(),
    };
    Ok(JaegerClient::trusting(url, limit, authorities)?)
}

fn authorities(file: &Path) -> Result<Vec<Certificate>, VerifyError> {
    let wrong = |problem: String| TraceError::Authorities {
        file: file.display().to_string(),
        problem,
    };
    let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let found = Certificate::from_pem_bundle(&pem)
        .map_err(|_| wrong("holds what is no certificate".into()))?;
    if found.is_empty() {
        return Err(wrong("holds no certificate in PEM".into()).into());
    }
    Ok(found)
}

fn of_store(chosen: Chosen, answer: Option<Answer>) -> Opened {
    Opened {
        chosen,
        reader: Reader::Held(answer),
        kind: "store",
        page: "the local store".into(),
    }
}

/// What the local store has of a trace.
pub(super) async fn stored(
    context: &VerifyContext<'_>,
    trace: TraceId,
) -> Result<Option<Answer>, VerifyError> {
    let Some(dir) = context.state_dir.clone() else {
        return Ok(None);
    };
    let spans = blocking(move || match Store::open_existing(&dir)? {
        Some(store) => Ok(store.trace(trace)?),
        None => Ok(Vec::new()),
    })
    .await?;
    Ok((!spans.is_empty()).then(|| Answer {
        spans,
        ..Answer::default()
    }))
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
    #[derive(Deserialize)]
    struct Answer {
        data: Vec<Trace>,
    }
    #[derive(Deserialize)]
    struct Trace {
        #[serde(rename = "traceID")]
        id: String,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    answer.data.first()?.id.parse().ok()
}
