//! Which trace a build belongs to, as the daemon's own spans of it say.

use serde::Deserialize;
use tracing::debug;

use crate::buildkit::{BuildRecord, Client};

/// As much of a recorded span as is needed here.
#[derive(Deserialize)]
struct Stub {
    #[serde(rename = "SpanContext")]
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    #[serde(rename = "TraceID")]
    trace: String,
}

/// The build's trace id, if the daemon has recorded spans of it.
pub(super) async fn of(client: &Client, record: &BuildRecord) -> Option<String> {
    let blob = record.trace.as_ref()?;
    match client.read_blob(blob).await {
        Ok(spans) => first(&spans),
        Err(error) => {
            debug!(%error, "the recorded spans cannot be read");
            None
        }
    }
}

/// The trace id of the first span; all of them are of one trace.
fn first(spans: &[u8]) -> Option<String> {
    let mut stubs = serde_json::Deserializer::from_slice(spans).into_iter::<Stub>();
    let id = stubs.next()?.ok()?.context.trace;
    let hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex && id.len() == 32).then(|| id.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_span_says_it() {
        let id = "0123456789abcdef0123456789abcdef";
        let spans = format!(
            "{{\n\t\"Name\": \"a\", \"SpanContext\": {{\"TraceID\": \"{id}\", \"SpanID\": \"1\"}}\n}}\n{{}}"
        );
        assert_eq!(first(spans.as_bytes()).as_deref(), Some(id));
        for wrong in [
            "",
            "{}",
            "{\"SpanContext\": {\"TraceID\": \"\\u001b[2J\"}}",
            "[",
        ] {
            assert_eq!(first(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
