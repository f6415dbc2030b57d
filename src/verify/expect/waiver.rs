//! Findings that are known and let pass until a day.

use std::collections::HashSet;

use jiff::civil::Date;

use super::place::Place;
use super::schema;
use crate::document::{At, Fault};
use crate::trace::model::SpanId;
use crate::verify::finding::Finding;
use crate::verify::index::Index;
use crate::verify::select::Selector;

/// Lets findings pass.
#[derive(Clone, Debug)]
pub struct Waiver {
    /// The rule's id or name, or an expectation's name.
    pub rule: String,
    /// Why.
    pub reason: String,
    /// Where it is written.
    pub place: Place,
    /// Only findings about these spans.
    pub(super) select: Option<Selector>,
    /// The last day.
    pub(super) until: Date,
}

impl Waiver {
    pub(super) fn read(written: &At<schema::Waiver>, place: Place) -> Result<Self, Fault> {
        let waiver = &written.value;
        if waiver.reason.trim().is_empty() {
            return Err(Fault::new(
                written.at,
                "a waiver says why: `reason` is empty",
            ));
        }
        let until = waiver.until.value.parse().map_err(|_| {
            let message = format!("`{}` is no day", waiver.until.value);
            Fault::new(waiver.until.at, message).help("write it as 2027-01-31")
        })?;
        let select = waiver.select.as_ref();
        Ok(Self {
            rule: waiver.rule.value.clone(),
            reason: waiver.reason.clone(),
            place,
            select: select.map(super::check::selector).transpose()?,
            until,
        })
    }

    /// Is its last day past?
    pub fn is_expired(&self, today: Date) -> bool {
        self.until < today
    }

    /// Is the finding one of those that are let pass: are all its spans among the selected?
    pub(in crate::verify) fn is_about(&self, finding: &Finding, members: &Index<'_>) -> bool {
        let Some(select) = &self.select else {
            return true;
        };
        let meant: HashSet<SpanId> = select.matches(members).iter().map(|span| span.id).collect();
        !finding.spans.is_empty() && finding.spans.iter().all(|id| meant.contains(id))
    }

    /// Its last day.
    pub fn until(&self) -> Date {
        self.until
    }
}
