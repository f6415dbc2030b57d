use super::*;
use crate::trace::model::{Kind, SpanId, Status, Value};

const SAMPLE: &[u8] = include_bytes!("../../../tests/fixtures/buildkit-v0.34.2/history-trace.json");
const TRACE: &str = "f97e47b813164fc46894651a63b3e58a";

fn sample() -> Stubs {
    read(SAMPLE, TRACE.parse().unwrap())
}

#[test]
fn a_daemons_trace_is_read_whole() {
    let stubs = sample();
    assert_eq!(
        (stubs.unreadable, stubs.foreign, &stubs.broken),
        (0, 0, &None)
    );
    let count = SAMPLE
        .windows(13)
        .filter(|window| window == b"\"SpanContext\"")
        .count();
    assert!(stubs.spans.len() >= 30 && stubs.spans.len() <= count);
    let first = &stubs.spans[0];
    assert_eq!(first.name, "moby.buildkit.v1.Control/ListWorkers");
    assert_eq!(first.kind, Kind::Server);
    assert_eq!(first.parent, Some(SpanId(0x7aa2_8ba2_c1de_d94c)));
    assert_eq!(first.end_ns - first.start_ns, 141_744);
    assert_eq!(first.service(), "buildkitd");
    assert_eq!(first.text("rpc.system.name"), Some("grpc"));
    assert!(
        stubs
            .spans
            .iter()
            .any(|span| span.attribute("vertex").is_some())
    );
}

#[test]
fn spans_of_other_traces_and_doubles_are_left_out() {
    let twice = [SAMPLE, SAMPLE].concat();
    assert_eq!(read(&twice, TRACE.parse().unwrap()), sample());
    let other = read(SAMPLE, "1".parse().unwrap());
    assert!(other.spans.is_empty() && other.foreign > 30);
}

#[test]
fn what_cannot_be_read_costs_nothing_else() {
    let text = br#"{"no": "span"} 7 {"Name": "n", "SpanContext": {"TraceID": "1", "SpanID": "2"},
        "StartTime": "2026-01-01T00:00:00+01:00", "EndTime": "2025-01-01T00:00:00Z", "SpanKind": 9,
        "Attributes": [{"Key": "list", "Value": {"Type": "INT64SLICE", "Value": [1, 2]}}, 5],
        "Events": [{"Name": "e"}, {"Name": "f", "Time": "2026-01-01T00:00:00Z"}], "Links": null,
        "Status": {"Code": "Error", "Description": "why"}} {"Name": "#;
    let stubs = read(text, "1".parse().unwrap());
    assert_eq!((stubs.spans.len(), stubs.unreadable), (1, 2));
    assert!(stubs.broken.is_some());
    let span = &stubs.spans[0];
    assert_eq!(
        span.start_ns, span.end_ns,
        "an end before the start is none"
    );
    assert_eq!(
        span.attributes,
        [("list".into(), Value::Str("[1,2]".into()))]
    );
    assert_eq!(span.events.len(), 1);
    assert_eq!(span.status, Status::Error("why".into()));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(cut in 0..SAMPLE.len(), byte: u8) {
        let mut text = SAMPLE[..SAMPLE.len().min(cut + 4_000)].to_vec();
        text[cut] = byte;
        let _ = read(&text[cut.saturating_sub(4_000)..], TRACE.parse().unwrap());
    }
}
