//! The daemon's own spans: does the daemon send them to Jaeger itself, or shall we?
//!
//! Pure: what is known of the daemon comes in. A span must not stand in Jaeger twice, and none may be
//! missing; so exactly one of the two sends them.

use std::collections::BTreeMap;

/// What `--daemon-spans` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DaemonSpans {
    /// As far as can be known: import unless the daemon exports them itself.
    #[default]
    Auto,
    /// We send them, under their own service.
    Import,
    /// They are left to the daemon.
    Skip,
}

/// Where a daemon sends its spans, by its variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaemonExport {
    /// Nowhere.
    Nowhere,
    /// To what this says, e.g. `http://jaeger:14268/api/traces`.
    To(String),
}

/// What becomes of the daemon's spans, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Who sends them.
    pub share: Share,
    /// In plain words.
    pub why: String,
}

/// Who sends the daemon's spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// We do.
    Send,
    /// The daemon, or nobody.
    Leave,
    /// They wait, until Jaeger can say whether they came by themselves.
    Ask,
}

/// What is known of a daemon.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// What its variables say, if they can be read.
    pub export: Option<&'a DaemonExport>,
    /// Did its spans come into this Jaeger by themselves, the last time that was looked at?
    pub seen: Option<bool>,
    /// Can Jaeger be asked, by and by?
    pub can_ask: bool,
}

impl DaemonExport {
    /// By the rules of BuildKit's `util/tracing/detect`: a named exporter, else OTLP before Jaeger.
    pub fn detect(variables: &BTreeMap<String, String>) -> Self {
        let get = |key: &str| {
            let value = variables.get(key).map(|value| value.trim());
            value.filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let first = |keys: &[&str]| keys.iter().find_map(|key| get(key));
        let otlp = first(&[
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ]);
        let jaeger = first(&[
            "JAEGER_TRACE",
            "OTEL_EXPORTER_JAEGER_ENDPOINT",
            "OTEL_EXPORTER_JAEGER_HOST",
            "OTEL_EXPORTER_JAEGER_AGENT_HOST",
        ]);
        let off = get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        match get("OTEL_TRACES_EXPORTER").as_deref() {
            _ if off => Self::Nowhere,
            Some("none") => Self::Nowhere,
            Some("otlp") => Self::To(otlp.unwrap_or_else(|| "localhost:4317".to_owned())),
            Some("jaeger") => Self::To(jaeger.unwrap_or_else(|| "localhost:6831".to_owned())),
            Some(other) => Self::To(other.to_owned()),
            None => otlp.or(jaeger).map_or(Self::Nowhere, Self::To),
        }
    }
}

impl Decision {
    /// Decides. `exports`: do we export at all?
    pub fn new(asked: DaemonSpans, exports: bool, known: Known<'_>) -> Self {
        let (share, why) = match (asked, known.export, known.seen) {
            _ if !exports => (Share::Leave, "nothing is exported".to_owned()),
            (DaemonSpans::Import, ..) => (Share::Send, "--daemon-spans import".to_owned()),
            (DaemonSpans::Skip, ..) => (Share::Leave, "--daemon-spans skip".to_owned()),
            (_, Some(DaemonExport::Nowhere), _) => (
                Share::Send,
                "the daemon exports its spans nowhere".to_owned(),
            ),
            // What was seen in Jaeger says more than an address, which may lead to the same Jaeger by
            // another way.
            (.., Some(true)) => (
                Share::Leave,
                "the daemon's spans came by themselves before".to_owned(),
            ),
            (.., Some(false)) => (
                Share::Send,
                "the daemon's spans did not come by themselves before".to_owned(),
            ),
            (_, Some(DaemonExport::To(to)), None) if known.can_ask => (
                Share::Ask,
                format!("the daemon exports them to {}; whether they come here is seen later", shown(to)),
            ),
            (_, Some(DaemonExport::To(to)), None) => {
                (Share::Leave, format!("the daemon exports them to {}", shown(to)))
            }
            (_, None, None) if known.can_ask => (
                Share::Ask,
                "it is not known whether the daemon exports them; that is seen later".to_owned(),
            ),
            (_, None, None) => (
                Share::Leave,
                "it is not known whether the daemon exports them; --daemon-spans import sends them, and with JAEGER_QUERY_URL that is found out"
                    .to_owned(),
            ),
        };
        Self { share, why }
    }
}

/// An address without the credentials in it.
fn shown(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(pairs: &[(&str, &str)]) -> DaemonExport {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        DaemonExport::detect(&pairs.collect())
    }

    fn to(text: &str) -> DaemonExport {
        DaemonExport::To(text.to_owned())
    }

    #[test]
    fn a_daemons_variables_are_read_as_it_reads_them() {
        let agent = ("JAEGER_TRACE", "jaeger:6831");
        let endpoint = ("OTEL_EXPORTER_JAEGER_ENDPOINT", "http://j/api/traces");
        let otlp = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://o:4317");
        assert_eq!(detect(&[]), DaemonExport::Nowhere);
        assert_eq!(detect(&[("JAEGER_TRACE", " ")]), DaemonExport::Nowhere);
        assert_eq!(detect(&[agent, endpoint]), to("jaeger:6831"));
        assert_eq!(detect(&[agent, otlp]), to("http://o:4317"));
        assert_eq!(
            detect(&[agent, otlp, ("OTEL_TRACES_EXPORTER", "jaeger")]),
            to("jaeger:6831")
        );
        assert_eq!(
            detect(&[agent, ("OTEL_TRACES_EXPORTER", "none")]),
            DaemonExport::Nowhere
        );
    }

    #[test]
    fn exactly_one_side_sends_them() {
        let (nowhere, jaeger) = (DaemonExport::Nowhere, to("http://me:secret@j/x"));
        let (nowhere, jaeger) = (Some(&nowhere), Some(&jaeger));
        let share = |asked, export, seen, can_ask| {
            let known = Known {
                export,
                seen,
                can_ask,
            };
            Decision::new(asked, true, known).share
        };
        use DaemonSpans::{Auto, Import, Skip};
        assert_eq!(share(Import, jaeger, Some(true), true), Share::Send);
        assert_eq!(share(Skip, nowhere, Some(false), true), Share::Leave);
        assert_eq!(share(Auto, nowhere, Some(true), true), Share::Send);
        assert_eq!(share(Auto, jaeger, None, false), Share::Leave);
        assert_eq!(share(Auto, jaeger, None, true), Share::Ask);
        assert_eq!(share(Auto, jaeger, Some(false), true), Share::Send);
        assert_eq!(share(Auto, None, Some(true), true), Share::Leave);
        assert_eq!(share(Auto, None, None, true), Share::Ask);
        assert_eq!(share(Auto, None, None, false), Share::Leave);
        let off = Decision::new(Import, false, Known::default());
        assert_eq!(off.share, Share::Leave);
        let known = Known {
            export: jaeger,
            ..Known::default()
        };
        let why = Decision::new(Auto, true, known).why;
        assert!(!why.contains("secret"), "{why}");
    }
}
