//! `--cache-from` and `--cache-to` of a plan: which action writes which cache.
//!
//! A cache is written by the actions that no other one needs, since what they are made from is in their
//! graphs. Several would write over each other, so that the place has `{action}` in it then.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::Failure;
use crate::plan::file::PlanFile;
use crate::solve::CacheEntry;

/// What stands for the action's name.
const PLACEHOLDER: &str = "{action}";

/// Caches as a schedule takes them.
#[derive(Debug, Default)]
pub(super) struct PlanCaches {
    /// Caches that every action reads.
    pub(super) read: Vec<CacheEntry>,
    /// Caches that are written, by the action's place in the plan.
    pub(super) written: BTreeMap<usize, Vec<CacheEntry>>,
}

impl PlanCaches {
    /// The caches of the flags, for the actions `wanted`.
    ///
    /// # Errors
    /// When several actions would write to one place.
    pub(super) fn of(
        (from, to): (Vec<CacheEntry>, Vec<CacheEntry>),
        plan: &PlanFile,
        wanted: &[usize],
    ) -> Result<Self, Failure> {
        let actions = || wanted.iter().filter_map(|place| plan.actions.get(*place));
        let needed: BTreeSet<_> = actions().flat_map(|action| &action.needs).collect();
        let last: Vec<_> = wanted
            .iter()
            .filter(|place| !needed.contains(place))
            .filter_map(|place| Some((*place, plan.actions.get(*place)?.name.as_str())))
            .collect();
        if last.len() > 1 {
            let shared = to.iter().find_map(shared_place);
            if let Some(place) = shared {
                let names: Vec<_> = last.iter().map(|(_, name)| *name).collect();
                return Err(Failure::Usage {
                    message: format!(
                        "--cache-to: the actions {} would all write to `{place}`",
                        names.join(", ")
                    ),
                    help: format!("write `{PLACEHOLDER}` into it, e.g. `{place}-{PLACEHOLDER}`"),
                });
            }
        }
        let mut read = Vec::new();
        for entry in from {
            let one_each = entry
                .attrs
                .values()
                .any(|value| value.contains(PLACEHOLDER));
            let names = last.iter().map(|(_, name)| *name);
            let names = names.take(if one_each { usize::MAX } else { 1 });
            read.extend(names.map(|name| named(&entry, name)));
        }
        let written = last
            .iter()
            .map(|(place, name)| (*place, to.iter().map(|entry| named(entry, name)).collect()));
        Ok(Self {
            read,
            written: written.collect(),
        })
    }
}

/// The place of a cache that is the same for every action.
fn shared_place(entry: &CacheEntry) -> Option<&str> {
    let key = match entry.kind.as_str() {
        "registry" => "ref",
        "local" => "dest",
        // In the image itself, or a service that tells them apart.
        _ => return None,
    };
    let place = entry.attrs.get(key)?;
    (!place.contains(PLACEHOLDER)).then_some(place)
}

fn named(entry: &CacheEntry, action: &str) -> CacheEntry {
    // Names of a matrix have letters that no reference may have.
    let name = action.replace(
        |letter: char| !letter.is_ascii_alphanumeric() && !"_.-".contains(letter),
        "-",
    );
    let attrs = entry.attrs.iter();
    let attrs = attrs.map(|(key, value)| (key.clone(), value.replace(PLACEHOLDER, &name)));
    CacheEntry {
        kind: entry.kind.clone(),
        attrs: attrs.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &str, key: &str, place: &str) -> CacheEntry {
        CacheEntry {
            kind: kind.to_owned(),
            attrs: BTreeMap::from([(key.to_owned(), place.to_owned())]),
        }
    }

    #[test]
    fn a_place_is_shared_unless_it_names_the_action() {
        assert_eq!(shared_place(&entry("registry", "ref", "r/c")), Some("r/c"));
        assert_eq!(shared_place(&entry("local", "dest", "c/{action}")), None);
        assert_eq!(shared_place(&entry("gha", "scope", "s")), None);
    }

    #[test]
    fn the_action_s_name_becomes_what_a_reference_may_hold() {
        let named = named(&entry("registry", "ref", "r/c:{action}"), "test[go=1.26]");
        assert_eq!(named.attrs["ref"], "r/c:test-go-1.26-");
    }
}
