//! Why a selector means nothing: what would have matched.

use super::syntax::{Selector, Term};
use crate::document::similar;
use crate::trace::model::Span;
use crate::verify::finding::shown_all;
use crate::verify::index::Index;

impl Selector {
    /// What comes nearest to a selector that means no span, for people; `None`: nothing does.
    pub fn nearest(&self, index: &Index<'_>) -> Option<String> {
        let (mut shorter, last) = self.split()?;
        // The part that begins to match nothing is the one to look at.
        let mut last = last;
        while let Some((before, term)) = shorter.as_ref().and_then(Selector::split)
            && shorter
                .as_ref()
                .is_some_and(|shorter| shorter.matches(index).is_empty())
        {
            (shorter, last) = (before, term);
        }
        let with = |term: Term| {
            let changed = match &shorter {
                None => Selector {
                    first: term,
                    rest: Vec::new(),
                },
                Some(shorter) => {
                    let mut changed = shorter.clone();
                    let combinator = self.rest.get(changed.rest.len()).map(|(how, _)| *how)?;
                    changed.rest.push((combinator, term));
                    changed
                }
            };
            let found = changed.matches(index);
            (!found.is_empty()).then(|| told(&changed, &found))
        };
        let without = |change: &dyn Fn(&mut Term)| {
            let mut term = last.clone();
            change(&mut term);
            term
        };
        let pseudo = |at| {
            let dropped = last.pseudos.get(at);
            without(&|term| term.pseudos.retain(|one| dropped != Some(one)))
        };
        let test = |at| {
            without(&|term| {
                term.tests.remove(at);
            })
        };
        (0..last.pseudos.len())
            .find_map(|at| with(pseudo(at)))
            .or_else(|| (0..last.tests.len()).find_map(|at| with(test(at))))
            .or_else(|| {
                let name = &last.name.as_ref()?.text;
                let names = index.spans().iter().map(|span| span.name.as_str());
                let near = similar(name, names)?;
                Some(format!("there is a span `{near}`"))
            })
            .or_else(|| with(without(&|term| term.name = None)))
            .or_else(|| {
                let shorter = shorter.as_ref()?;
                Some(told(shorter, &shorter.matches(index)))
            })
    }

    /// The selector without its last term, and that term; a single one has nothing before it.
    fn split(&self) -> Option<(Option<Self>, Term)> {
        let mut before = self.clone();
        match before.rest.pop() {
            Some((_, last)) => Some((Some(before), last)),
            None => Some((None, before.first)),
        }
    }
}

fn told(selector: &Selector, found: &[&Span]) -> String {
    let number = found.len();
    let are = if number == 1 { "is" } else { "are" };
    format!("{number} {are} `{selector}`: {}", shown_all(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::testing::good_build;

    #[test]
    fn the_nearest_is_what_one_change_less_would_find() {
        let whole = good_build();
        let index = Index::new(&whole.spans);
        let near = |text: &str| {
            let selector: Selector = text.parse().unwrap();
            assert!(selector.matches(&index).is_empty(), "{text}");
            selector.nearest(&index).unwrap_or_default()
        };
        let all = [
            "conect",
            "connect:error",
            "connect[status=error]",
            "solve > *[kind=server]",
            "conect > *[kind=client]",
            "nothing",
        ];
        insta::assert_snapshot!(all.map(near).join("\n"));
    }
}
