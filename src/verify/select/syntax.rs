//! The parts of a selector, and how they are written.

use std::fmt;

use regex::Regex;

/// Which spans are meant; read with `str::parse`, printed back by `Display`.
#[derive(Clone, Debug)]
pub struct Selector {
    pub(super) first: Term,
    pub(super) rest: Vec<(Combinator, Term)>,
}

/// How the spans of a term lie to those of the term before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combinator {
    Child,
    Descendant,
    Parent,
    Sibling,
}

/// What one span has to be.
#[derive(Clone, Debug)]
pub(super) struct Term {
    /// `None`: any.
    pub(super) name: Option<Pattern>,
    pub(super) tests: Vec<Test>,
    pub(super) pseudos: Vec<Pseudo>,
}

/// A text with its compiled form.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) text: String,
    pub(super) regex: Regex,
}

/// What is asked of one key.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Has(String),
    Lacks(String),
    Matches(String, Pattern),
    Compare(String, Op, String),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    Unequal,
    Contains,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// What else a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pseudo {
    Root,
    Leaf,
    Error,
    Cached,
    Critical,
    First,
    Last,
    Slowest,
}

impl Pseudo {
    pub(super) const ALL: [(Self, &'static str); 8] = [
        (Self::Root, "root"),
        (Self::Leaf, "leaf"),
        (Self::Error, "error"),
        (Self::Cached, "cached"),
        (Self::Critical, "critical"),
        (Self::First, "first"),
        (Self::Last, "last"),
        (Self::Slowest, "slowest"),
    ];
}

impl Op {
    /// Longer ones first, as they are looked for in this order.
    pub(super) const ALL: [(Self, &'static str); 7] = [
        (Self::Unequal, "!="),
        (Self::Contains, "*="),
        (Self::AtMost, "<="),
        (Self::AtLeast, ">="),
        (Self::Equal, "="),
        (Self::Less, "<"),
        (Self::Greater, ">"),
    ];

    fn text(self) -> &'static str {
        let text = Self::ALL.iter().find(|(op, _)| *op == self);
        text.map_or("", |(_, text)| text)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        for (combinator, term) in &self.rest {
            let between = match combinator {
                Combinator::Child => " > ",
                Combinator::Descendant => " ",
                Combinator::Parent => " < ",
                Combinator::Sibling => " ~ ",
            };
            write!(f, "{between}{term}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => quoted(f, &name.text)?,
            None => f.write_str("*")?,
        }
        for test in &self.tests {
            f.write_str("[")?;
            match test {
                Test::Has(key) => quoted(f, key)?,
                Test::Lacks(key) => {
                    f.write_str("!")?;
                    quoted(f, key)?;
                }
                Test::Matches(key, pattern) => {
                    quoted(f, key)?;
                    f.write_str("~")?;
                    quoted(f, &pattern.text)?;
                }
                Test::Compare(key, op, value) => {
                    quoted(f, key)?;
                    f.write_str(op.text())?;
                    quoted(f, value)?;
                }
            }
            f.write_str("]")?;
        }
        for pseudo in &self.pseudos {
            let text = Pseudo::ALL.iter().find(|(one, _)| one == pseudo);
            write!(f, ":{}", text.map_or("", |(_, text)| text))?;
        }
        Ok(())
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{c}")?;
    }
    f.write_str("\"")
}
