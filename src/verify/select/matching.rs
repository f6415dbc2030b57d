//! Which spans of a trace a selector means.

use foldhash::HashSet;

use super::quantity::quantity;
use super::syntax::{Combinator, Op, Pseudo, Selector, Term, Test};
use crate::trace::model::{Kind, Span, SpanId};
use crate::verify::index::Index;
use crate::verify::names;

impl Selector {
    /// The spans that are meant, in order of start.
    pub fn matches<'a>(&self, index: &Index<'a>) -> Vec<&'a Span> {
        let mut found = self.first.of(index, index.spans().iter().copied());
        for (combinator, term) in &self.rest {
            let near = neighbours(*combinator, &found, index);
            let spans = index.spans().iter().copied();
            found = term.of(index, spans.filter(|span| near.contains(&span.id)));
        }
        found
    }
}

/// The ids of the spans that lie so to these.
fn neighbours(combinator: Combinator, found: &[&Span], index: &Index<'_>) -> HashSet<SpanId> {
    let ids: HashSet<SpanId> = found.iter().map(|span| span.id).collect();
    let children = |id: SpanId| index.children(id).iter().map(|child| child.id);
    match combinator {
        Combinator::Child => ids.iter().flat_map(|id| children(*id)).collect(),
        Combinator::Descendant => index.below(ids.iter().flat_map(|id| children(*id))),
        Combinator::Parent => found.iter().filter_map(|span| span.parent).collect(),
        Combinator::Sibling => {
            let parents: HashSet<SpanId> = found.iter().filter_map(|span| span.parent).collect();
            let mut near = HashSet::default();
            for parent in parents {
                let spans: Vec<SpanId> = children(parent).collect();
                let chosen = spans.iter().filter(|id| ids.contains(id)).count();
                // A span is no sibling of itself, but of another that was found.
                near.extend(
                    spans
                        .into_iter()
                        .filter(|id| chosen > 1 || !ids.contains(id)),
                );
            }
            near
        }
    }
}

impl Term {
    fn of<'a>(&self, index: &Index<'a>, spans: impl Iterator<Item = &'a Span>) -> Vec<&'a Span> {
        let mut found: Vec<&Span> = spans
            .filter(|span| {
                self.name
                    .as_ref()
                    .is_none_or(|name| name.regex.is_match(&span.name))
                    && self.tests.iter().all(|test| test.holds(span, index))
            })
            .collect();
        for pseudo in &self.pseudos {
            match pseudo {
                Pseudo::Root => found.retain(|span| index.parent(span).is_none()),
                Pseudo::Leaf => found.retain(|span| index.children(span.id).is_empty()),
                Pseudo::Error => found.retain(|span| span.is_error()),
                Pseudo::Cached => found.retain(|span| span.flag(names::CACHED) == Some(true)),
                Pseudo::Critical => found.retain(|span| index.is_critical(span)),
                Pseudo::First => found.truncate(1),
                Pseudo::Last => found = found.pop().into_iter().collect(),
                Pseudo::Slowest => {
                    let slowest = found.iter().copied().max_by_key(|span| length_ns(span));
                    found = slowest.into_iter().collect();
                }
            }
        }
        found
    }
}

fn length_ns(span: &Span) -> u64 {
    span.end_ns.saturating_sub(span.start_ns)
}

impl Test {
    fn holds(&self, span: &Span, index: &Index<'_>) -> bool {
        match self {
            Self::Has(key) => !values(span, index, key).is_empty(),
            Self::Lacks(key) => values(span, index, key).is_empty(),
            Self::Matches(key, pattern) => values(span, index, key)
                .iter()
                .any(|value| pattern.regex.is_match(value)),
            Self::Compare(key, op, wanted) => values(span, index, key)
                .iter()
                .any(|value| compare(value, *op, wanted)),
        }
    }
}

/// What the span says of a key; several if an attribute or an event is there more than once.
/// Times are in nanoseconds.
pub(in crate::verify) fn values(span: &Span, index: &Index<'_>, key: &str) -> Vec<String> {
    match key {
        "name" => vec![span.name.clone()],
        "service" => vec![span.service().to_owned()],
        "kind" => vec![
            match span.kind {
                Kind::Internal => "internal",
                Kind::Client => "client",
                Kind::Server => "server",
                Kind::Producer => "producer",
                Kind::Consumer => "consumer",
            }
            .to_owned(),
        ],
        "status" => vec![if span.is_error() { "error" } else { "ok" }.to_owned()],
        "duration" => vec![format!("{}ns", length_ns(span))],
        "self" => vec![format!("{}ns", own_ns(span, index))],
        // The daemon says it of its own spans of a step too: then each step would be there several times.
        names::VERTEX if span.service() == names::DAEMON => Vec::new(),
        _ => {
            let texts = |attributes: &[(String, crate::trace::model::Value)], key: &str| {
                let same = attributes.iter().filter(|(name, _)| name == key);
                same.map(|(_, value)| value.to_string()).collect::<Vec<_>>()
            };
            let mut found = texts(&span.attributes, key);
            if found.is_empty() && !key.contains('.') {
                found = texts(&span.attributes, &format!("dagger.{key}"));
            }
            if let Some(key) = key.strip_prefix("resource.") {
                found.extend(texts(&span.resource.attributes, key));
            }
            if let Some(key) = key.strip_prefix("event.") {
                for event in &span.events {
                    if key == "name" {
                        found.push(event.name.clone());
                    }
                    found.extend(texts(&event.attributes, key));
                }
            }
            found
        }
    }
}

/// What the call says of a key that the span is one end of: an end that does not know it lets the other one
/// speak.
pub(in crate::verify) fn values_of_call(span: &Span, index: &Index<'_>, key: &str) -> Vec<String> {
    let said = values(span, index, key);
    if !said.is_empty() {
        return said;
    }
    let is_end = |other: &&Span, kind: Kind| other.kind == kind && other.name == span.name;
    let other = match span.kind {
        Kind::Client => {
            let mut children = index.children(span.id).iter().copied();
            children.find(|child| is_end(child, Kind::Server))
        }
        Kind::Server => {
            let parent = span.parent.and_then(|parent| index.get(parent));
            parent.filter(|parent| is_end(parent, Kind::Client))
        }
        _ => None,
    };
    other.map_or(said, |other| values(other, index, key))
}

/// The span's time in which no child of it was at work, in nanoseconds.
pub(in crate::verify) fn own_ns(span: &Span, index: &Index<'_>) -> u64 {
    let (mut at, mut own) = (span.start_ns, 0_u64);
    for child in index.children(span.id) {
        let start = child.start_ns.clamp(at, span.end_ns.max(at));
        own = own.saturating_add(start.saturating_sub(at));
        at = at.max(child.end_ns.min(span.end_ns));
    }
    own.saturating_add(span.end_ns.saturating_sub(at))
}

/// Is this said?
pub(in crate::verify) fn says(said: &[String], wanted: &str) -> bool {
    said.iter().any(|value| compare(value, Op::Equal, wanted))
}

fn compare(value: &str, op: Op, wanted: &str) -> bool {
    let order = match (quantity(value), quantity(wanted)) {
        (Some(value), Some(wanted)) => value.partial_cmp(&wanted),
        _ => Some(value.cmp(wanted)),
    };
    match op {
        Op::Contains => value.contains(wanted),
        Op::Equal => order.is_some_and(std::cmp::Ordering::is_eq),
        Op::Unequal => order.is_some_and(std::cmp::Ordering::is_ne),
        Op::Less => order.is_some_and(std::cmp::Ordering::is_lt),
        Op::AtMost => order.is_some_and(std::cmp::Ordering::is_le),
        Op::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
        Op::AtLeast => order.is_some_and(std::cmp::Ordering::is_ge),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::testing::good_build;

    #[test]
    fn digits_that_are_no_number_are_compared_as_text() {
        assert!(compare("1500ms", Op::Equal, "1.5s"));
        assert!(!compare("1234e567", Op::Equal, "9876e543"));
        assert!(compare("1234e567", Op::Unequal, "9876e543"));
        assert!(!compare("9007199254740993", Op::Equal, "9007199254740992"));
    }

    fn names(selector: &str) -> Vec<String> {
        let whole = good_build();
        let index = Index::new(&whole.spans);
        let selector: Selector = selector.parse().unwrap();
        let found = selector.matches(&index);
        found.iter().map(|span| span.name.clone()).collect()
    }

    #[test]
    fn selectors_mean_what_they_say() {
        for (selector, expected) in [
            ("\"dagger up\":root", &["dagger up"][..]),
            ("solve < *", &["dagger up"]),
            ("connect ~ *", &["solve"]),
            ("*[vertex]:cached", &["[base 1/1] ADD rootfs.tar /"]),
            (
                "\"moby.buildkit.v1.Control/Solve\"[kind=client] > *[service=buildkitd,kind=server]",
                &["moby.buildkit.v1.Control/Solve"],
            ),
            ("*[service=dagger,duration>=900ms]:slowest", &["dagger up"]),
            (
                "*[vertex][buildkit.cached=false]:last",
                &["[a 1/1] RUN echo one > /one"],
            ),
            (
                "*[event.name=\"ExecOp started\"]",
                &["[a 1/1] RUN echo one > /one"],
            ),
            // The run waited for the step, of which the daemon's span and ours tell.
            (
                r#""/^\[a 1/":critical"#,
                &["[a 1/1] RUN echo one > /one", "[a 1/1] RUN echo one > /one"],
            ),
            (
                "connect > \"*Info\":critical",
                &["moby.buildkit.v1.Control/Info"],
            ),
            // A stream that is open as long as the solve is waited for by nobody.
            ("\"*Session\":critical", &[]),
            ("\"/^(connect|solve)$/\"", &["connect", "solve"]),
            ("\"{connect,solve}\"", &["connect", "solve"]),
            // A comparison on a missing key is false, with `!=`, too.
            ("connect[nothing!=x]", &[]),
            ("connect[!nothing]", &["connect"]),
        ] {
            assert_eq!(names(selector), expected, "{selector}");
        }
        assert!(names("connect *").len() > names("connect > *").len());
    }
}
