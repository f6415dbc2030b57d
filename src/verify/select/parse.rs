//! From text to a selector. Linear, without recursion, and never in panic.

use std::str::FromStr;

use regex::{Regex, RegexBuilder};

use super::quantity::is_duration;
use super::syntax::{Combinator, Op, Pattern, Pseudo, Selector, Term, Test};
use crate::document::similar;

/// Text that is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {problem}")]
pub struct SelectorError {
    /// Where, in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: String,
}

/// Longest selector, in bytes.
const BYTES: usize = 8 << 10;

/// Largest compiled pattern, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut input = Input { text, at: 0 };
        if text.len() > BYTES {
            return Err(input.error(format!("longer than {BYTES} bytes")));
        }
        input.blanks();
        let first = term(&mut input)?;
        let mut rest = Vec::new();
        loop {
            let blank = input.blanks();
            let combinator = match input.peek() {
                None => break,
                Some('>') => Combinator::Child,
                Some('<') => Combinator::Parent,
                Some('~') => Combinator::Sibling,
                Some(_) if blank => Combinator::Descendant,
                Some(c) => return Err(input.error(format!("`{c}` is not understood here"))),
            };
            if combinator != Combinator::Descendant {
                input.next();
                input.blanks();
            }
            rest.push((combinator, term(&mut input)?));
        }
        Ok(Self { first, rest })
    }
}

struct Input<'t> {
    text: &'t str,
    /// In bytes, on a character's boundary.
    at: usize,
}

impl Input<'_> {
    fn left(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.left().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, text: &str) -> bool {
        let there = self.left().starts_with(text);
        if there {
            self.at += text.len();
        }
        there
    }

    /// Were there any?
    fn blanks(&mut self) -> bool {
        let before = self.at;
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
        self.at > before
    }

    fn error(&self, problem: impl Into<String>) -> SelectorError {
        self.error_at(self.at, problem)
    }

    /// A fault at a place before, in bytes. Columns are counted only for what is told.
    fn error_at(&self, at: usize, problem: impl Into<String>) -> SelectorError {
        let before = self.text.get(..at).unwrap_or(self.text);
        SelectorError {
            column: before.chars().count() + 1,
            problem: problem.into(),
        }
    }

    /// A text in quotes, or one without blanks and characters that mean something.
    fn string(&mut self, what: &str) -> Result<String, SelectorError> {
        let mut found = String::new();
        if self.take("\"") {
            loop {
                match self.next() {
                    Some('"') => return Ok(found),
                    Some('\\') => match self.next() {
                        Some(c @ ('"' | '\\')) => found.push(c),
                        Some(c) => found.extend(['\\', c]),
                        None => return Err(self.error("the text has no closing quote")),
                    },
                    Some(c) => found.push(c),
                    None => return Err(self.error("the text has no closing quote")),
                }
            }
        }
        let stops = |c: char| c.is_whitespace() || "><~[]:,\"=!".contains(c);
        while let Some(c) = self.peek().filter(|c| !stops(*c)) {
            // The operator `*=` ends a key.
            if c == '*' && self.left().starts_with("*=") {
                break;
            }
            found.push(c);
            self.next();
        }
        if found.is_empty() {
            return Err(self.error(format!("{what} is missing")));
        }
        Ok(found)
    }
}

fn term(input: &mut Input<'_>) -> Result<Term, SelectorError> {
    let start = input.at;
    let quoted = input.peek() == Some('"');
    let name = input.string("a name")?;
    let name = match name.as_str() {
        "*" | "span" if !quoted => None,
        _ => Some(pattern(name).map_err(|problem| input.error_at(start, problem))?),
    };
    let mut tests = Vec::new();
    while input.take("[") {
        loop {
            input.blanks();
            tests.push(test(input)?);
            input.blanks();
            if input.take("]") {
                break;
            }
            if !input.take(",") {
                return Err(input.error("`,` or `]` is missing"));
            }
        }
    }
    let mut pseudos = Vec::new();
    while input.take(":") {
        let at = input.at;
        let name = input.string("what comes after `:`")?;
        let known = Pseudo::ALL.iter().find(|(_, text)| *text == name);
        let Some((pseudo, _)) = known else {
            let all: Vec<&str> = Pseudo::ALL.iter().map(|(_, text)| *text).collect();
            let hint = similar(&name, all.iter().copied())
                .map_or(String::new(), |meant| format!("; did you mean `:{meant}`?"));
            let problem = format!("`:{name}` is none of :{}{hint}", all.join(", :"));
            return Err(input.error_at(at, problem));
        };
        pseudos.push(*pseudo);
    }
    Ok(Term {
        name,
        tests,
        pseudos,
    })
}

fn test(input: &mut Input<'_>) -> Result<Test, SelectorError> {
    if input.take("!") {
        input.blanks();
        return Ok(Test::Lacks(input.string("a key")?));
    }
    let key = input.string("a key")?;
    input.blanks();
    if input.take("~") {
        input.blanks();
        let at = input.at;
        let text = input.string("a value")?;
        let regex = compiled(&text).map_err(|problem| input.error_at(at, problem))?;
        return Ok(Test::Matches(key, Pattern { text, regex }));
    }
    for (op, text) in Op::ALL {
        if input.take(text) {
            if op == Op::Equal && input.peek() == Some('=') {
                return Err(input.error("`=` is written once; did you mean `key=value`?"));
            }
            input.blanks();
            let at = input.at;
            let value = input.string("a value")?;
            check_value(&key, op, &value).map_err(|problem| input.error_at(at, problem))?;
            return Ok(Test::Compare(key, op, value));
        }
    }
    Ok(Test::Has(key))
}

/// What a key of ours is compared with has to be something that it can be.
fn check_value(key: &str, op: Op, value: &str) -> Result<(), String> {
    if op == Op::Contains {
        return Ok(());
    }
    let known: &[&str] = match key {
        "kind" => &["internal", "client", "server", "producer", "consumer"],
        "status" => &["ok", "error"],
        "duration" | "self" => return check_duration(key, value),
        _ => return Ok(()),
    };
    if known.contains(&value) {
        return Ok(());
    }
    let hint = similar(value, known.iter().copied())
        .map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
    Err(format!(
        "`{key}` is one of {}, not `{value}`{hint}",
        known.join(", ")
    ))
}

fn check_duration(key: &str, value: &str) -> Result<(), String> {
    if is_duration(value) {
        return Ok(());
    }
    let bare = value.chars().all(|c| c.is_ascii_digit() || c == '.');
    let hint = if bare {
        format!("; a unit is missing: did you mean `{value}s` or `{value}ms`?")
    } else {
        "; write e.g. `200ms` or `1m30s`".to_owned()
    };
    Err(format!(
        "`{key}` is a duration, and `{value}` is none{hint}"
    ))
}

/// A regex between slashes, else a glob: `*`, `?` and `{a,b}`.
fn pattern(text: String) -> Result<Pattern, String> {
    let inner = text
        .strip_prefix('/')
        .and_then(|text| text.strip_suffix('/'))
        .filter(|text| !text.is_empty());
    let regex = match inner {
        Some(regex) => compiled(regex)?,
        None => compiled(&of_glob(&text))?,
    };
    Ok(Pattern { text, regex })
}

fn of_glob(glob: &str) -> String {
    let mut regex = String::from("(?s)^");
    let mut open = false;
    let last_close = glob.rfind('}');
    for (at, c) in glob.char_indices() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '{' if !open && last_close.is_some_and(|close| at < close) => {
                open = true;
                regex.push_str("(?:");
            }
            '}' if open => {
                open = false;
                regex.push(')');
            }
            ',' if open => regex.push('|'),
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    regex
}

fn compiled(regex: &str) -> Result<Regex, String> {
    RegexBuilder::new(regex)
        .size_limit(PATTERN_BYTES)
        .build()
        .map_err(|error| {
            let last = error.to_string();
            let last = last.lines().last().unwrap_or_default();
            format!("the pattern is not understood: {last}")
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn faults_are_told_with_their_column() {
        let told = |text: &str| text.parse::<Selector>().unwrap_err().to_string();
        assert_eq!(told(""), "column 1: a name is missing");
        assert_eq!(told("a["), "column 3: a key is missing");
        assert_eq!(told("a[b=]"), "column 5: a value is missing");
        assert_eq!(told("\"a"), "column 3: the text has no closing quote");
        assert_eq!(
            told("a:roof"),
            "column 3: `:roof` is none of :root, :leaf, :error, :cached, :critical, :first, :last, \
             :slowest; did you mean `:root`?"
        );
        assert_eq!(
            told("*[duration>5]"),
            "column 12: `duration` is a duration, and `5` is none; a unit is missing: did you mean \
             `5s` or `5ms`?"
        );
        assert_eq!(
            told("*[self >= 5MiB]"),
            "column 11: `self` is a duration, and `5MiB` is none; write e.g. `200ms` or `1m30s`"
        );
        assert_eq!(
            told("*[kind=sever]"),
            "column 8: `kind` is one of internal, client, server, producer, consumer, not `sever`; \
             did you mean `server`?"
        );
        assert_eq!(
            told("*[a==b]"),
            "column 5: `=` is written once; did you mean `key=value`?"
        );
        assert!(told("a > \"/(/\"").starts_with("column 5: the pattern is not understood"));
    }

    #[test]
    fn selectors_are_printed_back() {
        for (text, printed) in [
            ("*", "*"),
            ("span[vertex]:cached", "*[\"vertex\"]:cached"),
            (
                "\"dagger up\":root > *[service=buildkitd, kind = server]",
                "\"dagger up\":root > *[\"service\"=\"buildkitd\"][\"kind\"=\"server\"]",
            ),
            ("a b<c~d", "\"a\" \"b\" < \"c\" ~ \"d\""),
            (
                "a[x*=y][!z][n~^q]",
                "\"a\"[\"x\"*=\"y\"][!\"z\"][\"n\"~\"^q\"]",
            ),
        ] {
            let selector: Selector = text.parse().unwrap();
            assert_eq!(selector.to_string(), printed);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic_and_what_is_printed_reads_back(
            text in "[ab*\"\\\\\\[\\]:=!<>~,/{}() .]{0,24}",
        ) {
            if let Ok(selector) = text.parse::<Selector>() {
                let printed = selector.to_string();
                let again: Selector = printed.parse().unwrap();
                prop_assert_eq!(again.to_string(), printed);
            }
        }
    }
}
