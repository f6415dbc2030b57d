use std::sync::Arc;

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::proto::opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
use crate::trace::model::{
    Attributes, Event, Kind, Link, Resource, Span, SpanId, Status, TraceId, Value,
};

fn any_attributes() -> impl Strategy<Value = Attributes> {
    let value = prop_oneof![
        "\\PC{0,8}".prop_map(Value::Str),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e9..1e9).prop_map(Value::Float),
    ];
    proptest::collection::vec(("[a-z.]{1,6}", value), 0..4)
}

fn any_span() -> impl Strategy<Value = Span> {
    let ids = (1..=u128::MAX, 1..=u64::MAX, any::<u64>());
    let times = (any::<u32>(), any::<u32>());
    (
        ids,
        times,
        0..5_u8,
        0..3_u8,
        "\\PC{0,8}",
        any_attributes(),
        any_attributes(),
    )
        .prop_map(
            |((trace, id, parent), (start, length), kind, status, text, one, two)| Span {
                trace: TraceId(trace),
                id: SpanId(id),
                parent: (parent != 0).then_some(SpanId(parent)),
                name: text.clone(),
                kind: [
                    Kind::Internal,
                    Kind::Client,
                    Kind::Server,
                    Kind::Producer,
                    Kind::Consumer,
                ][usize::from(kind)],
                start_ns: start.into(),
                end_ns: u64::from(start) + u64::from(length),
                status: [Status::Unset, Status::Ok, Status::Error(text.clone())]
                    [usize::from(status)]
                .clone(),
                attributes: one.clone(),
                events: vec![Event {
                    name: text,
                    at_ns: 5,
                    attributes: two.clone(),
                }],
                links: vec![Link {
                    trace: TraceId(trace),
                    span: SpanId(id),
                    attributes: two,
                }],
                resource: Arc::new(Resource {
                    service: format!("s{}", kind % 2),
                    attributes: Vec::new(),
                }),
            },
        )
}

fn sorted(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.trace, span.id));
    spans
}

proptest! {
    #[test]
    fn what_is_written_as_it_goes_is_what_the_messages_say(spans in proptest::collection::vec(any_span(), 0..6)) {
        let written = serde_json::to_value(entries(&spans)).unwrap();
        prop_assert_eq!(&written, &to_json(&spans)["resourceSpans"]);
    }

    #[test]
    fn both_encodings_read_back(given in proptest::collection::vec(any_span(), 0..6)) {
        let sent = request(&given).encode_to_vec();
        let back = spans(&ExportTraceServiceRequest::decode(&*sent).unwrap());
        prop_assert_eq!(sorted(back), sorted(given.clone()));
        let text = to_json(&given).to_string();
        prop_assert_eq!(sorted(from_json(text.as_bytes()).unwrap()), sorted(given));
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = from_json(text.as_bytes());
        let _ = from_json(format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{text}]}}]}}]}}").as_bytes());
    }
}

#[test]
fn one_entry_stands_for_each_resource() {
    let of = |service: &str| {
        Arc::new(Resource {
            service: service.into(),
            attributes: vec![],
        })
    };
    let span = |id, resource| Span {
        trace: TraceId(1),
        id: SpanId(id),
        parent: None,
        name: "n".into(),
        kind: Kind::Internal,
        start_ns: 1,
        end_ns: 2,
        status: Status::Unset,
        attributes: vec![],
        events: vec![],
        links: vec![],
        resource,
    };
    let made = request(&[span(1, of("a")), span(2, of("b")), span(3, of("a"))]);
    assert_eq!(made.resource_spans.len(), 2);
}

#[test]
fn what_others_write_is_taken() {
    let text = r#"{"resource_spans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}}]},
        "scope_spans":[{"spans":[
          {"traceId":"0AF7651916CD43DD8448EB211C80319C","spanId":"b7ad6b7169203331","name":"x","kind":"SPAN_KIND_CLIENT",
           "startTimeUnixNano":1500,"endTimeUnixNano":"100","status":{"code":"STATUS_CODE_ERROR","message":"why"},
           "attributes":[{"key":"n","value":{"intValue":7}},{"key":"l","value":{"arrayValue":{"values":[{"intValue":"1"},{"stringValue":"a"}]}}}]},
          {"traceId":"","spanId":"zz"}]}]}]}
        {"resourceSpans":[]}"#;
    let spans = from_json(text.as_bytes()).unwrap();
    assert_eq!(spans.len(), 1, "the one without an id is left out");
    let span = &spans[0];
    assert_eq!(
        (span.service(), span.kind, span.start_ns, span.end_ns),
        ("web", Kind::Client, 1500, 1500)
    );
    assert_eq!(span.status, Status::Error("why".into()));
    assert_eq!(span.int("n"), Some(7));
    assert_eq!(span.text("l"), Some("[1,\"a\"]"));
    assert!(matches!(from_json(b"{}"), Err(OtlpError::Shape)));
    assert!(matches!(from_json(b"{"), Err(OtlpError::Syntax(_))));
    assert!(matches!(from_json(b""), Err(OtlpError::Shape)));
}
