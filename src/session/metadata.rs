//! Request metadata: repeated values, form-encoded where they are not ASCII (`session/filesync`).

use http::HeaderMap;

/// The values of a key, in order; those that cannot be read are passed over.
pub(super) fn values(headers: &HeaderMap, key: &str) -> Vec<String> {
    let encoded = headers
        .get(format!("{key}-encoded"))
        .is_some_and(|value| matches!(value.as_bytes(), b"1" | b"true"));
    let texts = headers
        .get_all(key)
        .iter()
        .filter_map(|value| value.to_str().ok());
    texts
        .map(|text| {
            if encoded {
                form_decoded(text)
            } else {
                text.to_owned()
            }
        })
        .collect()
}

/// The first value of a key.
pub(super) fn value(headers: &HeaderMap, key: &str) -> Option<String> {
    values(headers, key).into_iter().next()
}

/// Undoes Go's `url.QueryEscape`.
fn form_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let hex = hex.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        rest = match (
            first,
            hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                tail.get(2..).unwrap_or_default()
            }
            (b'+', _) => {
                bytes.push(b' ');
                tail
            }
            _ => {
                bytes.push(*first);
                tail
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_values_are_decoded() {
        let mut headers = HeaderMap::new();
        headers.append("a", "gr%C3%BCn+x".parse().unwrap());
        headers.append("a", "%zz".parse().unwrap());
        assert_eq!(values(&headers, "a"), ["gr%C3%BCn+x", "%zz"]);
        headers.append("a-encoded", "1".parse().unwrap());
        assert_eq!(values(&headers, "a"), ["grün x", "%zz"]);
        assert_eq!(value(&headers, "b"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            form_decoded(&text);
        }
    }
}
