//! Each rule of `dagger trace verify` seen at work: the fault that it is there for is made to happen, to the
//! real daemon and the real Jaeger, and the rule tells.
//!
//! Elsewhere: faults that other tests make as they go (`verify_faults`, `lost_engine`, `jaeger_query`);
//! `docs/rules.md` says of each rule which test shows it, and `table` holds it to that.

mod calls;
mod clock;
mod collectors;
mod killed;
mod strays;
mod table;

use std::collections::BTreeSet;

use crate::support::Finished;

/// The rules that found something.
#[track_caller]
fn found(verified: &Finished) -> BTreeSet<String> {
    let report = verified.json();
    let results = report["results"].as_array().expect("results");
    let found = results
        .iter()
        .filter(|result| result["status"] == "fail" || result["status"] == "warn");
    found
        .map(|result| result["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// Fails unless just these rules found something.
#[track_caller]
fn assert_found(verified: &Finished, rules: &[&str]) {
    let found = found(verified);
    let expected: BTreeSet<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
    assert_eq!(found, expected, "{}\n{}", verified.stdout, verified.stderr);
}
