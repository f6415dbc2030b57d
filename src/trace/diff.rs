//! Two traces side by side: which span is which, what got slower, and why steps were not cached.
//!
//! Spans are matched in order, each once: steps by their digest, steps by their name, and from the top
//! down by service, name, kind, the parent's match and the place among equal siblings. Numbers, hashes
//! and temporary paths in names count as equal. What is left has no equal: it was added or removed.
//! Start at [`diff`].

use std::collections::{HashMap, HashSet};

use super::critical_path::{critical_path, entry};
use super::model::{Kind, Span, SpanId};

/// A change of a span's time that is told: at least so long, in nanoseconds.
const LEAST_NS: u64 = 50_000_000;

/// And at least this part of the first trace.
const LEAST_PART: u64 = 20;

/// Two traces side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Duration of the two runs, in nanoseconds.
    pub total_ns: (u64, u64),
    /// Spans that both have.
    pub pairs: Vec<Pair>,
    /// Spans that only the first has, by their place in it.
    pub removed: Vec<usize>,
    /// Spans that only the second has, by their place in it.
    pub added: Vec<usize>,
    /// A change below this is noise, in nanoseconds.
    pub noise_ns: u64,
}

/// A span of the first trace and the one of the second that is the same work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its place in the first trace.
    pub a: usize,
    /// Its place in the second.
    pub b: usize,
    /// Time that the run waited for this span itself, in nanoseconds: first, second.
    pub path_ns: (u64, u64),
    /// Its duration, in nanoseconds: first, second.
    pub took_ns: (u64, u64),
}

/// Why a step of the second trace was not cached, as far as the traces tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The first had the same digest: the result was in no cache that could be used.
    Gone,
    /// The digest differs: the step itself, or what it is made from, has changed.
    Changed,
    /// The first had no such step.
    New,
}

impl Pair {
    /// How much longer the run waited for it, in nanoseconds; negative: shorter.
    pub fn path_change_ns(&self) -> i64 {
        signed(self.path_ns.1).saturating_sub(signed(self.path_ns.0))
    }
}

/// Compares two traces.
pub fn diff(a: &[Span], b: &[Span]) -> Diff {
    let mut matching = Matching::new(a, b);
    let step = |span: &Span| span.attribute("buildkit.cached").map(|_| ());
    matching.by_key(|span| {
        step(span)?;
        Some(span.text("vertex")?.to_owned())
    });
    matching.by_key(|span| {
        step(span)?;
        Some(normal(&span.name))
    });
    matching.level_by_level();
    let on_path = |spans: &[Span]| {
        let mut times: HashMap<SpanId, u64> = HashMap::new();
        let root = entry(spans);
        for part in root.map_or_else(Vec::new, |root| critical_path(spans, root)) {
            *times.entry(part.span).or_default() += part.end_ns - part.start_ns;
        }
        let total = spans.iter().find(|span| Some(span.id) == root).map(took);
        (times, total.unwrap_or_default())
    };
    let ((path_a, total_a), (path_b, total_b)) = (on_path(a), on_path(b));
    let path_of =
        |path: &HashMap<SpanId, u64>, span: &Span| path.get(&span.id).copied().unwrap_or_default();
    let pairs = a.iter().enumerate().filter_map(|(at, first)| {
        let other = matching.of_a.get(at).copied().flatten()?;
        let second = b.get(other)?;
        Some(Pair {
            a: at,
            b: other,
            path_ns: (path_of(&path_a, first), path_of(&path_b, second)),
            took_ns: (took(first), took(second)),
        })
    });
    let alone = |of: &[Option<usize>]| {
        let places = of.iter().enumerate().filter(|(_, other)| other.is_none());
        places.map(|(place, _)| place).collect()
    };
    Diff {
        total_ns: (total_a, total_b),
        pairs: pairs.collect(),
        removed: alone(&matching.of_a),
        added: alone(&matching.of_b),
        noise_ns: LEAST_NS.max(total_a / LEAST_PART),
    }
}

impl Diff {
    /// The steps of the second trace that ran though they might have been cached, in order of start,
    /// each with the reason: those that ran in the first too, unchanged, are not among them.
    pub fn misses(&self, a: &[Span], b: &[Span]) -> Vec<(usize, Miss)> {
        let partner: HashMap<usize, usize> =
            self.pairs.iter().map(|pair| (pair.b, pair.a)).collect();
        let mut misses: Vec<(usize, Miss)> = b
            .iter()
            .enumerate()
            .filter(|(_, span)| span.flag("buildkit.cached") == Some(false))
            .filter_map(|(place, span)| {
                let Some(before) = partner.get(&place).and_then(|at| a.get(*at)) else {
                    return Some((place, Miss::New));
                };
                let same = before.text("vertex") == span.text("vertex");
                match (same, before.flag("buildkit.cached")) {
                    (true, Some(true)) => Some((place, Miss::Gone)),
                    (true, _) => None,
                    (false, _) => Some((place, Miss::Changed)),
                }
            })
            .collect();
        misses.sort_by_key(|(place, _)| b.get(*place).map(|span| (span.start_ns, span.id)));
        misses
    }
}

/// What was matched so far.
struct Matching<'a> {
    a: &'a [Span],
    b: &'a [Span],
    of_a: Vec<Option<usize>>,
    of_b: Vec<Option<usize>>,
}

impl<'a> Matching<'a> {
    fn new(a: &'a [Span], b: &'a [Span]) -> Self {
        Self {
            a,
            b,
            of_a: vec![None; a.len()],
            of_b: vec![None; b.len()],
        }
    }

    fn pair(&mut self, first: usize, second: usize) {
        if let (Some(a @ None), Some(b @ None)) =
            (self.of_a.get_mut(first), self.of_b.get_mut(second))
        {
            *a = Some(second);
            *b = Some(first);
        }
    }

    /// Matches spans with equal keys that are not matched yet, in order of start.
    fn by_key(&mut self, key: impl Fn(&Span) -> Option<String>) {
        let open = |spans: &[Span], of: &[Option<usize>]| {
            let mut places: Vec<usize> = (0..spans.len())
                .filter(|place| of.get(*place) == Some(&None))
                .collect();
            places.sort_by_key(|place| spans.get(*place).map(|span| (span.start_ns, span.id)));
            let mut keyed: HashMap<String, Vec<usize>> = HashMap::new();
            for place in places {
                if let Some(key) = spans.get(place).and_then(&key) {
                    keyed.entry(key).or_default().push(place);
                }
            }
            keyed
        };
        let (first, second) = (open(self.a, &self.of_a), open(self.b, &self.of_b));
        for (key, places) in first {
            let others = second.get(&key).into_iter().flatten();
            for (place, other) in places.into_iter().zip(others) {
                self.pair(place, *other);
            }
        }
    }

    /// Matches the rest level by level: children of matched parents, then their children.
    fn level_by_level(&mut self) {
        let (a, b) = (Tree::new(self.a), Tree::new(self.b));
        self.siblings(&a.tops, &b.tops);
        let mut done = HashSet::new();
        loop {
            let parents: Vec<(usize, usize)> = self
                .of_a
                .iter()
                .enumerate()
                .filter_map(|(place, other)| Some((place, (*other)?)))
                .filter(|(place, _)| done.insert(*place))
                .collect();
            if parents.is_empty() {
                return;
            }
            for (place, other) in parents {
                let below = |tree: &Tree, spans: &[Span], place: usize| {
                    let id = spans.get(place).map(|span| span.id);
                    let below = id.and_then(|id| tree.children.get(&id));
                    below.cloned().unwrap_or_default()
                };
                let (first, second) = (below(&a, self.a, place), below(&b, self.b, other));
                self.siblings(&first, &second);
            }
        }
    }

    /// Matches siblings of the same name, kind and service by their order.
    fn siblings(&mut self, first: &[usize], second: &[usize]) {
        let mut waiting: HashMap<(&str, String, KindKey), Vec<usize>> = HashMap::new();
        for place in second.iter().rev() {
            if let (Some(span), Some(None)) = (self.b.get(*place), self.of_b.get(*place)) {
                waiting.entry(key(span)).or_default().push(*place);
            }
        }
        for place in first {
            if let (Some(span), Some(None)) = (self.a.get(*place), self.of_a.get(*place))
                && let Some(other) = waiting.get_mut(&key(span)).and_then(Vec::pop)
            {
                self.pair(*place, other);
            }
        }
    }
}

/// A kind as a key.
type KindKey = u8;

fn key(span: &Span) -> (&str, String, KindKey) {
    let kind = match span.kind {
        Kind::Internal => 0,
        Kind::Client => 1,
        Kind::Server => 2,
        Kind::Producer => 3,
        Kind::Consumer => 4,
    };
    (span.service(), normal(&span.name), kind)
}

/// Spans by their parents, siblings in order of start.
struct Tree {
    tops: Vec<usize>,
    children: HashMap<SpanId, Vec<usize>>,
}

impl Tree {
    fn new(spans: &[Span]) -> Self {
        let ids: HashSet<SpanId> = spans.iter().map(|span| span.id).collect();
        let mut order: Vec<usize> = (0..spans.len()).collect();
        order.sort_by_key(|place| spans.get(*place).map(|span| (span.start_ns, span.id)));
        let mut tree = Self {
            tops: Vec::new(),
            children: HashMap::new(),
        };
        for place in order {
            match spans.get(place).and_then(|span| span.parent) {
                Some(parent) if ids.contains(&parent) => {
                    tree.children.entry(parent).or_default().push(place);
                }
                _ => tree.tops.push(place),
            }
        }
        tree
    }
}

/// A name without what differs between runs of the same work: hashes, and all numbers in counters.
pub fn normal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut word = String::new();
    let end = |word: &mut String, out: &mut String, next: Option<char>| {
        let hex = word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let counter = !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_digit())
            && (matches!(next, Some('/')) || out.ends_with('/'));
        out.push_str(if hex || counter { "#" } else { word });
        word.clear();
    };
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() {
            word.push(letter);
        } else {
            end(&mut word, &mut out, Some(letter));
            out.push(letter);
        }
    }
    end(&mut word, &mut out, None);
    out
}

fn took(span: &Span) -> u64 {
    span.end_ns.saturating_sub(span.start_ns)
}

fn signed(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trace::critical_path::tests::{any_trace, span};
    use crate::trace::model::Value;

    fn step(mut span: Span, name: &str, digest: &str, cached: bool) -> Span {
        span.name = name.into();
        span.attributes = vec![
            ("vertex".into(), Value::Str(digest.into())),
            ("buildkit.cached".into(), Value::Bool(cached)),
        ];
        span
    }

    #[test]
    fn counters_and_hashes_are_equal() {
        assert_eq!(normal("[a 2/5] RUN make"), normal("[a 3/6] RUN make"));
        assert_eq!(
            normal("resolve x@sha256:0123456789abcdef"),
            normal("resolve x@sha256:fedcba9876543210")
        );
        assert_ne!(normal("RUN a"), normal("RUN b"));
        assert_ne!(normal("sleep 1"), normal("sleep 2"));
    }

    #[test]
    fn a_step_that_ran_has_its_reason() {
        let a = [
            span(1, 0, 0, 100),
            step(span(2, 1, 0, 10), "[1/3] FROM x", "d1", true),
            step(span(3, 1, 10, 20), "[2/3] COPY . .", "d2", true),
            step(span(4, 1, 20, 30), "[3/3] RUN make", "d3", false),
        ];
        let mut b = [
            span(11, 0, 0, 100),
            step(span(12, 11, 0, 10), "[1/4] FROM x", "d1", false),
            step(span(13, 11, 10, 20), "[2/4] COPY . .", "d9", false),
            step(span(14, 11, 20, 30), "[3/4] RUN make", "d3", false),
            step(span(15, 11, 30, 40), "[4/4] RUN new", "d5", false),
        ];
        b[0].name = "s1".into();
        let found = diff(&a, &b);
        assert_eq!(
            found.misses(&a, &b),
            [(1, Miss::Gone), (2, Miss::Changed), (4, Miss::New)]
        );
        assert_eq!((found.removed, found.added), (vec![], vec![4]));
    }

    #[test]
    fn the_span_that_the_run_waited_longer_for_is_told() {
        let a = [span(1, 0, 0, 100_000), span(2, 1, 0, 90_000)];
        let mut b = [span(1, 0, 0, 300_000), span(2, 1, 0, 290_000)];
        b[1].id = SpanId(7);
        b[1].name = "s2".into();
        let found = diff(&a, &b);
        let pair = found.pairs.iter().find(|pair| pair.a == 1).unwrap();
        assert_eq!(pair.path_change_ns(), 200_000_000);
        assert_eq!(found.noise_ns, 50_000_000);
    }

    proptest! {
        #[test]
        fn a_trace_equals_itself(a in any_trace()) {
            let a: Vec<Span> = once_each(a);
            let found = diff(&a, &a);
            for pair in &found.pairs {
                prop_assert_eq!(pair.path_change_ns(), 0);
            }
            // What hangs in a circle hangs under nothing that could be matched.
            let lone = found.removed.len();
            prop_assert_eq!(lone, found.added.len());
            prop_assert_eq!(found.pairs.len() + lone, a.len());
        }

        #[test]
        fn each_span_is_matched_once_and_both_ways_alike(a in any_trace(), b in any_trace()) {
            let (there, back) = (diff(&a, &b), diff(&b, &a));
            let firsts: HashSet<_> = there.pairs.iter().map(|pair| pair.a).collect();
            let seconds: HashSet<_> = there.pairs.iter().map(|pair| pair.b).collect();
            prop_assert_eq!((firsts.len(), seconds.len()), (there.pairs.len(), there.pairs.len()));
            prop_assert_eq!(there.pairs.len() + there.removed.len(), a.len());
            prop_assert_eq!(there.pairs.len() + there.added.len(), b.len());
            prop_assert_eq!(back.pairs.len(), there.pairs.len());
        }
    }

    fn once_each(spans: Vec<Span>) -> Vec<Span> {
        let mut seen = HashSet::new();
        spans
            .into_iter()
            .filter(|span| seen.insert(span.id))
            .collect()
    }
}
