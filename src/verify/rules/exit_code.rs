//! E002: the trace and the process agree on how it went.

use super::Rule;
use crate::verify::evidence::{Evidence, is_cancelled};
use crate::verify::finding::{Finding, Outcome, Severity, shown};
use crate::verify::names;

pub(super) const RULE: Rule = Rule {
    id: "E002",
    name: "exit-code-agrees",
    severity: Severity::Error,
    proves: "trace and process agree",
    fails: "exit code 0 and a failed root, or the contrary; another exit code in the run record",
    mend: "the status was not set: please report it",
    check,
};

fn check(evidence: &Evidence<'_>) -> Outcome {
    let Some(root) = evidence.entry() else {
        return Outcome::skipped("the run's root is not there");
    };
    let run = evidence.target.run.as_ref();
    let Some(code) = root.int(names::EXIT_CODE) else {
        if !root.name.starts_with(names::COMMAND) {
            return Outcome::skipped(format!("{} is no root of dagger's", shown(root)));
        }
        return Outcome::of([
            Finding::new(format!("the root {} has no exit code", shown(root)))
                .about([root])
                .expected(format!("a whole number `{}`", names::EXIT_CODE))
                .actual("none"),
        ]);
    };
    let mut findings = Vec::new();
    // A run that was interrupted failed without an error of its own.
    let failed = root.is_error() || is_cancelled(root);
    if (code != 0) != failed {
        let status = if failed { "an error" } else { "no error" };
        findings.push(
            Finding::new(format!(
                "the root {} is {status}, and its exit code is {code}",
                shown(root)
            ))
            .about([root])
            .expected("an error exactly if the exit code is not 0")
            .actual(format!("{status}, exit code {code}")),
        );
    }
    if let Some(run) = run.filter(|run| i64::from(run.exit_code) != code) {
        findings.push(
            Finding::new(format!(
                "the root {} and the run record have different exit codes",
                shown(root)
            ))
            .about([root])
            .expected(run.exit_code.to_string())
            .actual(code.to_string()),
        );
    }
    Outcome::of(findings)
}
