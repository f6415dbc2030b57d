//! The span that we hang under, when another process says so (W3C Trace Context, `traceparent`).

use thiserror::Error;

use crate::trace::model::{SpanId, TraceId};

/// Longest `tracestate` that is passed on, in bytes (W3C Trace Context, 3.3.1.5).
const TRACESTATE_BYTES: usize = 512;

/// An entry longer than this is left out first, in bytes.
const ENTRY_BYTES: usize = 128;

/// A span in another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteParent {
    /// Its trace, which becomes ours.
    pub trace: TraceId,
    /// The span itself.
    pub span: SpanId,
    /// Is it recorded by its own process?
    pub sampled: bool,
    /// What tracing systems tell each other, passed on as it is.
    pub tracestate: Option<String>,
}

/// A `traceparent` that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no traceparent (00-TRACEID-SPANID-FLAGS)")]
pub struct ParentError(String);

impl RemoteParent {
    /// Reads a `traceparent`: version 00 exactly, later versions by their first four fields; any flags.
    ///
    /// # Errors
    /// When it has another form; by the specification it is then to be ignored.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Result<Self, ParentError> {
        let parsed = fields(traceparent.trim());
        let (trace, span, sampled) =
            parsed.ok_or_else(|| ParentError(traceparent.chars().take(80).collect()))?;
        let tracestate = tracestate.map(shortened).filter(|state| !state.is_empty());
        Ok(Self {
            trace,
            span,
            sampled,
            tracestate,
        })
    }
}

/// The `tracestate` as it is passed on: whole, or without the entries that go first when it is too long: the
/// long ones, then those at the end (3.3.1.5). One that is no text for a header is none.
fn shortened(state: &str) -> String {
    if !state
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
    {
        return String::new();
    }
    let mut entries: Vec<_> = state.split(',').map(str::trim).collect();
    entries.retain(|entry| !entry.is_empty());
    let bytes = |entries: &[&str]| entries.iter().map(|entry| entry.len() + 1).sum::<usize>();
    // One comma less than entries.
    if bytes(&entries) > TRACESTATE_BYTES + 1 {
        entries.retain(|entry| entry.len() <= ENTRY_BYTES);
    }
    while bytes(&entries) > TRACESTATE_BYTES + 1 {
        entries.pop();
    }
    entries.join(",")
}

fn fields(text: &str) -> Option<(TraceId, SpanId, bool)> {
    let lower_hex = |part: &str, length: usize| {
        part.len() == length
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let whole =
        lower_hex(version, 2) && lower_hex(trace, 32) && lower_hex(span, 16) && lower_hex(flags, 2);
    if !whole || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    Some((trace.parse().ok()?, span.parse().ok()?, sampled))
}

/// The `traceparent` of a span of ours: always sampled, or the daemon would record nothing.
pub(super) fn traceparent(trace: TraceId, span: SpanId) -> String {
    format!("00-{trace}-{span}-01")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn ok(text: &str) -> bool {
        RemoteParent::parse(text, None).is_ok()
    }

    #[test]
    fn all_flags_and_later_versions_are_taken() {
        for flags in 0..=255u8 {
            assert!(ok(&format!("00-{TRACE}-b7ad6b7169203331-{flags:02x}")));
        }
        assert!(ok(&format!("01-{TRACE}-b7ad6b7169203331-01-more")));
    }

    #[test]
    fn malformed_ones_are_refused() {
        for text in [
            String::new(),
            format!("ff-{TRACE}-b7ad6b7169203331-01"),
            format!("00-{TRACE}-b7ad6b7169203331-01-more"),
            format!("00-{TRACE}-b7ad6b7169203331"),
            format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-b7ad6b7169203331-1"),
        ] {
            assert!(!ok(&text), "{text}");
        }
    }

    #[test]
    fn what_we_send_reads_back() {
        let sent = traceparent(TRACE.parse().unwrap(), SpanId(7));
        let read = RemoteParent::parse(&sent, Some(" a=b ")).unwrap();
        assert_eq!(
            (read.trace.to_string(), read.span, read.tracestate),
            (TRACE.into(), SpanId(7), Some("a=b".into()))
        );
    }

    #[test]
    fn a_long_tracestate_loses_entries_and_not_all_of_it() {
        let state = |text: &str| {
            let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
            RemoteParent::parse(&parent, Some(text)).unwrap().tracestate
        };
        assert_eq!(state("a=1 , b=2,"), Some("a=1,b=2".into()));
        let long = format!("a={},b=2,c={}", "x".repeat(130), "y".repeat(400));
        assert_eq!(state(&long), Some("b=2".into()));
        let many: Vec<_> = (0..100).map(|n| format!("k{n}=value")).collect();
        let kept = state(&many.join(",")).unwrap();
        assert!(
            kept.len() <= 512 && kept.starts_with("k0=value,k1=value"),
            "{kept}"
        );
        assert_eq!((state(""), state("a=\n"), state("a=ä")), (None, None, None));
        let fits = format!("a={}", "x".repeat(510));
        assert_eq!(state(&fits), Some(fits));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*", state in "\\PC*") {
            let _ = RemoteParent::parse(&text, Some(&state));
        }
    }
}
