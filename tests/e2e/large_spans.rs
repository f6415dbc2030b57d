//! Spans that are large, over UDP: a real agent gets each of them, whole or with a word about what it lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dagger::trace::model::{Event, Resource, Span, SpanId, Value};
use serde_json::Value as Json;

use crate::support::{Bed, bed_dir, plain_span, push_all, span_ids_of, waiting};

const SPANS: u64 = 5_000;
const TRACE: u128 = 0x1a26_e500_0000_0000_0000_0000_0000_0001;

/// Most are of some kilobytes; every fiftieth is larger than any datagram, by a text or by its events.
fn spans() -> Vec<Span> {
    let resource = Arc::new(Resource {
        service: "large".into(),
        attributes: vec![("host.name".into(), Value::Str("bed".into()))],
    });
    let text = |bytes: u64| Value::Str("z".repeat(usize::try_from(bytes).unwrap()));
    let one = |id: u64| {
        let mut span = plain_span(TRACE, id, &resource);
        span.parent = (id > 1).then_some(SpanId(1));
        let bytes = match id % 100 {
            50 => 70_000 + 100 * id,
            _ => 2_000 + 13 * (id % 700),
        };
        span.attributes.push(("log".into(), text(bytes)));
        if id.is_multiple_of(100) {
            span.events = (0..400)
                .map(|number| Event {
                    name: format!("line {number}"),
                    at_ns: span.start_ns + number,
                    attributes: vec![("message".into(), text(500))],
                })
                .collect();
        }
        span
    };
    (1..=SPANS).map(one).collect()
}

/// What the marks of the trace's spans say, by span.
fn marks(query_url: &str, trace: &str) -> BTreeMap<String, String> {
    let url = format!("{query_url}/api/traces/{trace}?raw=true");
    let output = std::process::Command::new("curl")
        .args(["-sS", &url])
        .output()
        .unwrap();
    let answer: Json = serde_json::from_slice(&output.stdout).unwrap();
    let spans = answer["data"][0]["spans"].as_array().unwrap();
    let mark = |span: &Json| {
        let tags = span["tags"].as_array().unwrap();
        let tag = tags.iter().find(|tag| tag["key"] == "dagger.cut")?;
        let (id, said) = (span["spanID"].as_str()?, tag["value"].as_str()?);
        Some((id.to_owned(), said.to_owned()))
    };
    spans.iter().filter_map(mark).collect()
}

#[test]
fn an_agent_gets_five_thousand_large_spans() {
    // One of its own: the bed's Jaeger has others to listen to.
    let jaeger = Bed::up(&bed_dir("-large"), &["jaeger"]);
    let spans = spans();
    let state = waiting(&spans);
    push_all(&state)
        .env("JAEGER_TRACE", &jaeger.agent())
        .run()
        .expect(0);
    let trace = spans[0].trace.to_string();
    let until = Instant::now() + Duration::from_secs(20);
    let mut found = Vec::new();
    while found.len() < spans.len() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(500));
        found = span_ids_of(&jaeger.query_url(), &trace);
    }
    let once: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(once.len(), found.len(), "a span is there twice");
    assert_eq!(once.len(), spans.len());

    let marks = marks(&jaeger.query_url(), &trace);
    let cut: BTreeSet<_> = marks.keys().cloned().collect();
    let large = (50..=SPANS).step_by(50);
    assert_eq!(cut, large.map(|id| SpanId(id).to_string()).collect());
    let said = |id: u64| marks[&SpanId(id).to_string()].as_str();
    assert_eq!(said(50), "log (16384 of 75000 bytes kept)");
    assert!(said(100).starts_with("the first "), "{}", said(100));
    assert!(said(100).contains(" of 400 events"), "{}", said(100));
}
