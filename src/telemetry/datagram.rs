//! Spans in datagrams: how large they are in thrift, and which of them fit together.
//!
//! Lives here: the bound, and splitting a batch. Elsewhere: what is left out of a span that no datagram
//! holds (`cut`), sending (`agent`).

use std::borrow::Cow;

use super::cut;
use crate::trace::model::{Attributes, Event, Resource, Span, Status, Value};

/// Bytes in one datagram at most; the agent drops larger ones without a word.
pub(super) const PACKET_BYTES: usize = 65_000;

/// Bytes of a resource at most: it stands in every datagram.
const RESOURCE_BYTES: usize = 16_000;

/// Bytes around process and spans: the message, the lists' headers.
const FRAME_BYTES: usize = 128;

/// The resource as every datagram carries it, and the bytes that it leaves for spans.
pub(super) fn room(resource: &Resource) -> (Cow<'_, Resource>, usize) {
    let resource = if resource_size(resource) > RESOURCE_BYTES {
        Cow::Owned(cut::resource(resource, RESOURCE_BYTES))
    } else {
        Cow::Borrowed(resource)
    };
    let taken = resource_size(&resource) + FRAME_BYTES;
    (resource, PACKET_BYTES.saturating_sub(taken))
}

/// The spans in parts of at most `room` bytes, in their order, each of them once; what does not fit by
/// itself is cut.
pub(super) fn split(batch: &[Span], room: usize) -> Vec<Vec<Cow<'_, Span>>> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut taken = 0;
    for span in batch {
        let mut span = Cow::Borrowed(span);
        let mut bytes = span_size(&span);
        if bytes > room {
            span = Cow::Owned(cut::span(&span, room));
            bytes = span_size(&span);
        }
        if taken + bytes > room && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            taken = 0;
        }
        taken += bytes;
        part.push(span);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

/// How large a span is in compact thrift: in bytes, never too small, and too large by what numbers that
/// are written short save.
pub(super) fn span_size(span: &Span) -> usize {
    /// Ids, times, flags, and the tags that say kind and status.
    const FIXED: usize = 384;
    /// A reference of three ids.
    const LINK: usize = 48;
    let events: usize = span.events.iter().map(event_size).sum();
    let status = match &span.status {
        Status::Error(why) => why.len(),
        Status::Unset | Status::Ok => 0,
    };
    FIXED
        + span.name.len()
        + status
        + attributes_size(&span.attributes)
        + events
        + LINK * span.links.len()
}

/// As [`span_size`], of one event.
pub(super) fn event_size(event: &Event) -> usize {
    /// A log's time, its list, and the tag that holds the event's name.
    const EVENT: usize = 64;
    EVENT + event.name.len() + attributes_size(&event.attributes)
}

/// As [`span_size`], of a resource.
pub(super) fn resource_size(resource: &Resource) -> usize {
    // The service's name is a field, and a tag beside it.
    2 * (32 + resource.service.len()) + attributes_size(&resource.attributes)
}

fn attributes_size(attributes: &Attributes) -> usize {
    /// A tag's headers, the lengths of its texts, its type, a number.
    const TAG: usize = 32;
    let size = |(key, value): &(String, Value)| {
        let text = match value {
            Value::Str(text) => text.len(),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        };
        TAG + key.len() + text
    };
    attributes.iter().map(size).sum()
}
