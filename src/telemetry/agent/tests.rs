//! What stands in the datagrams, read as the agent reads them.

use std::net::UdpSocket;
use std::sync::Arc;

use proptest::prelude::*;
use thrift::protocol::{TCompactInputProtocol, TInputProtocol, TType};

use super::*;
use crate::trace::model::{Event, Kind, Link, SpanId, Status, TraceId, Value};

/// A span with nothing in it.
pub(in crate::telemetry) fn span(id: u64) -> Span {
    Span {
        trace: TraceId(u128::MAX),
        id: SpanId(id),
        parent: Some(SpanId(u64::MAX)),
        name: "s".into(),
        kind: Kind::Producer,
        start_ns: u64::MAX / 2,
        end_ns: u64::MAX / 2,
        status: Status::Unset,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
        resource: Arc::default(),
    }
}

/// What the agent sends for a batch, datagram by datagram. Each is read before the next is sent: the socket
/// has room for a few only.
fn datagrams(batch: &[Span], resource: &Resource) -> Vec<Vec<u8>> {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let here = receiver.local_addr().unwrap();
    let mut agent = Agent::new("127.0.0.1", here.port(), resource).unwrap();
    let mut buffer = vec![0; 70_000];
    let mut sent = Vec::new();
    for part in datagram::split(batch, agent.room) {
        agent.send(&part).unwrap();
        receiver.set_nonblocking(false).unwrap();
        let first = receiver.recv(&mut buffer).unwrap();
        sent.push(buffer[..first].to_vec());
        receiver.set_nonblocking(true).unwrap();
        while let Ok(more) = receiver.recv(&mut buffer) {
            sent.push(buffer[..more].to_vec());
        }
    }
    sent
}

/// The ids of the spans in a datagram, and whether each is marked as cut.
fn spans_in(datagram: &[u8]) -> Vec<(SpanId, bool)> {
    let mut reader = TCompactInputProtocol::new(datagram);
    assert_eq!(reader.read_message_begin().unwrap().name, "emitBatch");
    let mut spans = Vec::new();
    fields(&mut reader, &mut |reader, _, _| {
        fields(reader, &mut |reader, id, kind| match id {
            2 => {
                let list = reader.read_list_begin().unwrap();
                spans.extend((0..list.size).map(|_| one_span(reader)));
            }
            _ => reader.skip(kind).unwrap(),
        });
    });
    reader.read_message_end().unwrap();
    spans
}

fn one_span(reader: &mut dyn TInputProtocol) -> (SpanId, bool) {
    let (mut span, mut cut) = (0, false);
    fields(reader, &mut |reader, id, kind| match id {
        3 => span = reader.read_i64().unwrap().cast_unsigned(),
        10 => {
            let list = reader.read_list_begin().unwrap();
            for _ in 0..list.size {
                fields(reader, &mut |reader, id, kind| match id {
                    1 => cut |= reader.read_string().unwrap() == "dagger.cut",
                    _ => reader.skip(kind).unwrap(),
                });
            }
        }
        _ => reader.skip(kind).unwrap(),
    });
    (SpanId(span), cut)
}

/// Reads a struct: each field by `one`, which gets its number and type.
fn fields(
    reader: &mut dyn TInputProtocol,
    one: &mut dyn FnMut(&mut dyn TInputProtocol, i16, TType),
) {
    reader.read_struct_begin().unwrap();
    loop {
        let field = reader.read_field_begin().unwrap();
        if field.field_type == TType::Stop {
            break;
        }
        one(reader, field.id.unwrap(), field.field_type);
        reader.read_field_end().unwrap();
    }
    reader.read_struct_end().unwrap();
}

/// Mostly small, sometimes larger than a datagram.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..200_usize, 3 => 0..20_000_usize, 1 => 0..200_000_usize]
}

fn text() -> impl Strategy<Value = String> {
    (
        length(),
        prop_oneof![Just("x"), Just("é"), Just("\u{0}"), Just("🛠")],
    )
        .prop_map(|(length, of)| of.repeat(length / of.len()))
}

fn attributes() -> impl Strategy<Value = Vec<(String, Value)>> {
    let value = prop_oneof![
        4 => text().prop_map(Value::Str),
        1 => any::<i64>().prop_map(Value::Int),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => any::<f64>().prop_map(Value::Float),
    ];
    let key = prop_oneof![9 => "[a-z.]{0,20}".boxed(), 1 => text().boxed()];
    prop_oneof![
        9 => proptest::collection::vec((key, value), 0..8).boxed(),
        1 => (0..8_000_i64)
            .prop_map(|count| (0..count).map(|n| (n.to_string(), Value::Int(-n))).collect())
            .boxed(),
    ]
}

fn any_span() -> impl Strategy<Value = Span> {
    let event = (text(), attributes()).prop_map(|(name, attributes)| Event {
        name,
        at_ns: u64::MAX / 2,
        attributes,
    });
    let status = prop_oneof![
        Just(Status::Unset),
        Just(Status::Ok),
        text().prop_map(Status::Error)
    ];
    let events = proptest::collection::vec(event, 0..6);
    (text(), status, attributes(), events, 0..3_000_usize).prop_map(
        |(name, status, attributes, events, links)| Span {
            name,
            status,
            attributes,
            events,
            links: vec![
                Link {
                    trace: TraceId(u128::MAX / 3),
                    span: SpanId(u64::MAX / 3),
                    attributes: Vec::new(),
                };
                links
            ],
            ..span(0)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Every span arrives once and in order, in datagrams that an agent takes; what was changed says so.
    #[test]
    fn no_span_is_dropped_without_a_word(
        mut batch in proptest::collection::vec(any_span(), 1..12),
        service in text(),
        attributes in attributes(),
    ) {
        for (place, span) in batch.iter_mut().enumerate() {
            span.id = SpanId(place as u64 + 1);
        }
        let resource = Resource { service, attributes };
        let sent = datagrams(&batch, &resource);
        let sizes: Vec<_> = sent.iter().map(Vec::len).collect();
        prop_assert!(sizes.iter().all(|size| *size <= PACKET_BYTES), "{sizes:?}");
        // One send a part: what the crate splits again would follow without a pause.
        let (_, room) = datagram::room(&resource);
        prop_assert_eq!(sent.len(), datagram::split(&batch, room).len());
        let found: Vec<_> = sent.iter().flat_map(|datagram| spans_in(datagram)).collect();
        let expected: Vec<_> = batch
            .iter()
            .map(|span| (span.id, datagram::span_size(span) > room))
            .collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn small_spans_share_a_datagram() {
    let batch: Vec<_> = (1..=400).map(span).collect();
    let sent = datagrams(&batch, &Resource::default());
    assert!(sent.len() <= 4, "{} datagrams", sent.len());
}
