//! The address of a query API: what people paste, and what is asked.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use reqwest::Url;

use crate::trace::error::TraceError;
use crate::trace::model::TraceId;

/// Where Jaeger's query service listens unless told otherwise.
pub const DEFAULT_QUERY_URL: &str = "http://localhost:16686";

/// Base address of a query API, with the credentials that were in it kept apart.
///
/// Prints and compares without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryUrl {
    /// No user-info, no query, no fragment, no slash at the end of the path.
    base: Url,
    credentials: Option<Credentials>,
}

/// Who asks. Its debug form hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// `http://USER:PASSWORD@host`
    Basic { user: String, password: String },
    /// `http://bearer:TOKEN@host`
    Bearer(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic(..)",
            Self::Bearer(_) => "Bearer(..)",
        })
    }
}

impl fmt::Display for QueryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str().trim_end_matches('/'))
    }
}

impl FromStr for QueryUrl {
    type Err = TraceError;

    /// Reads a base address, or that of one of Jaeger's pages or routes, whose tail is dropped.
    fn from_str(text: &str) -> Result<Self, TraceError> {
        let (mut base, credentials) = parse(text)?;
        let path: Vec<&str> = base.path_segments().into_iter().flatten().collect();
        let kept = path.len() - tail_len(&path);
        let path: Vec<String> = path.into_iter().take(kept).map(str::to_owned).collect();
        set_path(&mut base, &path);
        Ok(Self { base, credentials })
    }
}

/// Which traces are searched.
#[derive(Clone, Debug)]
pub struct Sought<'a> {
    /// One of their services.
    pub service: &'a str,
    /// A name that one of its spans has.
    pub operation: Option<&'a str>,
    /// When they began, at the earliest.
    pub from: Timestamp,
    /// And at the latest.
    pub to: Timestamp,
    /// How many at most.
    pub limit: u32,
}

impl QueryUrl {
    /// Where the trace is asked for, as it was stored: without Jaeger's adjustments.
    pub(super) fn api(&self, id: TraceId) -> Url {
        let mut url = self.below(&["api", "traces", &id.to_string()]);
        url.set_query(Some("raw=true"));
        url
    }

    /// The same in the API of version 3.
    pub(super) fn api_v3(&self, id: TraceId) -> Url {
        let mut url = self.below(&["api", "v3", "traces", &id.to_string()]);
        // Older releases know only the second spelling.
        url.set_query(Some("rawTraces=true&raw_traces=true"));
        url
    }

    /// Where traces are searched.
    pub(super) fn search(&self, sought: &Sought<'_>) -> Url {
        let mut url = self.below(&["api", "traces"]);
        let micros = |at: Timestamp| at.as_microsecond().to_string();
        let mut pairs = url.query_pairs_mut();
        pairs.extend_pairs([
            ("service", sought.service),
            ("limit", &sought.limit.to_string()),
            ("start", &micros(sought.from)),
            ("end", &micros(sought.to)),
        ]);
        pairs.extend_pairs(sought.operation.map(|name| ("operation", name)));
        drop(pairs);
        url
    }

    /// The same in the API of version 3.
    pub(super) fn search_v3(&self, sought: &Sought<'_>) -> Url {
        let mut url = self.below(&["api", "v3", "traces"]);
        let limit = sought.limit.to_string();
        let (from, to) = (sought.from.to_string(), sought.to.to_string());
        let mut pairs = url.query_pairs_mut();
        pairs.extend_pairs([
            ("query.serviceName", sought.service),
            ("query.startTimeMin", &from),
            ("query.startTimeMax", &to),
            ("query.searchDepth", &limit),
            // Older releases know only these spellings.
            ("query.service_name", sought.service),
            ("query.start_time_min", &from),
            ("query.start_time_max", &to),
            ("query.num_traces", &limit),
        ]);
        for key in ["query.operationName", "query.operation_name"] {
            pairs.extend_pairs(sought.operation.map(|name| (key, name)));
        }
        drop(pairs);
        url
    }

    /// The name or address of the machine.
    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// The trace's page, for people.
    pub fn page(&self, id: TraceId) -> String {
        self.below(&["trace", &id.to_string()]).into()
    }

    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    pub(super) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    fn below(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

/// Takes a pasted address of a trace (`.../trace/ID`, `.../api/traces/ID`) apart.
///
/// # Errors
/// When it is no http(s) URL, or names no trace.
pub fn split_trace_url(text: &str) -> Result<(QueryUrl, TraceId), TraceError> {
    let (url, _) = parse(text)?;
    let path: Vec<&str> = url
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    let id = match path.as_slice() {
        [.., "trace", id] | [.., "api", "traces", id] => id.parse().ok(),
        _ => None,
    };
    let id = id.ok_or_else(|| TraceError::Url {
        url: url.to_string(),
        problem: "names no trace (expected .../trace/ID)".into(),
    })?;
    Ok((text.parse()?, id))
}

/// Reads the URL and takes the credentials, the query and the fragment out of it.
fn parse(text: &str) -> Result<(Url, Option<Credentials>), TraceError> {
    let wrong = |problem: &str| TraceError::Url {
        url: without_user_info(text),
        problem: problem.into(),
    };
    let mut url = Url::parse(text.trim()).map_err(|error| {
        wrong(&match error.to_string().as_str() {
            "relative URL without a base" => "has no scheme (http:// or https://)".to_owned(),
            other => format!("cannot be read: {other}"),
        })
    })?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("is not an http:// or https:// address"));
    }
    let user = percent_decoded(url.username());
    let password = percent_decoded(url.password().unwrap_or_default());
    let credentials = match (user.as_str(), password.as_str()) {
        ("", "") => None,
        ("bearer" | "Bearer", token) if !token.is_empty() => Some(Credentials::Bearer(password)),
        _ => Some(Credentials::Basic { user, password }),
    };
    // These fail only for URLs that have no host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    Ok((url, credentials))
}

/// How many of the last path segments belong to a page or route, not to the base path.
fn tail_len(path: &[&str]) -> usize {
    let empty = path.iter().rev().take_while(|part| part.is_empty()).count();
    let named = path.get(..path.len() - empty).unwrap_or_default();
    let tail = match named {
        [.., "api", "traces", _] => 3,
        [.., "trace", id] if id.parse::<TraceId>().is_ok() => 2,
        [
            ..,
            "api",
            "traces" | "services" | "operations" | "dependencies" | "v3",
        ] => 2,
        [
            ..,
            "api" | "search" | "dependencies" | "monitor" | "compare",
        ] => 1,
        _ => 0,
    };
    empty + tail
}

fn set_path(url: &mut Url, path: &[String]) {
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(path);
    }
}

/// The text with everything between `//` and `@` taken out: for messages on text that is no URL.
fn without_user_info(text: &str) -> String {
    let (scheme, rest) = match text.split_once("//") {
        Some((scheme, rest)) => (format!("{scheme}//"), rest),
        None => (String::new(), text),
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    // A secret with an unescaped slash hides behind it: then nothing before the last `@` is shown.
    match (authority.rsplit_once('@'), tail.rsplit_once('@')) {
        (_, Some((_, host))) => format!("{scheme}{host}"),
        (Some((_, host)), None) => format!("{scheme}{host}{tail}"),
        (None, None) => format!("{scheme}{rest}"),
    }
}

/// `%41` into `A`; what is not hex stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let pair = (byte == b'%').then(|| (hex(ahead.next()), hex(ahead.next())));
        if let Some((Some(high), Some(low))) = pair {
            decoded.push(high << 4 | low);
            bytes = ahead;
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(byte: Option<u8>) -> Option<u8> {
    let digit = char::from(byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn id() -> TraceId {
        ID.parse().unwrap()
    }

    #[test]
    fn pasted_addresses_lead_to_the_same_route() {
        for (given, base) in [
            ("http://h:16686", "http://h:16686"),
            ("http://h:16686/", "http://h:16686"),
            ("http://h/jaeger", "http://h/jaeger"),
            ("http://h/jaeger/", "http://h/jaeger"),
            ("http://h/jaeger//", "http://h/jaeger"),
            ("http://h/jaeger/api", "http://h/jaeger"),
            ("http://h/jaeger/api/", "http://h/jaeger"),
            (
                "http://h/jaeger/search?service=dagger&limit=20",
                "http://h/jaeger",
            ),
            (
                "https://h/trace/4bf92f3577b34da6a3ce929d0e0e4736?uiFind=x#y",
                "https://h",
            ),
            (
                "http://h/api/traces/4bf92f3577b34da6a3ce929d0e0e4736",
                "http://h",
            ),
            ("http://h/api/services", "http://h"),
            ("http://h/trace", "http://h/trace"),
            ("http://[::1]:16686/x", "http://[::1]:16686/x"),
        ] {
            let url: QueryUrl = given.parse().unwrap();
            assert_eq!(url.to_string(), base, "{given}");
            assert_eq!(
                url.api(id()).as_str(),
                format!("{base}/api/traces/{ID}?raw=true"),
                "{given}"
            );
        }
    }

    #[test]
    fn credentials_are_taken_out_and_never_printed() {
        let url: QueryUrl = "http://us%40er:p%2Fw@h/jaeger".parse().unwrap();
        assert_eq!(
            url.credentials(),
            Some(&Credentials::Basic {
                user: "us@er".into(),
                password: "p/w".into()
            })
        );
        assert_eq!(format!("{url}"), "http://h/jaeger");
        assert!(!format!("{url:?}").contains("p/w"));

        let url: QueryUrl = "https://bearer:tok.en@h".parse().unwrap();
        assert_eq!(
            url.credentials(),
            Some(&Credentials::Bearer("tok.en".into()))
        );
        assert!(!format!("{url:?} {url}").contains("tok.en"));
    }

    #[test]
    fn errors_do_not_show_credentials() {
        for text in [
            "ftp://user:secret@h/",
            "user:secret@h",
            "//user:secret@h",
            "http://user:se/secret@h:x",
            "http://user:secret@h:99999",
            "http://user:secret@/",
        ] {
            let error = text.parse::<QueryUrl>().unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn pasted_trace_page_gives_base_and_id() {
        let (base, found) =
            split_trace_url(&format!("https://h/jaeger/trace/{ID}?uiFind=solve")).unwrap();
        assert_eq!(
            (base.to_string().as_str(), found),
            ("https://h/jaeger", id())
        );
        assert!(split_trace_url("https://h/jaeger/search").is_err());
        assert!(split_trace_url("https://h/jaeger/trace/xyz").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}", tail in "(/[a-z0-9@:%?#]{0,12}){0,4}") {
            let _ = text.parse::<QueryUrl>();
            let _ = split_trace_url(&text);
            let _ = format!("http://h{tail}").parse::<QueryUrl>();
            let _ = split_trace_url(&format!("http://u:p@h{tail}"));
        }
    }
}
