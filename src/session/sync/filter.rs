//! Which entries of a directory are sent: what is included, and not excluded.

use std::path::Path;

use super::follow;
use super::patterns::{Matched, Patterns};
use crate::session::error::SessionError;

/// What the daemon asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct Wanted {
    /// Only what one of these matches; none: everything.
    pub(in crate::session) include: Vec<String>,
    /// Nothing of what these match.
    pub(in crate::session) exclude: Vec<String>,
    /// Paths to be included with all that they lead to through symbolic links.
    pub(in crate::session) follow: Vec<String>,
}

/// The decision for one entry after another, from the top down.
#[derive(Debug)]
pub(super) struct Filter {
    include: Option<Patterns>,
    exclude: Option<Patterns>,
}

/// What became known of a directory, for the entries below it.
#[derive(Clone, Debug, Default)]
pub(super) struct Above {
    include: Option<Matched>,
    exclude: Option<Matched>,
}

/// What to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Send it.
    Send,
    /// Don't send it, but what is below it may be.
    Enter,
    /// Don't look any further.
    Skip,
}

impl Filter {
    /// Reads the patterns; symbolic links under `root` are followed now.
    pub(super) fn new(root: &Path, wanted: &Wanted) -> Result<Self, SessionError> {
        let mut include = wanted.include.clone();
        if !wanted.follow.is_empty() {
            // Without targets (one of them is the root) everything is included.
            if let Some(targets) = follow::resolve(root, &wanted.follow)? {
                include.extend(targets);
                include.sort();
                include = follow::without_nested(include).unwrap_or_default();
            }
        }
        let some = |patterns: Patterns| (!patterns.is_empty()).then_some(patterns);
        Ok(Self {
            include: some(Patterns::new(&include)?),
            exclude: some(Patterns::new(&wanted.exclude)?),
        })
    }

    /// Decides on `path`; `above` is what its directory gave.
    pub(super) fn decide(&self, path: &str, is_dir: bool, above: &Above) -> (Decision, Above) {
        let mut decision = Decision::Send;
        let mut below = Above::default();
        if let Some(include) = &self.include {
            let (matched, each) = include.matches(path, above.include.as_ref());
            if !matched {
                if !is_dir || !include.could_match_below(path, false) {
                    return (Decision::Skip, below);
                }
                decision = Decision::Enter;
            }
            below.include = Some(each);
        }
        if let Some(exclude) = &self.exclude {
            let (matched, each) = exclude.matches(path, above.exclude.as_ref());
            if matched {
                if !is_dir || !exclude.could_match_below(path, true) {
                    return (Decision::Skip, below);
                }
                decision = Decision::Enter;
            }
            below.exclude = Some(each);
        }
        (decision, below)
    }
}
