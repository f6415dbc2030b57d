//! Counting what a protobuf message holds before it is decoded: an empty span takes two bytes there and a
//! hundred times as many in memory.

/// Messages in messages in one request at most: spans, attributes, events, links.
const PARTS: usize = 2_000_000;

/// As deep as spans' attributes stand: request, resource's spans, scope's spans, span, attribute.
const DEPTH: usize = 4;

/// Is this a message with a bearable number of parts? Nonsense is: decoding it will say so.
pub(super) fn bearable(message: &[u8]) -> bool {
    count(message, DEPTH, PARTS).is_some()
}

/// How many parts may still come; `None` if there were too many.
fn count(mut message: &[u8], depth: usize, mut left: usize) -> Option<usize> {
    while !message.is_empty() {
        let Some((tag, rest)) = varint(message) else {
            return Some(left);
        };
        let skipped = match tag & 7 {
            0 => varint(rest).map(|(_, rest)| rest),
            1 => rest.get(8..),
            5 => rest.get(4..),
            2 => {
                let Some((length, rest)) = varint(rest) else {
                    return Some(left);
                };
                let Some((part, rest)) = usize::try_from(length)
                    .ok()
                    .and_then(|length| rest.split_at_checked(length))
                else {
                    return Some(left);
                };
                left = left.checked_sub(1)?;
                if depth > 0 {
                    left = count(part, depth - 1, left)?;
                }
                Some(rest)
            }
            _ => None,
        };
        let Some(rest) = skipped else {
            return Some(left);
        };
        message = rest;
    }
    Some(left)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(at).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_spans_are_counted() {
        // Request, resource's spans, scope's spans: each a length around so many empty spans.
        let request = |spans: usize| {
            let mut message = b"\x12\0".repeat(spans);
            for tag in [0x12, 0x0a] {
                let mut outer = vec![tag];
                let mut length = message.len();
                while length >= 0x80 {
                    outer.push((length as u8) | 0x80);
                    length >>= 7;
                }
                outer.push(length as u8);
                outer.extend(&message);
                message = outer;
            }
            message
        };
        assert!(bearable(&request(1_000_000)));
        assert!(!bearable(&request(2_100_000)));
        assert!(bearable(b"") && bearable(b"nonsense") && bearable(&[0xff; 40]));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = bearable(&bytes);
        }
    }
}
