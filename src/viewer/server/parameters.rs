//! The parameters of a request: a query string in order, with each spelling of a name.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, RawQuery};
use axum::http::request::Parts;

/// A query string's pairs; a name may come again.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn new(RawQuery(query): RawQuery) -> Self {
        let query = query.unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decoded(name), decoded(value))
                })
                .collect(),
        )
    }

    /// The first value under one of these names that is not empty: UIs send what is unset as empty.
    pub(super) fn get(&self, names: &[&str]) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, value)| names.contains(&name.as_str()) && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// As [`get`](Self::get), of version 3: by a name in snake_case, or the same in camelCase.
    pub(super) fn get_v3(&self, name: &str) -> Option<&str> {
        let mut camel = String::with_capacity(name.len());
        let mut upper = false;
        for letter in name.chars() {
            match (letter, upper) {
                ('_', _) => upper = true,
                (letter, true) => {
                    camel.push(letter.to_ascii_uppercase());
                    upper = false;
                }
                (letter, false) => camel.push(letter),
            }
        }
        self.get(&[name, &camel])
    }

    /// Says which name is not one of these, or is there twice.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), String> {
        for (at, (name, _)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(format!("there is no parameter `{name}`"));
            }
            if self.0.iter().take(at).any(|(other, _)| other == name) {
                return Err(format!("`{name}` is there twice"));
            }
        }
        Ok(())
    }

    /// All values of a name that are not empty.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::new(RawQuery(parts.uri.query().map(str::to_owned))))
    }
}

/// Undoes the escapes of a form (`+` and `%2F`); what is no escape stays.
fn decoded(text: &str) -> String {
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high * 16 + low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            (b'+', _) => out.push(b' '),
            _ => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_empty_values_are_unset() {
        let query = "a=&a=1%2F2&b=x+y&c=%zz%&d";
        let parameters = Parameters::new(RawQuery(Some(query.into())));
        assert_eq!(parameters.get(&["a"]), Some("1/2"));
        assert_eq!(parameters.get(&["B", "b"]), Some("x y"));
        assert_eq!(parameters.get(&["c"]), Some("%zz%"));
        assert_eq!(parameters.get(&["d"]), None);
    }
}
