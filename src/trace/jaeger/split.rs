//! A large answer, read by several threads at once: reading is most of what verifying a large trace takes.
//!
//! Lives here: where an answer is cut, and how its parts become one again. An answer is cut where a span
//! begins, and only one that is written as Jaeger writes it: of anything else nothing is made here, and it is
//! read from its first byte to its last (`stream`). Elsewhere: one span (`span`).

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Deserializer;

use super::decode::Answer;
use super::node::Node;
use super::span;
use super::stream::{Envelope, Owners, Reading, SPANS, assign};
use super::tags::RawSpan;
use crate::trace::model::{Resource, TraceId};

/// A part of fewer bytes is not worth a thread.
const LEAST_BYTES: usize = 512 << 10;

/// More threads wait for memory, not for each other.
const MOST_PARTS: usize = 8;

/// How far behind a place a span has to begin, in bytes, for the answer to be cut there.
const LONGEST_SPAN: usize = 64 << 10;

/// How an answer of one trace begins, up to its id.
const BEGIN: &[u8] = br#"{"data":[{"traceID":""#;

/// What comes between the id and the spans.
const SPANS_BEGIN: &[u8] = br#"","spans":["#;

/// What parts two spans. In a text its quotation marks would be escaped, so it is none.
const BETWEEN: &[u8] = br#"},{"traceID":""#;

/// The most that comes after the spans: the processes.
const TAIL_BYTES: usize = 1 << 20;

/// Reads an answer, if it is large and as Jaeger writes it.
pub(super) fn read(body: &[u8], asked: TraceId) -> Option<Envelope> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = cores.min(MOST_PARTS).min(body.len() / LEAST_BYTES);
    (parts > 1).then(|| read_in(parts, body, asked)).flatten()
}

fn read_in(parts: usize, body: &[u8], asked: TraceId) -> Option<Envelope> {
    let spans = behind_begin(body)?;
    let (last, others) = cut(spans, parts)?;
    let mut read = std::thread::scope(|scope| {
        let others: Vec<_> = others
            .into_iter()
            .map(|part| scope.spawn(move || Part::read(part, asked)))
            .collect();
        let last = Part::read(last, asked);
        let mut read = Vec::new();
        for other in others {
            match other.join() {
                Ok(part) => read.push(part?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        read.push(last?);
        Some(read)
    })?;
    // Only the last one may be followed by something.
    let (last, others) = read.split_last()?;
    if others.iter().any(|part| part.tail.is_some()) {
        return None;
    }
    let tail = Tail::read(last.tail?)?;
    let mut answer = Answer::default();
    for part in &mut read {
        assign(&mut part.answer.spans, &part.owners, &tail.processes);
        answer.spans.append(&mut part.answer.spans);
        answer.unreadable.append(&mut part.answer.unreadable);
        answer.mistyped.append(&mut part.answer.mistyped);
        answer.foreign += part.answer.foreign;
    }
    (answer.seen() <= SPANS).then_some(Envelope {
        answer,
        data: true,
        errors: tail.errors,
        message: String::new(),
    })
}

/// What comes behind the bracket that opens the list of spans.
fn behind_begin(body: &[u8]) -> Option<&[u8]> {
    let id = body.strip_prefix(BEGIN)?;
    let end = id.iter().position(|byte| !byte.is_ascii_hexdigit())?;
    id.get(end..)?.strip_prefix(SPANS_BEGIN)
}

/// The last part, which goes to the end of the answer, and those before it.
fn cut(spans: &[u8], parts: usize) -> Option<(&[u8], Vec<&[u8]>)> {
    let length = spans.len().checked_div(parts)?;
    let mut cut = Vec::with_capacity(parts);
    let mut begin = 0;
    for number in 1..parts {
        let wanted = length.saturating_mul(number);
        if wanted < begin {
            continue;
        }
        let near = spans.get(wanted..)?;
        let near = near.get(..LONGEST_SPAN).unwrap_or(near);
        let Some(between) = near
            .windows(BETWEEN.len())
            .position(|bytes| bytes == BETWEEN)
        else {
            break;
        };
        // The brace is the part's, the comma nobody's.
        let end = wanted.checked_add(between)?.checked_add(1)?;
        cut.push(spans.get(begin..end)?);
        begin = end.checked_add(1)?;
    }
    Some((spans.get(begin..)?, cut))
}

/// Some of the spans.
struct Part<'a> {
    answer: Answer,
    owners: Owners,
    /// What comes behind the bracket that ends the list; `None`: it is not in this part.
    tail: Option<&'a [u8]>,
}

impl<'a> Part<'a> {
    /// `None`: it is not a list of spans, or has too many of them.
    fn read(mut bytes: &'a [u8], asked: TraceId) -> Option<Self> {
        let mut answer = Answer::default();
        let mut reading = Reading::new(asked, &mut answer);
        let tail = loop {
            let mut values = Deserializer::from_slice(bytes).into_iter::<RawSpan<'_>>();
            let span = values.next()?.ok()?;
            bytes = bytes.get(values.byte_offset()..)?;
            if reading.is_full() {
                return None;
            }
            reading.take(span);
            match bytes.split_first() {
                None => break None,
                Some((b',', rest)) => bytes = rest,
                Some((b']', rest)) => break Some(rest),
                Some(_) => return None,
            }
        };
        let owners = reading.owners();
        Some(Self {
            answer,
            owners,
            tail,
        })
    }
}

/// What comes after the spans.
struct Tail {
    processes: HashMap<String, Arc<Resource>>,
    /// `errors` was there, without an error in it.
    errors: bool,
}

impl Tail {
    /// `None`: it is not what ends an answer of one trace without an error.
    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > TAIL_BYTES {
            return None;
        }
        let whole = [br#"{"data":[{"spans":[]"#, bytes].concat();
        let envelope: Node<'_> = serde_json::from_slice(&whole).ok()?;
        let Node::List(traces) = only(&envelope, "data")? else {
            return None;
        };
        let [trace] = &traces[..] else { return None };
        only(trace, "spans")?;
        let processes = match trace.get("processes") {
            Some(Node::Object(_)) => only(trace, "processes")?,
            _ => &Node::Null,
        };
        let errors = match envelope.get("errors") {
            None => false,
            Some(Node::Null) => true,
            Some(_) => return None,
        };
        Some(Self {
            processes: span::processes(processes),
            errors,
        })
    }
}

/// The field of this name, if there is one such field.
fn only<'j, 'a>(json: &'j Node<'a>, key: &str) -> Option<&'j Node<'a>> {
    let Node::Object(fields) = json else {
        return None;
    };
    let mut named = fields.iter().filter(|(name, _)| name == key);
    let (_, first) = named.next()?;
    named.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;
    use crate::trace::jaeger::decode::decode_whole;

    const ID: TraceId = TraceId(0x9078_779b_6155_c559_f6ce_1eea_10bf_1044);

    /// A captured answer as Jaeger sends it.
    fn sample() -> Vec<u8> {
        let pretty = include_bytes!("../../../tests/fixtures/traces/buildctl-build.json");
        let mut sample: Json = serde_json::from_slice(pretty).unwrap();
        let trace = &mut sample["data"][0];
        let spans = trace["spans"].as_array().unwrap();
        let part = |key: &str, json: &Json| format!("\"{key}\":{json}");
        // The order of fields is Jaeger's: a trace's id comes before all else.
        let spans: Vec<String> = spans
            .iter()
            .map(|span| {
                let fields = span.as_object().unwrap().iter();
                let rest = fields.filter(|(key, _)| *key != "traceID");
                let rest: Vec<_> = rest.map(|(key, json)| part(key, json)).collect();
                format!(
                    "{{{},{}}}",
                    part("traceID", &span["traceID"]),
                    rest.join(",")
                )
            })
            .collect();
        format!(
            "{{\"data\":[{{{},\"spans\":[{}],{},\"warnings\":null}}],\"total\":0,\"errors\":null}}",
            part("traceID", &trace["traceID"]),
            spans.join(","),
            part("processes", &trace["processes"]),
        )
        .into_bytes()
    }

    #[test]
    fn parts_are_put_together_as_they_were() {
        let body = sample();
        let whole = decode_whole(&body, ID).unwrap().unwrap();
        assert_eq!(whole.spans.len(), 35);
        for parts in 2..=8 {
            let envelope = read_in(parts, &body, ID).unwrap();
            assert!(envelope.data && envelope.errors);
            assert_eq!(envelope.answer, whole, "{parts} parts");
        }
    }

    #[test]
    fn what_is_written_otherwise_is_left_to_others() {
        let text = String::from_utf8(sample()).unwrap();
        let changed = [
            text.replacen("{\"data\"", "{ \"data\"", 1),
            text.replacen("\"spans\":[", "\"spans\": [", 1),
            text.replacen("},{\"traceID\"", "} {\"traceID\"", 1),
            text.replacen("\"errors\":null", "\"errors\":[{\"msg\":\"no\"}]", 1),
            text.replace(
                "\"warnings\":null}],\"total\"",
                "\"spans\":[{}]}],\"total\"",
            ),
            text.replace("}],\"total\"", "},{\"spans\":[]}],\"total\""),
            text.replacen("\"total\":0", "\"data\":[]", 1),
            text.trim_end_matches('}').to_owned(),
        ];
        for (number, text) in changed.iter().enumerate() {
            assert!(read_in(3, text.as_bytes(), ID).is_none(), "text {number}");
        }
        // A small one is read sooner by one.
        assert!(read(&sample(), ID).is_none());
    }

    proptest! {
        #[test]
        fn what_is_read_in_parts_is_what_is_read_whole(at in 0usize..40_000, byte: u8, drop: bool, parts in 2usize..6) {
            let mut body = sample();
            let at = at % body.len();
            if drop {
                body.remove(at);
            } else {
                body[at] = byte;
            }
            if let Some(envelope) = read_in(parts, &body, ID) {
                let whole = decode_whole(&body, ID).unwrap().unwrap();
                prop_assert_eq!(envelope.answer, whole);
            }
        }
    }
}
