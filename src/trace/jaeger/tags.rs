//! The tags and logs of a span, which are most of it: they become attributes and events as they are read,
//! without a [`Node`] for each.
//!
//! Elsewhere: what a tag's value is, and all else of a span (`span`).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::node::{ITEMS, Key, Node};
use super::span::{event, list, text, value};
use super::stream::{scalars_say_nothing, skip_list, skip_object};
use crate::trace::model::{Attributes, Event, Value};

/// A span as it was sent.
#[derive(Default)]
pub(super) struct RawSpan<'a> {
    pub(super) tags: Attributes,
    pub(super) logs: Vec<Event>,
    /// Keys of tags that hold something else than their type says.
    pub(super) mistyped: Vec<String>,
    /// All its other fields.
    pub(super) rest: Node<'a>,
}

/// The tags of what was kept as a whole.
pub(super) fn tags(json: Option<&Node<'_>>) -> Attributes {
    let pairs = list(json).map(|tag| {
        let (value, _) = value(text(tag.get("type")), tag.get("value").cloned());
        (text(tag.get("key")).to_owned(), value)
    });
    pairs.collect()
}

impl<'de> Deserialize<'de> for RawSpan<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SpanVisitor)
    }
}

struct SpanVisitor;

impl<'de> Visitor<'de> for SpanVisitor {
    type Value = RawSpan<'de>;

    scalars_say_nothing!();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a span")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        skip_list(list).map(|()| RawSpan::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut span = RawSpan::default();
        let mut rest = Vec::with_capacity(FIELDS);
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "tags" => {
                    let tags: Tags = map.next_value()?;
                    span.tags = tags.items;
                    span.mistyped.extend(tags.mistyped);
                }
                "logs" => {
                    let logs: Logs = map.next_value()?;
                    span.logs = logs.items;
                    span.mistyped.extend(logs.mistyped);
                }
                _ => {
                    if rest.len() == ITEMS {
                        return Err(A::Error::custom("an object in it is too long"));
                    }
                    rest.push((key, map.next_value()?));
                }
            }
        }
        span.rest = Node::Object(rest);
        Ok(span)
    }
}

/// Fields that Jaeger gives a span, beside its tags and logs.
const FIELDS: usize = 9;

/// A list of tags.
#[derive(Default)]
struct Tags {
    items: Attributes,
    mistyped: Vec<String>,
}

/// A tag, and whether it holds something else than its type says; of what is none, all is empty.
struct Tag(String, Value, bool);

/// A list of logs.
#[derive(Default)]
struct Logs {
    items: Vec<Event>,
    mistyped: Vec<String>,
}

/// A log, and its fields that are not of their type.
struct Log(Event, Vec<String>);

impl Tags {
    fn add(&mut self, Tag(key, value, mistyped): Tag) {
        if mistyped {
            self.mistyped.push(key.clone());
        }
        self.items.push((key, value));
    }
}

impl Logs {
    fn add(&mut self, Log(event, mistyped): Log) {
        self.items.push(event);
        self.mistyped.extend(mistyped);
    }
}

impl Default for Tag {
    fn default() -> Self {
        Self(String::new(), Value::Str(String::new()), false)
    }
}

impl Default for Log {
    fn default() -> Self {
        Self(event(None, Attributes::new()), Vec::new())
    }
}

/// Reads a list of these; what is no list has none.
macro_rules! list_of {
    ($list:ident, $item:ident) => {
        impl<'de> Deserialize<'de> for $list {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct ListVisitor;
                impl<'de> Visitor<'de> for ListVisitor {
                    type Value = $list;

                    scalars_say_nothing!();

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a list")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$list, A::Error> {
                        skip_object(map).map(|()| $list::default())
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<$list, A::Error> {
                        let mut taken = $list::default();
                        while let Some(item) = list.next_element::<$item>()? {
                            if taken.items.len() == ITEMS {
                                return Err(A::Error::custom("a list in it is too long"));
                            }
                            taken.add(item);
                        }
                        Ok(taken)
                    }
                }
                from.deserialize_any(ListVisitor)
            }
        }
    };
}

list_of!(Tags, Tag);
list_of!(Logs, Log);

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TagVisitor;
        impl<'de> Visitor<'de> for TagVisitor {
            type Value = Tag;

            scalars_say_nothing!();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a tag")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Tag, A::Error> {
                skip_list(list).map(|()| Tag::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tag, A::Error> {
                let (mut key, mut kind, mut said) = (Node::Null, Node::Null, None);
                while let Some(Key(field)) = map.next_key()? {
                    match &*field {
                        "key" => key = map.next_value()?,
                        "type" => kind = map.next_value()?,
                        "value" => said = Some(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                let (value, mistyped) = value(text(Some(&kind)), said);
                Ok(Tag(text(Some(&key)).to_owned(), value, mistyped))
            }
        }
        from.deserialize_any(TagVisitor)
    }
}

impl<'de> Deserialize<'de> for Log {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct LogVisitor;
        impl<'de> Visitor<'de> for LogVisitor {
            type Value = Log;

            scalars_say_nothing!();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a log")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Log, A::Error> {
                skip_list(list).map(|()| Log::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Log, A::Error> {
                let (mut timestamp, mut fields) = (Node::Null, Tags::default());
                while let Some(Key(field)) = map.next_key()? {
                    match &*field {
                        "timestamp" => timestamp = map.next_value()?,
                        "fields" => fields = map.next_value()?,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Log(event(Some(&timestamp), fields.items), fields.mistyped))
            }
        }
        from.deserialize_any(LogVisitor)
    }
}
