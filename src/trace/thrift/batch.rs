//! The structs of a batch (Jaeger's `jaeger.thrift`), field by field; fields of later versions are left out.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::wire::{Kind, Wire, fields, structs};
use super::{Batch, ThriftError};
use crate::trace::jaeger::span::{take_event_name, take_kind_and_status};
use crate::trace::model::{Attributes, Event, Link, Resource, Span, SpanId, TraceId, Value};

/// Reads a batch.
pub(super) fn read<'a>(wire: &mut impl Wire<'a>) -> Result<Batch, ThriftError> {
    let mut resource = Resource::default();
    let mut read = Vec::new();
    fields(wire, |wire, id, kind| {
        match (id, kind) {
            (1, Kind::Struct) => resource = process(wire)?,
            (2, Kind::List) => read = structs(wire, span)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let resource = Arc::new(resource);
    let mut batch = Batch::default();
    // The process may come after the spans.
    for span in read {
        match span {
            Some(span) => batch.spans.push(Span {
                resource: resource.clone(),
                ..span
            }),
            None => batch.refused += 1,
        }
    }
    Ok(batch)
}

fn process<'a>(wire: &mut impl Wire<'a>) -> Result<Resource, ThriftError> {
    let mut resource = Resource::default();
    fields(wire, |wire, id, kind| {
        match (id, kind) {
            (1, Kind::Bytes) => resource.service = text(wire.bytes()?),
            (2, Kind::List) => resource.attributes = structs(wire, tag)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(resource)
}

/// A span without its resource; `None` if it has no id.
fn span<'a>(wire: &mut impl Wire<'a>) -> Result<Option<Span>, ThriftError> {
    let (mut low, mut high, mut own, mut parent) = (0, 0, 0, 0);
    let mut name = String::new();
    let mut references = Vec::new();
    let (mut start_us, mut duration_us) = (0, 0);
    let mut attributes = Attributes::new();
    let mut events = Vec::new();
    fields(wire, |wire, id, kind| {
        match (id, kind) {
            (1, Kind::I64) => low = wire.i64()?,
            (2, Kind::I64) => high = wire.i64()?,
            (3, Kind::I64) => own = wire.i64()?,
            (4, Kind::I64) => parent = wire.i64()?,
            (5, Kind::Bytes) => name = text(wire.bytes()?),
            (6, Kind::List) => references = structs(wire, reference)?,
            (8, Kind::I64) => start_us = wire.i64()?,
            (9, Kind::I64) => duration_us = wire.i64()?,
            (10, Kind::List) => attributes = structs(wire, tag)?,
            (11, Kind::List) => events = structs(wire, log)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let (Some(trace), Some(own)) = (trace_id(high, low), span_id(own)) else {
        return Ok(None);
    };
    // One that says no parent and follows another span has none: it is linked to that one.
    let parent = span_id(parent).or_else(|| {
        let mut parents = references
            .iter()
            .filter(|of| !of.follows && of.trace == Some(trace));
        parents.find_map(|of| of.span)
    });
    let links = references
        .iter()
        .filter_map(|of| {
            Some(Link {
                trace: of.trace?,
                span: of.span?,
                attributes: Attributes::new(),
            })
        })
        .filter(|link| link.trace != trace || Some(link.span) != parent)
        .collect();
    let (kind, status) = take_kind_and_status(&mut attributes);
    events.sort_by_key(|event: &Event| event.at_ns);
    let start_ns = ns(start_us);
    Ok(Some(Span {
        trace,
        id: own,
        parent,
        name,
        kind,
        start_ns,
        end_ns: start_ns.saturating_add(ns(duration_us)),
        status,
        attributes,
        events,
        links,
        resource: Arc::default(),
    }))
}

struct Reference {
    follows: bool,
    trace: Option<TraceId>,
    span: Option<SpanId>,
}

fn reference<'a>(wire: &mut impl Wire<'a>) -> Result<Reference, ThriftError> {
    let (mut kind_of, mut low, mut high, mut span) = (0, 0, 0, 0);
    fields(wire, |wire, id, kind| {
        match (id, kind) {
            (1, Kind::I32) => kind_of = wire.i32()?,
            (2, Kind::I64) => low = wire.i64()?,
            (3, Kind::I64) => high = wire.i64()?,
            (4, Kind::I64) => span = wire.i64()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(Reference {
        follows: kind_of == 1,
        trace: trace_id(high, low),
        span: span_id(span),
    })
}

fn tag<'a>(wire: &mut impl Wire<'a>) -> Result<(String, Value), ThriftError> {
    let (mut key, mut type_of) = (String::new(), 0);
    let (mut string, mut double, mut truth, mut long) = (String::new(), 0.0, false, 0);
    let mut binary: &[u8] = &[];
    fields(wire, |wire, id, kind| {
        match (id, kind) {
            (1, Kind::Bytes) => key = text(wire.bytes()?),
            (2, Kind::I32) => type_of = wire.i32()?,
            (3, Kind::Bytes) => string = text(wire.bytes()?),
            (4, Kind::Double) => double = wire.double()?,
            (5, Kind::Bool) => truth = wire.truth()?,
            (6, Kind::I64) => long = wire.i64()?,
            (7, Kind::Bytes) => binary = wire.bytes()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let value = match type_of {
        1 => Value::Float(double),
        2 => Value::Bool(truth),
        3 => Value::Int(long),
        4 => Value::Str(STANDARD.encode(binary)),
        _ => Value::Str(string),
    };
    Ok((key, value))
}

fn log<'a>(wire: &mut impl Wire<'a>) -> Result<Event, ThriftError> {
    let (mut at_us, mut attributes) = (0, Attributes::new());
    fields(wire, |wire, id, kind| {
        match (id, kind) {
            (1, Kind::I64) => at_us = wire.i64()?,
            (2, Kind::List) => attributes = structs(wire, tag)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(Event {
        name: take_event_name(&mut attributes),
        at_ns: ns(at_us),
        attributes,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Microseconds as nanoseconds; negative ones are 0.
fn ns(us: i64) -> u64 {
    u64::try_from(us).unwrap_or(0).saturating_mul(1_000)
}

fn trace_id(high: i64, low: i64) -> Option<TraceId> {
    let id = (u128::from(high.cast_unsigned()) << 64) | u128::from(low.cast_unsigned());
    (id != 0).then_some(TraceId(id))
}

fn span_id(id: i64) -> Option<SpanId> {
    (id != 0).then_some(SpanId(id.cast_unsigned()))
}
