//! Batches written by Apache's own encoder, read back; and bytes that are none.

use std::sync::Arc;

use ::thrift::protocol::{
    TBinaryOutputProtocol, TCompactOutputProtocol, TFieldIdentifier, TListIdentifier,
    TMessageIdentifier, TMessageType, TOutputProtocol, TStructIdentifier, TType,
};
use proptest::prelude::*;

use super::*;
use crate::trace::jaeger::write;
use crate::trace::model::{
    Attributes, Event, Kind, Link, Resource, SpanId, Status, TraceId, Value,
};

struct Writer<'a>(&'a mut dyn TOutputProtocol);

impl Writer<'_> {
    fn open(&mut self) {
        self.0
            .write_struct_begin(&TStructIdentifier::new("s"))
            .unwrap();
    }

    fn close(&mut self) {
        self.0.write_field_stop().unwrap();
        self.0.write_struct_end().unwrap();
    }

    fn field(&mut self, kind: TType, id: i16) {
        self.0
            .write_field_begin(&TFieldIdentifier::new("f", kind, id))
            .unwrap();
    }

    fn i64(&mut self, id: i16, number: u64) {
        self.field(TType::I64, id);
        self.0.write_i64(number.cast_signed()).unwrap();
    }

    fn i32(&mut self, id: i16, number: i32) {
        self.field(TType::I32, id);
        self.0.write_i32(number).unwrap();
    }

    fn text(&mut self, id: i16, text: &str) {
        self.field(TType::String, id);
        self.0.write_string(text).unwrap();
    }

    fn list(&mut self, id: i16, count: usize) {
        self.field(TType::List, id);
        let count = i32::try_from(count).unwrap();
        self.0
            .write_list_begin(&TListIdentifier::new(TType::Struct, count))
            .unwrap();
    }

    fn tags(&mut self, id: i16, tags: &Attributes) {
        self.list(id, tags.len());
        for (key, value) in tags {
            self.open();
            self.text(1, key);
            match value {
                Value::Str(text) => {
                    self.i32(2, 0);
                    self.text(3, text);
                }
                Value::Float(number) => {
                    self.i32(2, 1);
                    self.field(TType::Double, 4);
                    self.0.write_double(*number).unwrap();
                }
                Value::Bool(truth) => {
                    self.i32(2, 2);
                    self.field(TType::Bool, 5);
                    self.0.write_bool(*truth).unwrap();
                }
                Value::Int(number) => {
                    self.i32(2, 3);
                    self.i64(6, number.cast_unsigned());
                }
            }
            self.close();
        }
    }

    fn batch(&mut self, resource: &Resource, spans: &[Span]) {
        self.open();
        self.field(TType::Struct, 1);
        self.open();
        self.text(1, &resource.service);
        self.tags(2, &resource.attributes);
        self.close();
        self.list(2, spans.len());
        spans.iter().for_each(|span| self.span(span));
        // A field that nobody knows, with a list of lists.
        self.field(TType::List, 9);
        self.0
            .write_list_begin(&TListIdentifier::new(TType::Bool, 2))
            .unwrap();
        self.0.write_bool(true).unwrap();
        self.0.write_bool(false).unwrap();
        self.close();
    }

    fn span(&mut self, span: &Span) {
        self.open();
        self.i64(1, span.trace.0 as u64);
        self.i64(2, (span.trace.0 >> 64) as u64);
        self.i64(3, span.id.0);
        self.i64(4, span.parent.map_or(0, |id| id.0));
        self.text(5, &span.name);
        self.list(6, span.links.len());
        for link in &span.links {
            self.open();
            self.i32(1, 1);
            self.i64(2, link.trace.0 as u64);
            self.i64(3, (link.trace.0 >> 64) as u64);
            self.i64(4, link.span.0);
            self.close();
        }
        self.i32(7, 1);
        self.i64(8, span.start_ns / 1_000);
        self.i64(9, (span.end_ns - span.start_ns) / 1_000);
        self.tags(10, &write::tags(span));
        self.list(11, span.events.len());
        for event in &span.events {
            self.open();
            self.i64(1, event.at_ns / 1_000);
            let mut fields = event.attributes.clone();
            fields.insert(0, ("event".into(), Value::Str(event.name.clone())));
            self.tags(2, &fields);
            self.close();
        }
        self.close();
    }

    fn message(&mut self, name: &str, resource: &Resource, spans: &[Span]) {
        let head = TMessageIdentifier::new(name, TMessageType::OneWay, 7);
        self.0.write_message_begin(&head).unwrap();
        self.open();
        self.field(TType::Struct, 1);
        self.batch(resource, spans);
        self.close();
        self.0.write_message_end().unwrap();
    }
}

type Read = fn(&[u8]) -> Result<Batch, ThriftError>;

/// The spans in each of the ways, with what reads them.
fn encoded(resource: &Resource, spans: &[Span]) -> Vec<(Vec<u8>, Read)> {
    let mut collected_bytes = Vec::new();
    Writer(&mut TBinaryOutputProtocol::new(&mut collected_bytes, true)).batch(resource, spans);
    let mut agent_bytes = Vec::new();
    Writer(&mut TCompactOutputProtocol::new(&mut agent_bytes)).message(
        "emitBatch",
        resource,
        spans,
    );
    let mut strict = Vec::new();
    Writer(&mut TBinaryOutputProtocol::new(&mut strict, true)).message(
        "emitBatch",
        resource,
        spans,
    );
    let mut old = Vec::new();
    Writer(&mut TBinaryOutputProtocol::new(&mut old, false)).message("emitBatch", resource, spans);
    vec![
        (collected_bytes, collected),
        (agent_bytes, agent),
        (strict, agent_binary),
        (old, agent_binary),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        ".*".prop_map(Value::Str),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e300..1e300).prop_map(Value::Float),
    ]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    // None of these names means something else in Jaeger.
    prop::collection::vec(("x[a-z]{0,20}", values()), 0..18)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (".*", 0..1_u64 << 50, attributes()).prop_map(|(name, us, attributes)| Event {
        name,
        at_ns: us * 1_000,
        attributes,
    });
    prop::collection::vec(event, 0..3).prop_map(|mut events| {
        events.sort_by_key(|event| event.at_ns);
        events
    })
}

fn links() -> impl Strategy<Value = Vec<Link>> {
    let link = (1..=u128::MAX, 1..=u64::MAX).prop_map(|(trace, span)| Link {
        trace: TraceId(trace),
        span: SpanId(span),
        attributes: Vec::new(),
    });
    prop::collection::vec(link, 0..3)
}

fn spans() -> impl Strategy<Value = (Resource, Vec<Span>)> {
    let kind = prop_oneof![
        Just(Kind::Internal),
        Just(Kind::Client),
        Just(Kind::Server),
        Just(Kind::Producer),
        Just(Kind::Consumer),
    ];
    let status = prop_oneof![
        Just(Status::Unset),
        Just(Status::Ok),
        ".*".prop_map(Status::Error),
    ];
    let ids = (1..=u128::MAX, 1..=u64::MAX, prop::option::of(1..=u64::MAX));
    let times = (0..1_u64 << 52, 0..1_u64 << 40);
    let span = (
        ids,
        ".*",
        kind,
        times,
        status,
        attributes(),
        events(),
        links(),
    )
        .prop_map(
            |(
                (trace, id, parent),
                name,
                kind,
                (start, length),
                status,
                attributes,
                events,
                links,
            )| Span {
                trace: TraceId(trace),
                id: SpanId(id),
                parent: parent.map(SpanId),
                name,
                kind,
                start_ns: start * 1_000,
                end_ns: (start + length) * 1_000,
                status,
                attributes,
                events,
                links,
                resource: Arc::default(),
            },
        );
    let service = (".*", attributes()).prop_map(|(service, attributes)| Resource {
        service,
        attributes,
    });
    (service, prop::collection::vec(span, 0..4)).prop_map(|(resource, mut spans)| {
        let shared = Arc::new(resource.clone());
        for span in &mut spans {
            span.resource = shared.clone();
        }
        (resource, spans)
    })
}

proptest! {
    #[test]
    fn what_apaches_encoder_writes_is_read((resource, spans) in spans()) {
        for (bytes, read) in encoded(&resource, &spans) {
            let batch = read(&bytes).unwrap();
            prop_assert_eq!(&batch.spans, &spans);
            prop_assert_eq!(batch.refused, 0);
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let message = [b"\x82\x81\x01\x09emitBatch\x1c".as_slice(), &bytes].concat();
        let strict = [b"\x80\x01\0\x04\0\0\0\x09emitBatch\0\0\0\x01\x0c\0\x01".as_slice(), &bytes].concat();
        let _ = (collected(&bytes), agent(&bytes), agent(&message), agent_binary(&strict));
    }

    #[test]
    fn no_damage_panics((resource, spans) in spans(), at: prop::sample::Index, byte: u8, cut: bool) {
        for (mut bytes, read) in encoded(&resource, &spans) {
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] = byte;
            }
            let _ = read(&bytes);
        }
    }
}

#[test]
fn lists_that_lie_about_their_length_cost_nothing() {
    // Field 2 is a list of 2^31 - 1 structs, and there the bytes end.
    let binary = b"\x0f\0\x02\x0c\x7f\xff\xff\xff";
    assert_eq!(collected(binary), Err(ThriftError::Short));
    let compact = b"\x82\x81\x01\x09emitBatch\x1c\x29\xfc\xff\xff\xff\xff\x0f";
    assert_eq!(agent(compact), Err(ThriftError::Short));
    // A text of as many bytes.
    assert_eq!(
        collected(b"\x0c\0\x01\x0b\0\x01\x7f\xff\xff\xff"),
        Err(ThriftError::Short)
    );
    // A negative length.
    assert_eq!(
        collected(b"\x0f\0\x02\x0c\xff\xff\xff\xff"),
        Err(ThriftError::Malformed)
    );
}

#[test]
fn entries_are_counted_over_all_lists() {
    // As many empty structs as there are bytes.
    let count = 3_000_000_u32;
    let mut bytes = b"\x0f\0\x02\x0c".to_vec();
    bytes.extend(count.to_be_bytes());
    bytes.resize(bytes.len() + 3_000_000, 0);
    assert_eq!(collected(&bytes), Err(ThriftError::Large));
}

#[test]
fn structs_in_structs_end_somewhere() {
    let nested: Vec<u8> = b"\x0c\0\x09".repeat(100_000);
    assert_eq!(collected(&nested), Err(ThriftError::Deep));
    assert_eq!(
        agent(&[b"\x82\x81\x01\x09emitBatch".as_slice(), &[0x1c; 10_000]].concat()),
        Err(ThriftError::Deep)
    );
}

#[test]
fn other_messages_are_refused() {
    let mut bytes = Vec::new();
    Writer(&mut TCompactOutputProtocol::new(&mut bytes)).message(
        "emitZipkinBatch",
        &Resource::default(),
        &[],
    );
    assert_eq!(agent(&bytes), Err(ThriftError::Message));
    assert_eq!(agent(b"{\"not\":1}"), Err(ThriftError::Malformed));
}

#[test]
fn spans_without_ids_are_counted() {
    let mut span = Span {
        trace: TraceId(1),
        id: SpanId(0),
        parent: None,
        name: "n".into(),
        kind: Kind::Internal,
        start_ns: 0,
        end_ns: 0,
        status: Status::Unset,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
        resource: Arc::default(),
    };
    let without = span.clone();
    span.id = SpanId(2);
    for (bytes, read) in encoded(&Resource::default(), &[without.clone(), span.clone()]) {
        let batch = read(&bytes).unwrap();
        assert_eq!((batch.spans.len(), batch.refused), (1, 1));
    }
}
