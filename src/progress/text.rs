//! Text of others, made harmless: names and output come from Dockerfiles and programs, and must not
//! move the cursor, set titles or answer for the terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// One line without control characters and escape sequences; tabs are blanks.
pub fn clean(text: &str) -> String {
    filtered(text, false)
}

/// One line of output: as [`clean`], but colours stay.
pub(super) fn clean_output(text: &str) -> String {
    filtered(text, true)
}

fn filtered(text: &str, colours: bool) -> String {
    // What a carriage return overwrote is not what people saw last.
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or(text);
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    let mut coloured = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\t' => out.push_str("    "),
            '\x1b' => match letters.next() {
                Some('[') => {
                    let mut sequence = String::from("\x1b[");
                    for letter in letters.by_ref() {
                        sequence.push(letter);
                        if ('@'..='~').contains(&letter) {
                            break;
                        }
                    }
                    let plain = |body: &str| {
                        body.bytes()
                            .all(|b| b.is_ascii_digit() || matches!(b, b';' | b':'))
                    };
                    let is_colour = sequence
                        .strip_prefix("\x1b[")
                        .and_then(|rest| rest.strip_suffix('m'))
                        .is_some_and(plain);
                    if colours && is_colour {
                        out.push_str(&sequence);
                        coloured = true;
                    }
                }
                // Operating system command and its kin: up to BEL or ST.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while let Some(letter) = letters.next() {
                        if letter == '\x07'
                            || (letter == '\x1b' && letters.next_if_eq(&'\\').is_some())
                        {
                            break;
                        }
                    }
                }
                _ => {}
            },
            letter if letter.is_control() || is_format(letter) => {}
            letter => out.push(letter),
        }
    }
    if coloured {
        out.push_str("\x1b[0m");
    }
    out
}

/// Characters that turn the direction of text around, and the byte order mark.
fn is_format(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{2028}' | '\u{2029}')
}

/// Columns that a text without control characters takes. Terminals do not agree on letters that are put
/// together of several; it is the most that any of them takes.
pub fn width(text: &str) -> usize {
    let each = text.chars().map(|letter| letter.width().unwrap_or(0)).sum();
    text.width().max(each)
}

/// The text cut to `columns`, with `…` where something is missing.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for letter in text.chars() {
        let wide = letter.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        out.push(letter);
    }
    // A letter that makes the one before it wide has no width of its own.
    while width(&out) + 1 > columns && out.pop().is_some() {}
    if columns > 0 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_go_and_colours_may_stay() {
        let text = "a\x1b[31mred\x1b[0m\x1b[2J\x1b]0;title\x07b\x1b]8;;x\x1b\\c\u{7}\u{202e}d";
        assert_eq!(clean(text), "aredbcd");
        assert_eq!(clean_output(text), "a\x1b[31mred\x1b[0mbcd\x1b[0m");
    }

    #[test]
    fn a_carriage_return_leaves_what_came_last() {
        assert_eq!(clean("10%\r50%\r100%\r"), "100%");
    }

    #[test]
    fn wide_letters_count_twice() {
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn letters_of_several_parts_fit_whatever_the_terminal_makes_of_them() {
        // Heart with a selector that makes it wide; a family of four; a flag; e with an accent.
        for text in [
            "❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}",
            "👨\u{200d}👩\u{200d}👧\u{200d}👦",
            "🇩🇪🇩🇪",
            "e\u{301}e\u{301}e\u{301}",
        ] {
            for columns in 0..10 {
                assert!(width(&cut(text, columns)) <= columns, "{text} in {columns}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_dangerous_is_left(text in "(\\PC|[\\x00-\\x1f]|\\x1b\\[|\\x1b\\]){0,40}") {
            proptest::prop_assert!(!clean(&text).chars().any(char::is_control));
        }

        #[test]
        fn what_is_cut_fits(text in "\\PC{0,40}", columns in 0usize..30) {
            proptest::prop_assert!(width(&cut(&clean(&text), columns)) <= columns);
        }
    }
}
