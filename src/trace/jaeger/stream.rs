//! Walks an answer from its first byte to its last: each span becomes one of the model as soon as it is
//! read, so that no tree of the whole answer is ever made.
//!
//! Lives here: the envelope, the traces in it, their processes, how many spans there may be. Elsewhere:
//! one span (`span`), what the bytes were if they were no answer (`decode`).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::decode::Answer;
use super::node::{Key, Node};
use super::span;
use super::tags::RawSpan;
use crate::trace::model::{Resource, Span, TraceId};

/// Spans of one answer at most, those that cannot be read included.
pub(super) const SPANS: usize = 1_000_000;

/// What was found in the envelope.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    pub(super) answer: Answer,
    /// `data` was there, and a list or `null`.
    pub(super) data: bool,
    /// `errors` was there.
    pub(super) errors: bool,
    /// The first error's words.
    pub(super) message: String,
}

/// The whole answer; only spans of this trace are kept.
pub(super) struct EnvelopeSeed(pub(super) TraceId);

/// What is no list and no object where one was expected says nothing.
macro_rules! scalars_say_nothing {
    () => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
    };
}
pub(super) use scalars_say_nothing;

/// Reads a list to its end without keeping anything of it.
pub(super) fn skip_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Reads an object to its end without keeping anything of it.
pub(super) fn skip_object<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

impl<'de> DeserializeSeed<'de> for EnvelopeSeed {
    type Value = Envelope;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Envelope, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EnvelopeSeed {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer of Jaeger")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "data" => {
                    envelope.data = map.next_value_seed(Traces {
                        asked: self.0,
                        answer: &mut envelope.answer,
                    })?;
                }
                "errors" => {
                    let errors: Node<'_> = map.next_value()?;
                    let first = errors.as_list().and_then(<[_]>::first);
                    let words = first.and_then(|error| error.get("msg")?.as_str());
                    envelope.message = words.unwrap_or_default().to_owned();
                    envelope.errors = true;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(envelope)
    }
}

/// The list `data`; says whether it was one.
struct Traces<'a> {
    asked: TraceId,
    answer: &'a mut Answer,
}

impl<'de> DeserializeSeed<'de> for Traces<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Traces<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of traces")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while list
            .next_element_seed(Trace {
                asked: self.asked,
                answer: self.answer,
            })?
            .is_some()
        {}
        Ok(true)
    }
}

/// One trace. Its processes come after its spans.
struct Trace<'a> {
    asked: TraceId,
    answer: &'a mut Answer,
}

impl<'de> DeserializeSeed<'de> for Trace<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Trace<'_> {
    type Value = ();

    scalars_say_nothing!();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a trace")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        skip_list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut reading = Reading::new(self.asked, self.answer);
        let first = reading.answer.spans.len();
        let mut known: HashMap<String, Arc<Resource>> = HashMap::new();
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "spans" => map.next_value_seed(Spans(&mut reading))?,
                "processes" => {
                    let processes: Node<'_> = map.next_value()?;
                    known.extend(span::processes(&processes));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let owners = reading.owners();
        if let Some(spans) = self.answer.spans.get_mut(first..) {
            assign(spans, &owners, &known);
        }
        Ok(())
    }
}

/// A trace while its spans are read.
pub(super) struct Reading<'a> {
    asked: TraceId,
    unknown: Arc<Resource>,
    owners: Owners,
    answer: &'a mut Answer,
}

/// The processes of spans, by the numbers of the processes' keys.
#[derive(Default)]
pub(super) struct Owners {
    keys: Vec<String>,
    numbers: HashMap<String, usize>,
    /// Of each span that was kept; `None`: the span brought its own, or has none.
    of_spans: Vec<Option<usize>>,
}

/// Gives each of the spans the process that it names.
pub(super) fn assign(
    spans: &mut [Span],
    owners: &Owners,
    processes: &HashMap<String, Arc<Resource>>,
) {
    let by_number: Vec<_> = owners.keys.iter().map(|key| processes.get(key)).collect();
    for (span, owner) in spans.iter_mut().zip(&owners.of_spans) {
        let resource = owner.and_then(|number| by_number.get(number).copied().flatten());
        if let Some(resource) = resource {
            span.resource = resource.clone();
        }
    }
}

impl Owners {
    fn number(&mut self, key: &str) -> usize {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let number = self.keys.len();
        self.keys.push(key.to_owned());
        self.numbers.insert(key.to_owned(), number);
        number
    }
}

impl<'a> Reading<'a> {
    pub(super) fn new(asked: TraceId, answer: &'a mut Answer) -> Self {
        Self {
            asked,
            unknown: Arc::default(),
            owners: Owners::default(),
            answer,
        }
    }

    /// Ends it; whose the spans are is known only now.
    pub(super) fn owners(self) -> Owners {
        self.owners
    }

    pub(super) fn take(&mut self, mut raw: RawSpan<'_>) {
        let json = &raw.rest;
        let own = json
            .get("process")
            .filter(|process| matches!(process, Node::Object(_)))
            .map(|process| Arc::new(span::resource(process)));
        let key = json.get("processID").and_then(Node::as_str);
        // By number, as the span takes what it was read from along.
        let process = key
            .filter(|_| own.is_none())
            .map(|key| self.owners.number(key));
        let mistyped = std::mem::take(&mut raw.mistyped);
        match span::read(raw, own.unwrap_or_else(|| self.unknown.clone())) {
            Ok(span) if span.trace == self.asked => {
                self.answer
                    .mistyped
                    .extend(mistyped.into_iter().map(|key| (span.id, key)));
                self.keep(span, process);
            }
            Ok(_) => self.answer.foreign += 1,
            Err(problem) => self.answer.unreadable.push(problem),
        }
    }

    fn keep(&mut self, span: Span, owner: Option<usize>) {
        self.owners.of_spans.push(owner);
        self.answer.spans.push(span);
    }

    pub(super) fn is_full(&self) -> bool {
        self.answer.seen() >= SPANS
    }
}

/// The list `spans`.
struct Spans<'r, 'a>(&'r mut Reading<'a>);

impl<'de> DeserializeSeed<'de> for Spans<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Spans<'_, '_> {
    type Value = ();

    scalars_say_nothing!();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of spans")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        skip_object(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(raw) = list.next_element::<RawSpan<'_>>()? {
            if self.0.is_full() {
                return Err(A::Error::custom(format!("it has more than {SPANS} spans")));
            }
            self.0.take(raw);
        }
        Ok(())
    }
}
