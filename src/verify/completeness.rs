//! Is everything there that is going to come?

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use serde::Serialize;

use super::evidence::{Evidence, Tolerance};
use super::index::Index;
use super::names;
use super::scope::Scope;
use super::target::Target;
use crate::trace::jaeger::Answer;
use crate::trace::model::SpanId;

/// What is there of a trace, and what is still to come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completeness {
    /// Spans that are there.
    pub spans: usize,
    /// Is the run's first span there?
    pub root: bool,
    /// Spans whose coming is certain: those of the export report, and the daemon's side of our calls.
    /// `None` without a report, which alone knows.
    pub expected: Option<usize>,
    /// How many of the expected are there.
    pub found: usize,
    /// Those that are not.
    pub missing: Vec<Missing>,
    /// Spans whose parent is not there and may still come.
    pub orphans: usize,
    /// Is one of the same value for the same set of spans.
    pub fingerprint: u64,
}

/// A span that is still to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its service.
    pub service: String,
    /// Its id; unknown if another process makes it.
    pub id: Option<String>,
    /// The span it will hang under, where only that is known.
    pub parent: Option<String>,
}

impl Completeness {
    /// Looks at what is there now.
    pub fn of(target: &Target, answer: &Answer) -> Self {
        let index = Index::new(&answer.spans);
        let evidence = Evidence {
            target,
            index: &index,
            scope: Scope::new(target, &index),
            tolerance: Tolerance::default(),
            unreadable: &[],
            mistyped: &[],
            foreign: answer.foreign,
            error: None,
        };
        let mut found = 0;
        let mut missing = Vec::new();
        let run = target.run.as_ref();
        let hopeless = |id: SpanId| run.is_some_and(|run| run.hopeless.contains(&id));
        for id in run.iter().flat_map(|run| run.spans.iter().copied()) {
            if index.get(id).is_some() {
                found += 1;
            } else if !hopeless(id) {
                missing.push(Missing {
                    service: target.service.clone(),
                    id: Some(id.to_string()),
                    parent: None,
                });
            }
        }
        let mute = evidence.engine_is_mute();
        for call in evidence.answered_calls().filter(|_| !mute) {
            if evidence.daemon_side(call).is_some() {
                found += 1;
            } else {
                missing.push(Missing {
                    service: names::DAEMON.to_owned(),
                    id: None,
                    parent: Some(call.id.to_string()),
                });
            }
        }
        let orphans = evidence
            .orphans()
            .filter(|orphan| !orphan.parent.is_some_and(hopeless))
            .count();
        let entry = evidence.scope.entry;
        Self {
            spans: evidence.members().count(),
            root: entry.is_some_and(|id| index.get(id).is_some() || hopeless(id)),
            expected: run.map(|_| found + missing.len()),
            found,
            missing,
            orphans,
            fingerprint: fingerprint(&evidence),
        }
    }

    /// Is everything there that is certain to come?
    pub fn is_whole(&self) -> bool {
        self.root && self.missing.is_empty() && self.orphans == 0
    }

    /// Number of missing spans by service.
    pub fn missing_by_service(&self) -> BTreeMap<&str, usize> {
        let mut by_service = BTreeMap::new();
        for missing in &self.missing {
            *by_service.entry(missing.service.as_str()).or_default() += 1;
        }
        by_service
    }
}

/// Sets are compared, not counts: one span may come while another goes.
fn fingerprint(evidence: &Evidence<'_>) -> u64 {
    let mut ids: Vec<SpanId> = evidence.members().map(|span| span.id).collect();
    ids.sort_unstable();
    let mut hasher = DefaultHasher::new();
    ids.hash(&mut hasher);
    hasher.finish()
}
