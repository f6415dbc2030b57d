//! From bytes of a text to lines and columns, as fast for the last byte of a long line as for the first.

use super::node::Position;

/// Bytes between two counts of letters.
const BLOCK: usize = 256;

/// The lines of a text, and how many letters stand before each block of bytes.
pub(super) struct Places<'t> {
    text: &'t [u8],
    lines: Vec<usize>,
    letters: Vec<usize>,
}

impl<'t> Places<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let mut letters = vec![0];
        for block in text.as_bytes().chunks(BLOCK) {
            letters.push(letters.last().copied().unwrap_or(0) + count(block));
        }
        Self {
            text: text.as_bytes(),
            lines: std::iter::once(0).chain(breaks).collect(),
            letters,
        }
    }

    /// The place of a byte; of one that is not there, the text's end.
    pub(super) fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied();
        let column = self.letters_before(offset) - self.letters_before(start.unwrap_or(0));
        Position {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX).saturating_add(1),
        }
    }

    fn letters_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        let counted = self.letters.get(block).copied().unwrap_or(0);
        counted + count(self.text.get(block * BLOCK..offset).unwrap_or_default())
    }
}

/// Letters that begin in these bytes of UTF-8.
fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_that_counting_gives() {
        let text = format!("a\n\u{e9}\u{1f600}b\n\n{}\nend", "\u{e9}x".repeat(400));
        let places = Places::of(&text);
        for (offset, _) in text.char_indices().chain([(text.len(), ' ')]) {
            let before = &text[..offset];
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            let at = places.position(offset);
            assert_eq!((at.line as usize, at.column as usize), (line, column));
        }
        assert_eq!(places.position(1 << 40).line, 5);
    }
}
