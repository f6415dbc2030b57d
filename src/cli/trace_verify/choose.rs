//! Which trace is meant, and where it is.

use std::path::Path;
use std::str::FromStr;

use super::source::SourceArgs;
use super::{VerifyContext, VerifyError};
use crate::trace::error::TraceError;
use crate::trace::jaeger::{DEFAULT_QUERY_URL, QueryUrl, split_trace_url};
use crate::trace::model::{SpanId, TraceId};
use crate::trace::report::{DeclaredSecret, RunRecord};
use crate::trace::store::{Run, RunFilter, Store, StoreError};
use crate::verify::Target;

/// The trace that is meant.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) target: Target,
    pub(super) url: QueryUrl,
    /// Was this Jaeger named, rather than taken because nothing else was said?
    pub(super) asked: bool,
    /// Why this one, for people.
    pub(super) why: String,
    /// Where the secrets of the run came from, if its record is there.
    pub(super) secrets: Vec<DeclaredSecret>,
    /// What was odd on the way.
    pub(super) warnings: Vec<String>,
}

/// A W3C `traceparent`: where a run would hang its spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parent {
    trace: TraceId,
    span: SpanId,
}

/// Takes, of these, the first that there is: the id, the last run of the directory, `TRACEPARENT`.
pub(super) async fn choose(
    args: &SourceArgs,
    context: &VerifyContext<'_>,
) -> Result<Chosen, VerifyError> {
    let var = |key: &str| (context.var)(key).filter(|value| !value.trim().is_empty());
    let explicit = explicit(args)?;
    let from_env = from_env(context);
    let parent = var("TRACEPARENT").and_then(|text| text.parse::<Parent>().ok());
    let given = args.id.as_deref().map(given).transpose()?;
    let id = given.as_ref().map(|(_, id)| *id);

    let (record, mut warnings) = match id {
        Some(id) => find(context, move |store| store.runs_of_trace(id)).await?,
        None => {
            let directory = context.directory.clone();
            let filter = RunFilter {
                directory: Some(directory),
                limit: Some(LOOKED_AT),
                ..RunFilter::default()
            };
            find(context, move |store| store.runs(&filter)).await?
        }
    };
    let (mut target, why) = match (&record, id, parent) {
        (Some(record), id, _) => (of_run(record)?, why_run(record, id, &context.directory)),
        (None, Some(id), _) => {
            let remote = parent.filter(|parent| parent.trace == id);
            let target = Target::of_trace(id, None, remote.map(|parent| parent.span));
            (target, "the id that was given; no run record".to_owned())
        }
        (None, None, Some(parent)) => (
            Target::of_trace(parent.trace, None, Some(parent.span)),
            "TRACEPARENT, as no run of this directory is recorded".to_owned(),
        ),
        (None, None, None) => {
            for warning in &warnings {
                tracing::debug!(warning, "run records");
            }
            return Err(VerifyError::NoRun {
                directory: context.directory.clone(),
            });
        }
    };
    if let Some(service) = &args.service {
        target.service.clone_from(service);
    }

    let declared = record.as_ref().map(|record| record.secrets.clone());
    // The flag wins; then what was pasted, which is more exact than a variable; then the run's own.
    let pasted = given.and_then(|(url, _)| url);
    let (url, asked) = match (explicit, pasted) {
        (Some(url), _) | (None, Some(url)) => (url, true),
        (None, None) => match (from_env?, record.and_then(|record| record.query_url)) {
            (Some(url), _) => (url, true),
            (None, Some(url)) => {
                let url = url.parse().or_else(|error: TraceError| {
                    warnings.push(format!(
                        "{error} (from the run record); the default is used"
                    ));
                    DEFAULT_QUERY_URL.parse()
                })?;
                (url, true)
            }
            (None, None) => (DEFAULT_QUERY_URL.parse()?, false),
        },
    };
    Ok(Chosen {
        target,
        url,
        asked,
        why,
        secrets: declared.unwrap_or_default(),
        warnings,
    })
}

/// The Jaeger that was named, by the flag or else by the variable.
pub(super) fn named_url(
    args: &SourceArgs,
    context: &VerifyContext<'_>,
) -> Result<Option<QueryUrl>, TraceError> {
    match explicit(args)? {
        Some(url) => Ok(Some(url)),
        None => from_env(context),
    }
}

fn explicit(args: &SourceArgs) -> Result<Option<QueryUrl>, TraceError> {
    args.jaeger_url.as_deref().map(str::parse).transpose()
}

fn from_env(context: &VerifyContext<'_>) -> Result<Option<QueryUrl>, TraceError> {
    let url = (context.var)("JAEGER_QUERY_URL").filter(|value| !value.trim().is_empty());
    url.map(|url| url.parse()).transpose()
}

/// Reads the id, or the address of a page with its id.
fn given(text: &str) -> Result<(Option<QueryUrl>, TraceId), VerifyError> {
    if text.contains("://") {
        let (url, id) = split_trace_url(text)?;
        return Ok((Some(url), id));
    }
    let id = Some(text)
        .filter(|text| matches!(text.len(), 16 | 32))
        .and_then(|text| text.parse().ok());
    id.map(|id| (None, id)).ok_or_else(|| VerifyError::Id {
        // No URL, but it may still be one without its scheme, with a secret before the `@`.
        given: text.rsplit_once('@').map_or(text, |(_, host)| host).into(),
    })
}

/// Runs of a directory that are looked at for the last one that ended.
const LOOKED_AT: usize = 20;

/// Looks a run up. Of several, the last of this directory that has ended is taken, else the last.
async fn find(
    context: &VerifyContext<'_>,
    look: impl FnOnce(&Store) -> Result<Vec<Run>, StoreError> + Send + 'static,
) -> Result<(Option<RunRecord>, Vec<String>), VerifyError> {
    let Some(state_dir) = context.state_dir.clone() else {
        return Ok((None, vec!["HOME is not set: no run record is read".into()]));
    };
    let found = tokio::task::spawn_blocking(move || match Store::open_existing(&state_dir)? {
        Some(store) => look(&store),
        None => Ok(Vec::new()),
    })
    .await
    .map_err(std::io::Error::other)?;
    let runs = match found {
        Ok(runs) => runs,
        // A trace that is named can be verified without its record.
        Err(error) => return Ok((None, vec![format!("{error}; {}", error.help())])),
    };
    let mut records: Vec<_> = runs.into_iter().filter_map(|run| run.record).collect();
    let here = records
        .iter()
        .position(|run| Path::new(&run.directory) == context.directory);
    let at = here.unwrap_or_default();
    let record = (at < records.len()).then(|| records.swap_remove(at));
    Ok((record, Vec::new()))
}

fn of_run(record: &RunRecord) -> Result<Target, VerifyError> {
    Target::of_run(record).map_err(|source| VerifyError::Record {
        trace: record.trace.clone(),
        source,
    })
}

fn why_run(record: &RunRecord, id: Option<TraceId>, directory: &Path) -> String {
    let RunRecord {
        command, exit_code, ..
    } = record;
    if id.is_some() {
        format!(
            "the id that was given: `dagger {command}` in {}, exit code {exit_code}",
            record.directory
        )
    } else {
        format!(
            "the last run of {}: `dagger {command}`, exit code {exit_code}",
            directory.display()
        )
    }
}

impl FromStr for Parent {
    type Err = ();

    /// Version, trace, span, flags (W3C Trace Context, 3.2); later versions may append fields.
    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.trim().split('-').collect();
        let (version, trace, span, flags, more) = match parts.as_slice() {
            [version, trace, span, flags, more @ ..] => (*version, *trace, *span, *flags, more),
            _ => return Err(()),
        };
        let hex = |text: &str, digits: usize| {
            text.len() == digits
                && text
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let well_formed = hex(version, 2)
            && version != "ff"
            && (version != "00" || more.is_empty())
            && hex(trace, 32)
            && hex(span, 16)
            && hex(flags, 2);
        if !well_formed {
            return Err(());
        }
        Ok(Self {
            trace: trace.parse().map_err(drop)?,
            span: span.parse().map_err(drop)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn ids_have_16_or_32_digits() {
        for text in [TRACE, "a3ce929d0e0e4736", &TRACE.to_uppercase()] {
            assert!(given(text).is_ok(), "{text}");
        }
        for text in ["", "abc", &TRACE[1..], "00000000000000000000000000000000"] {
            assert!(given(text).is_err(), "{text}");
        }
        let (url, id) = given(&format!("http://u:p@h/jaeger/trace/{TRACE}")).unwrap();
        assert_eq!(
            (url.unwrap().to_string().as_str(), id.to_string().as_str()),
            ("http://h/jaeger", TRACE)
        );
        let error = given("user:secret@host/trace").unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn traceparent_is_read_as_the_standard_says() {
        let parse = |text: &str| text.parse::<Parent>().ok();
        let good = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(parse(&good).unwrap().span, SpanId(0x00f0_67aa_0ba9_02b7));
        assert!(parse(&format!("01-{TRACE}-00f067aa0ba902b7-01-more")).is_some());
        for text in [
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            "00-1-2-3".into(),
            String::new(),
        ] {
            assert_eq!(parse(&text), None, "{text}");
        }
    }
}
