//! Lets findings pass that the project knows of.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::expect::Waiver;
use super::finding::{Finding, Outcome, Severity};
use super::index::Index;
use super::judge::{Held, Judged};

impl Judged {
    /// Marks what is waived. A waiver whose day is past is an error, and one that lets nothing pass is a
    /// warning, so that they do not gather.
    pub(super) fn waive(&mut self, waivers: &[Waiver], members: &Index<'_>, now_ns: Option<u64>) {
        let today = now_ns.and_then(day);
        for waiver in waivers {
            let expired = today.is_some_and(|today| waiver.is_expired(today));
            let used = !expired && self.let_pass(waiver, members);
            let finding = if expired {
                Finding::new(format!(
                    "the waiver of {} ended on {}",
                    waiver.rule,
                    waiver.until()
                ))
                .help("mend what it let pass, or give it another day and a reason to have it")
            } else if used {
                continue;
            } else {
                Finding::new(format!("the waiver of {} lets nothing pass", waiver.rule))
                    .warn()
                    .help("take it out")
            };
            self.held.push(Held {
                id: "waiver",
                kind: "waiver",
                name: waiver.rule.clone(),
                place: Some(waiver.place.clone()),
                severity: Severity::Error,
                proves: String::new(),
                outcome: Outcome::of([finding.note("reason", waiver.reason.clone())]),
            });
        }
    }

    /// Marks the findings that the waiver is about; was there one?
    fn let_pass(&mut self, waiver: &Waiver, members: &Index<'_>) -> bool {
        let names =
            |id: &str, name: &str| waiver.rule.eq_ignore_ascii_case(id) || waiver.rule == name;
        let rules = self.outcomes.iter_mut();
        let rules = rules.filter(|(rule, _)| names(rule.id, rule.name));
        let held = self.held.iter_mut().filter(|held| held.name == waiver.rule);
        let outcomes = rules
            .map(|(_, outcome)| outcome)
            .chain(held.map(|held| &mut held.outcome));
        let mut used = false;
        for outcome in outcomes {
            let Outcome::Checked(findings) = outcome else {
                continue;
            };
            let meant = findings
                .iter_mut()
                .filter(|finding| waiver.is_about(finding, members));
            for finding in meant {
                used = true;
                finding.waived = Some(format!("until {}: {}", waiver.until(), waiver.reason));
            }
        }
        used
    }
}

/// The day in UTC.
fn day(now_ns: u64) -> Option<Date> {
    let now = Timestamp::from_nanosecond(now_ns.into()).ok()?;
    Some(TimeZone::UTC.to_datetime(now).date())
}
