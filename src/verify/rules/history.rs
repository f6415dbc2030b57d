//! D003: what the daemon's history says of a build is what the trace says of it.
//!
//! The record in the history is written by the daemon from a status stream of its own, which it reads once the
//! build has ended; ours is read meanwhile. Compared is what does not hang on that: see `docs/adr/0008`.

use super::Rule;
use super::export::NO_REPORT;
use crate::trace::model::Span;
use crate::trace::report::{BuildEnd, BuildReport};
use crate::verify::evidence::{Evidence, answered, is_cancelled};
use crate::verify::finding::{Finding, Outcome, Severity, count};
use crate::verify::names;

pub(super) const RULE: Rule = Rule {
    id: "D003",
    name: "agree-with-history",
    severity: Severity::Warn,
    proves: "two witnesses agree",
    fails: "the daemon's history, as the run read it, has more steps of a build that ran than there are spans \
            of ours, or fewer steps in all, or another end of it than the daemon answered; of a cancelled build \
            fewer steps alone",
    mend: "a part of the status stream was lost or changed on its way: look for a proxy before the daemon, and \
           compare with `dagger history inspect`",
    check,
};

fn check(evidence: &Evidence<'_>) -> Outcome {
    let Some(run) = &evidence.target.run else {
        return Outcome::skipped(NO_REPORT);
    };
    let builds = run.export.daemon.as_ref().map(|daemon| &daemon.builds);
    let Some(builds) = builds.filter(|builds| !builds.is_empty()) else {
        return Outcome::skipped("the run read no record of the daemon's history");
    };
    if run.spans.iter().any(|id| evidence.index.get(*id).is_none()) {
        return Outcome::skipped("spans of the run are not there: see T007");
    }
    let mut traced = builds
        .iter()
        .filter_map(|build| Traced::of(build, evidence))
        .peekable();
    if traced.peek().is_none() {
        return Outcome::skipped("no span is of a build whose record was read");
    }
    Outcome::of(traced.flat_map(|traced| {
        [traced.end(), traced.lost(), traced.too_many()]
            .into_iter()
            .flatten()
    }))
}

/// A build as the history has it and as the trace has it.
struct Traced<'a> {
    recorded: &'a BuildReport,
    /// Its spans `solve`: several if actions share it.
    solves: Vec<&'a Span>,
    /// The call that asked for it.
    call: Option<&'a Span>,
    steps: Vec<&'a Span>,
}

impl<'a> Traced<'a> {
    fn of(recorded: &'a BuildReport, evidence: &Evidence<'a>) -> Option<Self> {
        let solves: Vec<&Span> = evidence
            .ours()
            .filter(|span| span.name == names::SOLVE)
            .filter(|span| span.text(names::REF) == Some(&recorded.build))
            .collect();
        let below = || {
            let solves = solves.iter();
            let below = solves.flat_map(|solve| evidence.index.children(solve.id));
            below.copied().filter(|span| evidence.is_ours(span))
        };
        let call = below().find(|span| span.name == names::SOLVE_CALL);
        let steps = below()
            .filter(|span| span.attribute(names::VERTEX).is_some())
            .collect();
        (!solves.is_empty()).then_some(Self {
            recorded,
            call,
            steps,
            solves,
        })
    }

    /// Another end than the daemon answered. One that was given up may have ended in any way.
    fn end(&self) -> Option<Finding> {
        let call = self.call.filter(|call| answered(call))?;
        let went_well = call.int(names::GRPC_STATUS)? == 0;
        let recorded = match self.recorded.end {
            BuildEnd::Done => "went well",
            BuildEnd::Failed => "failed",
            BuildEnd::Cancelled => "was cancelled",
        };
        let answered = if went_well { "went well" } else { "failed" };
        (went_well != (self.recorded.end == BuildEnd::Done)).then(|| {
            Finding::new("the daemon's history has another end of a build than the daemon answered")
                .about([call])
                .expected(format!("it {recorded}, by its history"))
                .actual(format!("it {answered}, by its answer"))
                .note("build", self.recorded.build.clone())
        })
    }

    /// Steps that ran and are not in the trace. Steps that were cached are deduced by each status stream
    /// from what came before in it, which is not the same in two of them.
    fn lost(&self) -> Option<Finding> {
        // Of actions that were stopped no more is taken down, though their build goes on.
        if self.solves.iter().any(|solve| is_cancelled(solve)) {
            return None;
        }
        let cached = |span: &&&Span| span.flag(names::CACHED) == Some(true);
        let ran = self.steps.len() - self.steps.iter().filter(cached).count();
        let recorded = self.recorded.completed.saturating_sub(self.recorded.cached);
        self.unless(ran >= recorded as usize, || {
            (format!("{recorded} that ran"), ran)
        })
    }

    /// Steps that the daemon does not know. A record without any has no numbers: older daemons count none.
    fn too_many(&self) -> Option<Finding> {
        let (total, traced) = (self.recorded.total, self.steps.len());
        self.unless(total == 0 || traced <= total as usize, || {
            (format!("at most {total}"), traced)
        })
    }

    fn unless(&self, agree: bool, differ: impl FnOnce() -> (String, usize)) -> Option<Finding> {
        (!agree).then(|| {
            let (recorded, traced) = differ();
            Finding::new("the daemon's history has another number of steps than the trace")
                .about(self.solves.iter().copied())
                .expected(format!("{recorded}, by its history"))
                .actual(count(traced, "span", "spans"))
                .note("build", self.recorded.build.clone())
        })
    }
}
