//! From the bytes of an answer to spans.
//!
//! Decodes by content, not by header: Jaeger sends its errors as JSON under `text/plain`, and its UI
//! answers unknown paths with a page and status 200.

use serde::de::DeserializeSeed as _;

use super::split;
use super::stream::{Envelope, EnvelopeSeed};
use crate::trace::model::{Span, SpanId, TraceId};

/// A trace as Jaeger has it now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Its spans, in the order of the answer; a span that was stored twice is there twice.
    pub spans: Vec<Span>,
    /// Spans of other traces in the same answer; they are left out.
    pub foreign: usize,
    /// Why spans could not be read; they are left out.
    pub unreadable: Vec<String>,
    /// Tags of them that hold something else than their type says; they are kept as text.
    pub mistyped: Vec<(SpanId, String)>,
}

impl Answer {
    /// How many spans were in it, those that are left out included.
    pub(super) fn seen(&self) -> usize {
        self.spans.len() + self.foreign + self.unreadable.len()
    }
}

/// Why bytes are not an answer of Jaeger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// They do not begin as JSON does; what they look like.
    NotJson(&'static str),
    /// They begin so, and then break off or make no sense.
    Json(String),
}

/// Reads an answer.
///
/// `None`: an answer of Jaeger that holds no span and, if there is one, the words of its error.
///
/// # Errors
/// When the bytes are not JSON, or JSON that Jaeger does not send.
pub fn decode(body: &[u8], asked: TraceId) -> Result<Result<Answer, String>, Broken> {
    match split::read(body, asked) {
        Some(envelope) => checked(envelope),
        None => decode_whole(body, asked),
    }
}

/// The same by one thread, which reads whatever it is.
pub(super) fn decode_whole(body: &[u8], asked: TraceId) -> Result<Result<Answer, String>, Broken> {
    begins_as_json(body)?;
    // The parser's own limit of 128 levels guards the stack.
    let mut parser = serde_json::Deserializer::from_slice(body);
    let garbled = |error: serde_json::Error| Broken::Json(error.to_string());
    let read = EnvelopeSeed(asked).deserialize(&mut parser);
    let envelope = read.map_err(garbled)?;
    parser.end().map_err(garbled)?;
    checked(envelope)
}

fn checked(envelope: Envelope) -> Result<Result<Answer, String>, Broken> {
    if !envelope.data && !envelope.errors {
        return Err(Broken::Json("it has no list `data`".into()));
    }
    if envelope.answer == Answer::default() {
        return Ok(Err(shown(&envelope.message)));
    }
    Ok(Ok(envelope.answer))
}

/// Could the bytes be JSON?
pub(super) fn begins_as_json(body: &[u8]) -> Result<(), Broken> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(b'{') => Ok(()),
        Some(b'<') => Err(Broken::NotJson("a web page")),
        Some(_) => Err(Broken::NotJson("neither JSON nor a web page")),
        None => Err(Broken::Json("it is empty".into())),
    }
}

/// The words of an error, shortened, and without what could steer a terminal.
pub(super) fn shown(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MESSAGE_CHARS)
        .collect()
}

/// How much of a server's error text is shown, in characters.
const MESSAGE_CHARS: usize = 200;

/// The traces of an answer to a search: when each began, in nanoseconds since the epoch, and its id.
///
/// # Errors
/// When the bytes are not JSON, or JSON that Jaeger does not send.
pub(super) fn begins(body: &[u8]) -> Result<Result<Vec<(u64, TraceId)>, String>, Broken> {
    #[derive(serde::Deserialize)]
    struct Found {
        data: Option<Vec<Trace>>,
        errors: Option<Vec<Problem>>,
    }
    #[derive(serde::Deserialize)]
    struct Trace {
        #[serde(rename = "traceID")]
        id: String,
        #[serde(default)]
        spans: Vec<Begun>,
    }
    #[derive(serde::Deserialize)]
    struct Begun {
        #[serde(rename = "startTime")]
        start_us: u64,
    }
    #[derive(serde::Deserialize)]
    struct Problem {
        #[serde(default)]
        msg: String,
    }
    begins_as_json(body)?;
    let found: Found =
        serde_json::from_slice(body).map_err(|error| Broken::Json(error.to_string()))?;
    if let Some(error) = found.errors.iter().flatten().next() {
        return Ok(Err(shown(&error.msg)));
    }
    let began = |trace: &Trace| trace.spans.iter().map(|span| span.start_us).min();
    let traces = found.data.into_iter().flatten();
    let begins = traces.filter_map(|trace| {
        let start_us = began(&trace)?;
        Some((start_us.saturating_mul(1_000), trace.id.parse().ok()?))
    });
    Ok(Ok(begins.collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;
    use crate::trace::model::{Kind, SpanId, Value};

    const SAMPLE: &[u8] = include_bytes!("../../../tests/fixtures/traces/buildctl-build.json");
    const SAMPLE_ID: &str = "9078779b6155c559f6ce1eea10bf1044";

    fn asked() -> TraceId {
        SAMPLE_ID.parse().unwrap()
    }

    fn spans(json: &str) -> Vec<Span> {
        decode(json.as_bytes(), TraceId(0xabc))
            .unwrap()
            .unwrap()
            .spans
    }

    #[test]
    fn a_tag_that_is_not_of_its_type_is_kept_as_text_and_told() {
        let tag = |kind: &str, value: &str| {
            format!(
                r#"{{"key":"{kind} {}","type":"{kind}","value":{value}}}"#,
                value.len()
            )
        };
        let good = [
            tag("bool", "true"),
            tag("int64", "1"),
            // As Jaeger sends large ones, and some of its stores all of them.
            tag("int64", r#""12""#),
            tag("float64", r#""1.5""#),
            tag("string", r#""text""#),
        ];
        let bad = [
            tag("bool", r#""perhaps""#),
            tag("int64", "[1]"),
            tag("float64", "{}"),
            tag("string", "12345"),
        ];
        let log = format!(r#"{{"timestamp":1,"fields":[{}]}}"#, bad[0]);
        let body = format!(
            r#"{{"data":[{{"spans":[{{"traceID":"abc","spanID":"1","tags":[{},{}],"logs":[{log}]}}]}}]}}"#,
            good.join(","),
            bad.join(",")
        );
        let answer = decode(body.as_bytes(), TraceId(0xabc)).unwrap().unwrap();
        assert_eq!(answer.spans[0].attributes.len(), good.len() + bad.len());
        let keys: Vec<_> = answer
            .mistyped
            .iter()
            .map(|(span, key)| (span.0, key.as_str()))
            .collect();
        let told = ["bool 9", "int64 3", "float64 2", "string 5", "bool 9"];
        assert_eq!(keys, told.map(|key| (1, key)));
        let text = answer.spans[0].text("int64 3");
        assert_eq!(text, Some("[1]"));
    }

    #[test]
    fn captured_trace_is_read_whole() {
        let answer = decode(SAMPLE, asked()).unwrap().unwrap();
        assert_eq!(
            (answer.spans.len(), answer.foreign, answer.unreadable.len()),
            (35, 0, 0)
        );
        let solve = answer
            .spans
            .iter()
            .find(|span| span.id == SpanId(0x676d_4aa1_c77a_583d))
            .unwrap();
        assert_eq!(solve.name, "moby.buildkit.v1.Control/Solve");
        assert_eq!(solve.parent, Some(SpanId(0x8bf0_d602_8841_e603)));
        assert_eq!(
            (solve.kind, solve.service(), solve.int("server.port")),
            (Kind::Client, "buildctl", Some(1234))
        );
        assert_eq!(solve.start_ns, 1_795_497_451_364_420_000);
        assert_eq!(solve.end_ns - solve.start_ns, 585_870_000);
        let run = answer
            .spans
            .iter()
            .find(|span| span.name == "[a 1/1] RUN echo one > /one && echo \"hello from a\"")
            .unwrap();
        assert_eq!(run.events[0].name, "ExecOp started");
    }

    #[test]
    fn other_spellings_are_understood() {
        let spans = spans(
            r#"{"data":[{"traceID":"abc","processes":{"p1":{"serviceName":"s","tags":null}},"spans":[
            {"traceID":"0000000000000abc","spanID":"A","operationName":"a","processID":"p1","startTime":"5","duration":2.0,
             "references":null,"logs":null,"warnings":null,"parentSpanID":"0000000000000000",
             "tags":[{"key":"big","type":"int64","value":"9007199254740993"},{"key":"k","type":"bool","value":"true"},
                     {"key":"k","type":"string","value":7},{"key":"f","type":"float64","value":"1.5"},{"key":"n","type":"int64","value":"x"},
                     {"key":"b","type":"binary","value":"AAE="},{"key":"error","type":"string","value":"true"},
                     {"key":"otel.status_description","type":"string","value":"boom"},{"key":"i","value":3}]},
            {"traceID":"00000000000000000000000000000abc","spanID":"000000000000000b","parentSpanID":"a"},
            {"traceID":"abc","spanID":"c","references":[{"refType":"FOLLOWS_FROM","traceID":"abc","spanID":"a"}]},
            {"traceID":"abc","spanID":"d","references":[{"refType":"FOLLOWS_FROM","traceID":"abc","spanID":"a"},{"refType":"CHILD_OF","traceID":"def","spanID":"e"},{"refType":"CHILD_OF","traceID":"abc","spanID":"b"}]}]}]}"#,
        );
        let a = &spans[0];
        assert_eq!((a.id, a.parent, a.service()), (SpanId(10), None, "s"));
        assert_eq!((a.start_ns, a.end_ns), (5_000, 7_000));
        assert_eq!(a.status, crate::trace::model::Status::Error("boom".into()));
        assert_eq!(a.int("big"), Some(9_007_199_254_740_993));
        assert_eq!(
            a.attributes[1..],
            [
                ("k".into(), Value::Bool(true)),
                ("k".into(), Value::Str("7".into())),
                ("f".into(), Value::Float(1.5)),
                ("n".into(), Value::Str("x".into())),
                ("b".into(), Value::Str("AAE=".into())),
                ("i".into(), Value::Int(3)),
            ]
        );
        assert_eq!(spans[1].parent, Some(SpanId(10)));
        assert_eq!(spans[2].parent, Some(SpanId(10)));
        assert_eq!(spans[3].parent, Some(SpanId(11)));
    }

    #[test]
    fn spans_of_other_traces_and_without_id_are_counted() {
        let answer = decode(
            br#"{"data":[{"spans":[{"traceID":"abc","spanID":"1"},{"traceID":"def","spanID":"2"},{"traceID":"abc"},7]}]}"#,
            TraceId(0xabc),
        )
        .unwrap()
        .unwrap();
        assert_eq!(
            (answer.spans.len(), answer.foreign, answer.unreadable.len()),
            (1, 1, 2)
        );
    }

    #[test]
    fn what_is_no_trace_is_told_apart() {
        let decode = |text: &str| decode(text.as_bytes(), asked());
        assert_eq!(
            decode(r#"{"data":null,"errors":[{"code":404,"msg":"trace not found"}]}"#),
            Ok(Err("trace not found".into()))
        );
        assert_eq!(
            decode(r#"{"data":[],"errors":null}"#),
            Ok(Err(String::new()))
        );
        assert!(matches!(decode("<!doctype html>"), Err(Broken::NotJson(_))));
        assert!(matches!(
            decode("404 page not found"),
            Err(Broken::NotJson(_))
        ));
        assert!(matches!(decode(""), Err(Broken::Json(_))));
        assert!(matches!(decode(r#"{"data":[{"spa"#), Err(Broken::Json(_))));
        assert!(matches!(decode(r#"{"hello":1}"#), Err(Broken::Json(_))));
        let deep = format!("{{\"data\":{}", "[".repeat(100_000));
        assert!(matches!(decode(&deep), Err(Broken::Json(_))));
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let word = prop::sample::select(vec![
            "data",
            "spans",
            "traceID",
            "spanID",
            "references",
            "refType",
            "CHILD_OF",
            "tags",
            "key",
            "type",
            "value",
            "int64",
            "bool",
            "logs",
            "fields",
            "timestamp",
            "processes",
            "p1",
            "processID",
            "serviceName",
            "startTime",
            "duration",
            "abc",
            "-1",
            "",
        ]);
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            word.clone().prop_map(Json::from),
        ];
        leaf.prop_recursive(6, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                prop::collection::vec((word.clone().prop_map(str::to_owned), inner), 0..8)
                    .prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
            ]
        })
    }

    /// Puts `new` in the place of the node that is `at` steps into the tree.
    fn replace(json: &mut Json, at: &mut usize, new: &Json) {
        if *at == 0 {
            *json = new.clone();
        }
        *at = at.wrapping_sub(1);
        match json {
            Json::Array(items) => items.iter_mut().for_each(|item| replace(item, at, new)),
            Json::Object(map) => map.values_mut().for_each(|item| replace(item, at, new)),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&body, asked());
        }

        #[test]
        fn no_json_makes_it_panic(json in any_json()) {
            let body = serde_json::to_vec(&serde_json::json!({"data": [{"spans": json}]})).unwrap();
            let _ = decode(&body, TraceId(0xabc));
            let body = serde_json::to_vec(&serde_json::json!({"data": [{"spans": [json]}]})).unwrap();
            let _ = decode(&body, TraceId(0xabc));
            let body = serde_json::to_vec(&json).unwrap();
            let _ = decode(&body, TraceId(0xabc));
        }

        #[test]
        fn no_changed_node_makes_it_panic(mut at in 0usize..6000, new in any_json()) {
            let mut sample: Json = serde_json::from_slice(SAMPLE).unwrap();
            replace(&mut sample, &mut at, &new);
            let _ = decode(&serde_json::to_vec(&sample).unwrap(), asked());
        }

        #[test]
        fn no_cut_or_changed_byte_makes_it_panic(cut in 0usize..58_925, at in 0usize..58_925, byte: u8) {
            let _ = decode(&SAMPLE[..cut], asked());
            let mut body = SAMPLE.to_vec();
            body[at] = byte;
            let _ = decode(&body, asked());
        }
    }
}
