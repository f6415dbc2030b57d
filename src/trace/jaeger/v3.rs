//! Answers of `/api/v3`, which is OTLP JSON in an envelope.
//!
//! Newer Jaegers have only this for searching; a Jaeger behind a strict proxy may have only this at all.
//! Lives here: the envelope and its errors. Elsewhere: OTLP (`trace::otlp`), which route is asked
//! (`client`).

use std::collections::HashMap;

use serde_json::{Deserializer, Value as Json};

use super::decode::{Answer, Broken, begins_as_json, shown};
use crate::trace::model::TraceId;
use crate::trace::otlp;

/// Reads an answer, as [`decode`](super::decode()) does.
///
/// # Errors
/// When the bytes are not JSON, or JSON that this API does not send.
pub fn decode_v3(body: &[u8], asked: TraceId) -> Result<Result<Answer, String>, Broken> {
    begins_as_json(body)?;
    let mut found = Answer::default();
    // Some versions send a large trace in several pieces.
    for piece in Deserializer::from_slice(body).into_iter::<Json>() {
        let piece = piece.map_err(|error| Broken::Json(error.to_string()))?;
        if let Some(error) = piece.get("error") {
            let words = error.get("message").and_then(Json::as_str);
            return Ok(Err(shown(words.unwrap_or_default())));
        }
        let Some(result) = piece.get("result") else {
            return Err(Broken::Json("it has no `result`".into()));
        };
        // Nothing found is an object with nothing in it.
        let Ok(request) = otlp::request_from_json(result) else {
            continue;
        };
        let read = otlp::read(&request);
        if read.refused > 0 {
            let refused = format!("{} spans without an id, or too many", read.refused);
            found.unreadable.push(refused);
        }
        for span in read.spans {
            if span.trace == asked {
                found.spans.push(span);
            } else {
                found.foreign += 1;
            }
        }
    }
    if found == Answer::default() {
        return Ok(Err(String::new()));
    }
    Ok(Ok(found))
}

/// The traces of an answer to a search: when each began, in nanoseconds since the epoch, and its id.
///
/// # Errors
/// When the bytes are not JSON, or JSON that this API does not send.
pub(super) fn begins_v3(body: &[u8]) -> Result<Result<Vec<(u64, TraceId)>, String>, Broken> {
    begins_as_json(body)?;
    let mut begins: HashMap<TraceId, u64> = HashMap::new();
    for piece in Deserializer::from_slice(body).into_iter::<Json>() {
        let piece = piece.map_err(|error| Broken::Json(error.to_string()))?;
        if let Some(error) = piece.get("error") {
            let words = error.get("message").and_then(Json::as_str);
            return Ok(Err(shown(words.unwrap_or_default())));
        }
        let Some(result) = piece.get("result") else {
            return Err(Broken::Json("it has no `result`".into()));
        };
        if let Ok(request) = otlp::request_from_json(result) {
            let spans = otlp::read(&request).spans;
            for span in spans {
                let begin = begins.entry(span.trace).or_insert(span.start_ns);
                *begin = span.start_ns.min(*begin);
            }
        }
    }
    Ok(Ok(begins
        .into_iter()
        .map(|(id, begin)| (begin, id))
        .collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trace::model::SpanId;

    const TRACE: u128 = 0xabc;

    fn spans(ids: (&str, &str)) -> String {
        let (trace, span) = ids;
        format!(
            r#"{{"result":{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"s"}}}}]}},
            "scopeSpans":[{{"spans":[{{"traceId":"{trace}","spanId":"{span}","name":"n","startTimeUnixNano":"7","endTimeUnixNano":"9"}}]}}]}}]}}}}"#
        )
    }

    #[test]
    fn ids_are_hex_or_base64_and_pieces_are_put_together() {
        let hex = spans(("00000000000000000000000000000abc", "000000000000000b"));
        let base64 = spans(("AAAAAAAAAAAAAAAAAAAKvA==", "AAAAAAAAAAw="));
        let foreign = spans(("00000000000000000000000000000def", "000000000000000b"));
        let body = format!("{hex}\n{base64}\n{foreign}");
        let answer = decode_v3(body.as_bytes(), TraceId(TRACE)).unwrap().unwrap();
        let ids: Vec<_> = answer.spans.iter().map(|span| span.id).collect();
        assert_eq!(ids, [SpanId(11), SpanId(12)]);
        assert_eq!((answer.foreign, answer.spans[0].service()), (1, "s"));
        let mut begins = begins_v3(body.as_bytes()).unwrap().unwrap();
        begins.sort_unstable();
        assert_eq!(begins, [(7, TraceId(TRACE)), (7, TraceId(0xdef))]);
    }

    #[test]
    fn what_is_no_trace_is_told_apart() {
        let decode = |text: &str| decode_v3(text.as_bytes(), TraceId(TRACE));
        assert_eq!(
            decode(r#"{"error":{"httpCode":404,"message":"No traces found"}}"#),
            Ok(Err("No traces found".into()))
        );
        assert_eq!(decode(r#"{"result":{}}"#), Ok(Err(String::new())));
        assert!(matches!(decode("<html>"), Err(Broken::NotJson(_))));
        assert!(matches!(decode(""), Err(Broken::Json(_))));
        assert!(matches!(decode(r#"{"data":[]}"#), Err(Broken::Json(_))));
        assert!(matches!(
            decode(r#"{"result":{"resource"#),
            Err(Broken::Json(_))
        ));
    }

    proptest! {
        #[test]
        fn no_cut_or_changed_byte_makes_it_panic(cut in 0usize..300, at in 0usize..300, byte: u8) {
            let mut body = spans(("AAAAAAAAAAAAAAAAAAAKvA==", "b")).into_bytes();
            let _ = decode_v3(&body[..cut.min(body.len())], TraceId(TRACE));
            let at = at % body.len();
            body[at] = byte;
            let _ = decode_v3(&body, TraceId(TRACE));
            let _ = begins_v3(&body);
        }
    }
}
