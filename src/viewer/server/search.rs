//! Looking for traces: what the parameters of both versions mean, and finding them.

use serde_json::Value as Json;

use super::answer::Refused;
use super::durations::{go, whole};
use super::parameters::Parameters;
use crate::trace::jaeger::write;
use crate::trace::model::{Attributes, Span, TraceId, Value};
use crate::trace::store::{SpanFilter, Store};

/// Traces in an answer, if the client does not say.
const TRACES: usize = 100;

/// Traces in an answer at most.
const MOST_TRACES: i64 = 10_000;

/// Spans in an answer at most: no further trace is added to so many.
const MOST_SPANS: usize = 300_000;

/// How far back is looked, if the client does not say, in nanoseconds.
const LOOKBACK_NS: u64 = 2 * 24 * 3_600 * 1_000_000_000;

/// What is looked for; a trace is found if one of its spans has all of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Search {
    pub(super) filter: SpanFilter,
    /// Tags with their values as text.
    pub(super) tags: Vec<(String, String)>,
    pub(super) limit: usize,
}

impl Search {
    /// As version 1 has it.
    pub(super) fn v1(parameters: &Parameters, now_ns: u64) -> Result<Self, Refused> {
        let unable = |name: &str, error: String| {
            Refused::bad(format!("unable to parse param '{name}': {error}"))
        };
        let micros = |name: &str, default_ns: u64| match parameters.get(&[name]) {
            None => Ok(default_ns),
            Some(text) => whole(text)
                .map(|us| u64::try_from(us).unwrap_or(0).saturating_mul(1_000))
                .map_err(|error| unable(name, error)),
        };
        let length = |name: &str| match parameters.get(&[name]) {
            None => Ok(None),
            Some(text) => go(text)
                .map(|ns| Some(ns).filter(|ns| *ns > 0))
                .map_err(|error| unable(name, error)),
        };
        let from_ns = micros("start", now_ns.saturating_sub(LOOKBACK_NS))?;
        let to_ns = micros("end", now_ns)?;
        let mut tags = Vec::new();
        for tag in parameters.all("tag") {
            let (key, value) = tag.split_once(':').ok_or_else(|| {
                Refused::bad(format!(
                    "malformed 'tag' parameter, expecting key:value, received: {tag}"
                ))
            })?;
            tags.push((key.to_owned(), value.to_owned()));
        }
        for text in parameters.all("tags") {
            tags.extend(map(text).map_err(|why| {
                Refused::bad(format!(
                    "malformed 'tags' parameter, cannot unmarshal JSON: {why}"
                ))
            })?);
        }
        let limit = match parameters.get(&["limit"]) {
            None => TRACES,
            Some(text) => depth(whole(text).map_err(Refused::bad)?)?,
        };
        let (min_ns, max_ns) = (length("minDuration")?, length("maxDuration")?);
        let service = parameters.get(&["service"]);
        let service = service.ok_or_else(|| Refused::bad("parameter 'service' is required"))?;
        if let (Some(min), Some(max)) = (min_ns, max_ns)
            && max < min
        {
            return Err(Refused::bad(
                "'maxDuration' should be greater than 'minDuration'",
            ));
        }
        Ok(Self {
            filter: SpanFilter {
                service: Some(service.to_owned()),
                name: parameters.get(&["operation"]).map(str::to_owned),
                from_ns: Some(from_ns),
                to_ns: Some(to_ns),
                min_ns,
                max_ns,
            },
            tags,
            limit,
        })
    }

    /// As version 3 has it, under its names of each age.
    pub(super) fn v3(parameters: &Parameters) -> Result<Self, Refused> {
        let malformed = |name: &str, error: String| {
            Refused::bad(format!("malformed parameter {name}: {error}"))
        };
        let of = |name: &str| parameters.get_v3(&format!("query.{name}"));
        let (Some(from), Some(to)) = (of("start_time_min"), of("start_time_max")) else {
            return Err(Refused::bad(
                "query.start_time_min and query.start_time_max are required",
            ));
        };
        let time = |name: &str, text: &str| {
            moment(text).map_err(|error| malformed(&format!("query.{name}"), error))
        };
        let from_ns = time("start_time_min", from)?;
        let to_ns = time("start_time_max", to)?;
        let length = |name: &str| match of(name) {
            None => Ok(None),
            Some(text) => go(text)
                .map(|ns| Some(ns).filter(|ns| *ns > 0))
                .map_err(|error| malformed(&format!("query.{name}"), error)),
        };
        let limit = of("search_depth").or_else(|| of("num_traces"));
        let limit = match limit {
            None => TRACES,
            Some(text) => {
                depth(whole(text).map_err(|error| malformed("query.search_depth", error))?)?
            }
        };
        let tags = match of("attributes") {
            None => Vec::new(),
            Some(text) => map(text).map_err(|error| malformed("query.attributes", error))?,
        };
        Ok(Self {
            filter: SpanFilter {
                service: of("service_name").map(str::to_owned),
                name: of("operation_name").map(str::to_owned),
                from_ns: Some(from_ns),
                to_ns: Some(to_ns),
                min_ns: length("duration_min")?,
                max_ns: length("duration_max")?,
            },
            tags,
            limit,
        })
    }

    /// The newest traces that are found, with all their spans.
    pub(super) fn find(&self, store: &Store) -> Result<Vec<(TraceId, Vec<Span>)>, Refused> {
        let most = if self.tags.is_empty() {
            self.limit
        } else {
            usize::MAX
        };
        let mut found = Vec::new();
        let mut spans = 0;
        for trace in store.find(&self.filter, most)? {
            let of_trace = store.trace(trace)?;
            if !self.tags.is_empty() && !of_trace.iter().any(|span| self.fits(span)) {
                continue;
            }
            spans += of_trace.len();
            found.push((trace, of_trace));
            if found.len() >= self.limit || spans >= MOST_SPANS {
                break;
            }
        }
        Ok(found)
    }

    /// Has the span all of it? The store has asked for the rest of it, but perhaps of another span.
    fn fits(&self, span: &Span) -> bool {
        if !self.filter.fits(span) {
            return false;
        }
        let tags = write::tags(span);
        self.tags.iter().all(|(key, value)| {
            let has = |attributes: &Attributes| {
                attributes
                    .iter()
                    .any(|(name, of)| name == key && as_text(of) == *value)
            };
            has(&tags)
                || has(&span.resource.attributes)
                || span
                    .events
                    .iter()
                    .any(|event| has(&event.attributes) || (key == "event" && event.name == *value))
        })
    }
}

/// A value as Jaeger compares it.
fn as_text(value: &Value) -> String {
    value.to_string()
}

fn depth(limit: i64) -> Result<usize, Refused> {
    match usize::try_from(limit) {
        Ok(most) if limit > 0 && limit <= MOST_TRACES => Ok(most),
        _ => Err(Refused::bad(
            "search depth must be greater than 0 and less than max traces",
        )),
    }
}

/// A JSON object of texts.
fn map(text: &str) -> Result<Vec<(String, String)>, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let object = json.as_object().ok_or("it is no object")?;
    object
        .iter()
        .map(|(key, value)| match value.as_str() {
            Some(value) => Ok((key.clone(), value.to_owned())),
            None => Err(format!("the value of {key:?} is no string")),
        })
        .collect()
}

/// A time as RFC 3339 writes it, in nanoseconds since the epoch.
pub(super) fn moment(text: &str) -> Result<u64, String> {
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_| format!("{text:?} is no time as RFC 3339 writes it"))?;
    Ok(u64::try_from(time.as_nanosecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use axum::extract::RawQuery;

    use super::*;

    fn parameters(query: &str) -> Parameters {
        Parameters::new(RawQuery(Some(query.into())))
    }

    fn message(query: &str) -> String {
        format!("{:?}", Search::v1(&parameters(query), 0).unwrap_err())
    }

    #[test]
    fn each_mistake_is_told_as_jaeger_tells_it() {
        for (query, words) in [
            ("", "parameter 'service' is required"),
            ("service=", "parameter 'service' is required"),
            (
                "service=s&start=x",
                "unable to parse param 'start': strconv.ParseInt",
            ),
            (
                "service=s&minDuration=1",
                "unable to parse param 'minDuration': time: missing unit",
            ),
            ("service=s&limit=0", "search depth must be greater than 0"),
            (
                "service=s&tag=x",
                "malformed 'tag' parameter, expecting key:value, received: x",
            ),
            ("service=s&tags={%22n%22:1}", "malformed 'tags' parameter"),
            (
                "service=s&minDuration=2s&maxDuration=1s",
                "'maxDuration' should be greater than 'minDuration'",
            ),
        ] {
            assert!(
                message(query).contains(words),
                "{query}: {}",
                message(query)
            );
        }
    }

    #[test]
    fn both_ages_of_names_are_known() {
        let old = "query.service_name=s&query.start_time_min=1970-01-01T00:00:01Z\
                   &query.start_time_max=1970-01-01T00:00:02.5Z&query.num_traces=7&query.duration_min=1ms";
        let new = "query.serviceName=s&query.startTimeMin=1970-01-01T00:00:01Z\
                   &query.startTimeMax=1970-01-01T00:00:02.5Z&query.searchDepth=7&query.durationMin=1ms";
        let search = Search::v3(&parameters(old)).unwrap();
        assert_eq!(search, Search::v3(&parameters(new)).unwrap());
        assert_eq!(
            (search.limit, search.filter.to_ns),
            (7, Some(2_500_000_000))
        );
        assert!(Search::v3(&parameters("query.service_name=s")).is_err());
    }
}
