//! What is left out of a span, or of a resource, that no datagram holds; an attribute names it.
//!
//! Nothing else is shortened because of a size: HTTP has no such limit, and the local store holds every
//! span as it was.

use super::datagram::{event_size, resource_size, span_size};
use crate::trace::model::{Attributes, Resource, Span, Status, Value};

/// The attribute that says what was left out, in words.
const MARK: &str = "dagger.cut";

/// Bytes of the mark at most, with its key and its headers.
const MARK_BYTES: usize = 1_024;

/// What is cut first: texts longer than this, and keys that nobody would search for.
const LONG_TEXT_BYTES: usize = 16 << 10;
const LONG_KEY_BYTES: usize = 1 << 10;

/// Texts are not cut shorter than this; then whole attributes, events and links go.
const SHORT_TEXT_BYTES: usize = 64;

/// Events that are kept for as long as texts can be shortened: the last ones tell how it ended.
const LAST_EVENTS: usize = 16;

/// The span in `limit` bytes: long texts lose their ends, then the first events go.
pub(super) fn span(whole: &Span, limit: usize) -> Span {
    let limit = limit.saturating_sub(MARK_BYTES);
    let mut span = whole.clone();
    let long = |span: &Span| span_size(span) > limit;
    drop_long_keys(&mut span.attributes);
    for event in &mut span.events {
        drop_long_keys(&mut event.attributes);
    }
    let mut longest = LONG_TEXT_BYTES;
    shorten_span(&mut span, longest);
    drop_first_events(&mut span, limit, LAST_EVENTS);
    while long(&span) && longest > SHORT_TEXT_BYTES {
        longest /= 2;
        shorten_span(&mut span, longest);
    }
    drop_first_events(&mut span, limit, 0);
    while long(&span) && span.attributes.len() + span.links.len() > 0 {
        span.attributes.truncate(span.attributes.len() / 2);
        span.links.truncate(span.links.len() / 2);
    }
    let mark = mark(whole, &span);
    span.attributes.push((MARK.to_owned(), Value::Str(mark)));
    span
}

/// The resource in `limit` bytes.
pub(super) fn resource(whole: &Resource, limit: usize) -> Resource {
    let limit = limit.saturating_sub(MARK_BYTES);
    let mut resource = whole.clone();
    drop_long_keys(&mut resource.attributes);
    let mut longest = LONG_TEXT_BYTES;
    while resource_size(&resource) > limit && longest > SHORT_TEXT_BYTES {
        longest /= 2;
        shorten(&mut resource.service, longest);
        shorten_values(&mut resource.attributes, longest);
    }
    while resource_size(&resource) > limit && !resource.attributes.is_empty() {
        let half = resource.attributes.len() / 2;
        resource.attributes.truncate(half);
    }
    let mut said = Vec::new();
    say_text(&mut said, "service.name", &whole.service, &resource.service);
    say_attributes(&mut said, &whole.attributes, &resource.attributes);
    let mark = (MARK.to_owned(), Value::Str(sentence(&said)));
    resource.attributes.push(mark);
    resource
}

/// As many of the first events as the span is too long by, but for the last `keep`.
fn drop_first_events(span: &mut Span, limit: usize, keep: usize) {
    let mut over = span_size(span).saturating_sub(limit);
    let mut count = 0;
    for event in span.events.iter().rev().skip(keep).rev() {
        if over == 0 {
            break;
        }
        over = over.saturating_sub(event_size(event));
        count += 1;
    }
    span.events.drain(..count);
}

fn shorten_span(span: &mut Span, longest: usize) {
    shorten(&mut span.name, longest);
    if let Status::Error(why) = &mut span.status {
        shorten(why, longest);
    }
    shorten_values(&mut span.attributes, longest);
    for event in &mut span.events {
        shorten(&mut event.name, longest);
        shorten_values(&mut event.attributes, longest);
    }
}

fn shorten_values(attributes: &mut Attributes, longest: usize) {
    for (_, value) in attributes {
        if let Value::Str(text) = value {
            shorten(text, longest);
        }
    }
}

/// A longer text ends in `…`.
fn shorten(text: &mut String, longest: usize) {
    if text.len() > longest {
        let room = longest.saturating_sub('…'.len_utf8());
        text.truncate(text.floor_char_boundary(room));
        text.push('…');
    }
}

fn drop_long_keys(attributes: &mut Attributes) {
    attributes.retain(|(key, _)| key.len() <= LONG_KEY_BYTES);
}

/// What `cut` lacks of `whole`.
fn mark(whole: &Span, cut: &Span) -> String {
    let mut said = Vec::new();
    if let (Status::Error(was), Status::Error(is)) = (&whole.status, &cut.status) {
        say_text(&mut said, "status", was, is);
    }
    say_text(&mut said, "name", &whole.name, &cut.name);
    let lost = whole.events.len() - cut.events.len();
    if lost > 0 {
        said.push(format!("the first {lost} of {} events", whole.events.len()));
    }
    let kept = whole.events.iter().skip(lost).zip(&cut.events);
    let shortened = kept.filter(|(was, is)| was != is).count();
    if shortened > 0 {
        said.push(format!("texts of {shortened} events"));
    }
    if cut.links.len() < whole.links.len() {
        let lost = whole.links.len() - cut.links.len();
        said.push(format!("the last {lost} of {} links", whole.links.len()));
    }
    say_attributes(&mut said, &whole.attributes, &cut.attributes);
    sentence(&said)
}

fn say_text(said: &mut Vec<String>, what: &str, was: &str, is: &str) {
    if was != is {
        said.push(format!("{what} ({} of {} bytes kept)", is.len(), was.len()));
    }
}

/// `cut` has some of the attributes of `whole`, in their order.
fn say_attributes(said: &mut Vec<String>, whole: &Attributes, cut: &Attributes) {
    let mut cut = cut.iter().peekable();
    for (key, was) in whole {
        match cut.next_if(|(name, _)| name == key) {
            Some((_, is)) => say_text(said, key, &was.to_string(), &is.to_string()),
            None => {
                let mut key = key.clone();
                shorten(&mut key, SHORT_TEXT_BYTES);
                said.push(format!("{key} (removed)"));
            }
        }
    }
}

/// As many of the parts as the mark has room for, and how many there are beside.
fn sentence(said: &[String]) -> String {
    let room = MARK_BYTES - 128;
    let mut text = String::new();
    for (place, part) in said.iter().enumerate() {
        if text.len() + part.len() + 2 > room {
            return format!("{text}; {} more", said.len() - place);
        }
        if place > 0 {
            text.push_str("; ");
        }
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::agent::tests::span as plain;
    use crate::trace::model::Event;

    fn event(number: u64, line: usize) -> Event {
        Event {
            name: "output".into(),
            at_ns: number,
            attributes: vec![("message".into(), Value::Str("x".repeat(line)))],
        }
    }

    fn text(bytes: usize) -> Value {
        Value::Str("é".repeat(bytes / 2))
    }

    #[test]
    fn the_end_of_the_output_is_kept_and_the_mark_counts_what_is_gone() {
        let whole = Span {
            events: (0..500).map(|number| event(number, 400)).collect(),
            ..plain(1)
        };
        let cut = span(&whole, 60_000);
        assert!(span_size(&cut) <= 60_000);
        assert_eq!(cut.events.last(), whole.events.last());
        assert_eq!(cut.text(MARK), Some("the first 385 of 500 events"));
    }

    #[test]
    fn a_long_text_does_not_cost_the_events() {
        let whole = Span {
            attributes: vec![("a".into(), text(10)), ("log".into(), text(200_000))],
            events: (0..40).map(|number| event(number, 40)).collect(),
            ..plain(1)
        };
        let cut = span(&whole, 60_000);
        assert_eq!(cut.events, whole.events);
        assert_eq!(cut.attributes[0], whole.attributes[0]);
        assert_eq!(cut.text(MARK), Some("log (16383 of 200000 bytes kept)"));
    }

    #[test]
    fn what_no_shortening_helps_goes_by_name() {
        let key = "k".repeat(2_000);
        let whole = Span {
            attributes: (0..3_000)
                .map(|number| (format!("key{number}"), Value::Int(number)))
                .chain([(key, Value::Bool(true))])
                .collect(),
            status: Status::Error("e".repeat(100_000)),
            ..plain(1)
        };
        let cut = span(&whole, 60_000);
        assert!(span_size(&cut) <= 60_000);
        let mark = cut.text(MARK).unwrap();
        assert!(
            mark.starts_with("status (64 of 100000 bytes kept); key1500 (removed); "),
            "{mark}"
        );
        assert!(mark.ends_with(" more"), "{mark}");
    }

    #[test]
    fn a_resource_is_cut_too() {
        let whole = Resource {
            service: "s".into(),
            attributes: vec![
                ("vcs.message".into(), text(90_000)),
                ("host".into(), text(4)),
            ],
        };
        let cut = resource(&whole, 16_000);
        assert!(resource_size(&cut) <= 16_000);
        assert_eq!(cut.attributes[1], whole.attributes[1]);
        let mark = &cut.attributes[2];
        let said = Value::Str("vcs.message (8191 of 90000 bytes kept)".into());
        assert_eq!(*mark, (MARK.to_owned(), said));
    }
}
