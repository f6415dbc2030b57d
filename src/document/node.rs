//! A document as a tree of values with their places, whatever format it was written in.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::places::Places;

/// Levels of values within values.
const DEPTH: usize = 32;

/// A place in a file; both count from 1, columns in characters. 0: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its place.
    pub at: Position,
    /// The value.
    pub value: Value,
}

/// A value of any format.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
    /// Values.
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<(Key, Node)>),
}

/// The name of a value in a map, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its place.
    pub at: Position,
    /// The name.
    pub name: String,
}

impl Node {
    /// The value of this name in a map.
    pub fn get(&self, name: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        entries
            .iter()
            .find(|(key, _)| key.name == name)
            .map(|(_, node)| node)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        entries
            .iter_mut()
            .find(|(key, _)| key.name == name)
            .map(|(_, node)| node)
    }

    /// Reads YAML, of which JSON is a part.
    ///
    /// # Errors
    /// When it is none, has a key twice, or nests too deep; with the place.
    pub fn from_yaml(text: &str) -> Result<Self, Fault> {
        // As YAML 1.2 has it: `y` and `no` are texts.
        let options = serde_saphyr::options! {
            strict_booleans: true,
            // The reader calls itself for each level: its own limit is too high for a small stack.
            budget: serde_saphyr::budget! { max_depth: DEPTH },
        };
        let parsed: Result<Spanned<Raw>, _> = serde_saphyr::from_str_with_options(text, options);
        let parsed = parsed.map_err(|error| {
            let at = error.location().map_or(Position::default(), place);
            let plain = error.without_snippet().to_string();
            Fault::new(at, first_line(&plain))
        })?;
        parsed.value.node(place(parsed.referenced), 0)
    }

    /// Reads TOML.
    ///
    /// # Errors
    /// When it is none, or nests too deep; with the place.
    pub fn from_toml(text: &str) -> Result<Self, Fault> {
        let places = Places::of(text);
        let parsed = DeTable::parse(text).map_err(|error| {
            let at = error
                .span()
                .map_or(Position { line: 1, column: 1 }, |span| {
                    places.position(span.start)
                });
            Fault::new(at, first_line(error.message()))
        })?;
        let at = Position { line: 1, column: 1 };
        table(&places, parsed.into_inner(), at, 0)
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn place(location: serde_saphyr::Location) -> Position {
    Position {
        line: u32::try_from(location.line()).unwrap_or(0),
        column: u32::try_from(location.column()).unwrap_or(0),
    }
}

fn too_deep(at: Position) -> Fault {
    Fault::new(at, format!("values are nested more than {DEPTH} deep"))
}

fn table(
    places: &Places<'_>,
    table: DeTable<'_>,
    at: Position,
    depth: usize,
) -> Result<Node, Fault> {
    let entries = table.into_iter().map(|(key, value)| {
        let key_at = places.position(key.span().start);
        let value_at = places.position(value.span().start);
        let name = key.into_inner().into_owned();
        let value = toml(places, value.into_inner(), value_at, depth + 1)?;
        Ok((Key { at: key_at, name }, value))
    });
    let mut entries: Vec<(Key, Node)> = entries.collect::<Result<_, Fault>>()?;
    entries.sort_by_key(|(key, _)| key.at);
    Ok(Node {
        at,
        value: Value::Map(entries),
    })
}

fn toml(
    places: &Places<'_>,
    value: DeValue<'_>,
    at: Position,
    depth: usize,
) -> Result<Node, Fault> {
    if depth > DEPTH {
        return Err(too_deep(at));
    }
    let value = match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            Value::Integer(parsed.map_err(|_| Fault::new(at, "the number is too large"))?)
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(items) => {
            let items = items.into_iter().map(|item| {
                let at = places.position(item.span().start);
                toml(places, item.into_inner(), at, depth + 1)
            });
            Value::List(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(inner) => return table(places, inner, at, depth),
    };
    Ok(Node { at, value })
}

/// What the YAML reader gives: only inner values have places.
enum Raw {
    Scalar(Value),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl Raw {
    fn node(self, at: Position, depth: usize) -> Result<Node, Fault> {
        if depth > DEPTH {
            return Err(too_deep(at));
        }
        let value = match self {
            Self::Scalar(value) => value,
            Self::List(items) => {
                let items = items
                    .into_iter()
                    .map(|item| item.value.node(place(item.referenced), depth + 1));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            Self::Map(entries) => {
                let entries = entries.into_iter().map(|(key, value)| {
                    let name = Key {
                        at: place(key.referenced),
                        name: key.value,
                    };
                    Ok((name, value.value.node(place(value.referenced), depth + 1)?))
                });
                Value::Map(entries.collect::<Result<_, Fault>>()?)
            }
        };
        Ok(Node { at, value })
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Integer(value)))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Raw, E> {
        i64::try_from(value)
            .map(|value| Raw::Scalar(Value::Integer(value)))
            .map_err(|_| E::custom("the number is too large"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
