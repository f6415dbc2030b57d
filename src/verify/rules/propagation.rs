//! P001, P002, P003: the context reached the daemon, came back, and the daemon's spans are there.

use std::collections::BTreeMap;

use super::Rule;
use crate::trace::model::{Kind, Span};
use crate::verify::evidence::{Evidence, is_cancelled};
use crate::verify::finding::{Finding, Outcome, Severity, count, shown_all};
use crate::verify::names;
use crate::verify::target::Run;

pub(super) const RPC: Rule = Rule {
    id: "P001",
    name: "rpc-propagated",
    severity: Severity::Error,
    proves: "the context reached the daemon",
    fails: "a call that the daemon answered has no server span in `buildkitd`",
    mend: "the `traceparent` metadata was not sent, or the daemon's exporter is late (--timeout)",
    check: check_rpc,
};

pub(super) const CALLBACK: Rule = Rule {
    id: "P002",
    name: "callback-parented",
    severity: Severity::Error,
    proves: "the way back works",
    fails: "a call of the daemon does not hang under a span of `buildkitd`",
    mend: "the daemon did not send `traceparent` with its call",
    check: check_callback,
};

pub(super) const DAEMON: Rule = Rule {
    id: "P003",
    name: "daemon-present",
    severity: Severity::Error,
    proves: "the daemon's spans are there",
    fails: "no span of `buildkitd`",
    mend: "start buildkitd with JAEGER_TRACE or OTEL_EXPORTER_JAEGER_ENDPOINT set to the same Jaeger",
    check: check_daemon,
};

const MUTE: &str = "this engine makes no spans: it is too old to say its version";

const NO_CALL: &str = "the run has no call that a daemon answered";

fn check_rpc(evidence: &Evidence<'_>) -> Outcome {
    if evidence.answered_calls().next().is_none() {
        return Outcome::skipped(NO_CALL);
    }
    if !has_daemon(evidence) {
        return Outcome::skipped("no span of the daemon: see P003");
    }
    let alone: Vec<&Span> = evidence
        .answered_calls()
        .filter(|call| evidence.daemon_side(call).is_none())
        .collect();
    if alone.is_empty() {
        return Outcome::of([]);
    }
    let number = count(alone.len(), "call has", "calls have");
    Outcome::of([
        Finding::new(format!("{number} no span on the daemon's side"))
            .about(alone.iter().copied())
            .expected(format!(
                "a child of kind server in service `{}`",
                names::DAEMON
            ))
            .actual("none")
            .note("calls", shown_all(&alone))
            .help(
                "the `traceparent` metadata was not sent or not sampled, or the daemon's span is \
                 late: its exporter sends every 5 s (--timeout)",
            ),
    ])
}

fn check_callback(evidence: &Evidence<'_>) -> Outcome {
    let mut callbacks = evidence
        .ours()
        .filter(|span| span.kind == Kind::Server)
        .peekable();
    if callbacks.peek().is_none() {
        return Outcome::skipped("the daemon made no call back");
    }
    if evidence.engine_is_mute() && !has_daemon(evidence) {
        return Outcome::skipped(MUTE);
    }
    // By the service of the parent they have. A parent that is missing is T003's matter.
    let mut wrong: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for callback in callbacks {
        let parent = match callback.parent {
            None => Some("no parent"),
            Some(id) => evidence.index.get(id).map(Span::service),
        };
        if let Some(service) = parent.filter(|service| *service != names::DAEMON) {
            wrong.entry(service).or_default().push(callback);
        }
    }
    Outcome::of(wrong.into_iter().map(|(service, callbacks)| {
        let number = count(
            callbacks.len(),
            "call of the daemon does",
            "calls of the daemon do",
        );
        Finding::new(format!("{number} not hang under the daemon's span"))
            .about(callbacks.iter().copied())
            .expected(format!("a parent in service `{}`", names::DAEMON))
            .actual(service)
            .note("calls", shown_all(&callbacks))
            .help("the daemon did not send `traceparent` with its call, or it was not read")
    }))
}

fn check_daemon(evidence: &Evidence<'_>) -> Outcome {
    if has_daemon(evidence) {
        return Outcome::of([]);
    }
    if evidence.answered_calls().next().is_none() {
        return Outcome::skipped(NO_CALL);
    }
    if evidence.engine_is_mute() {
        return Outcome::skipped(MUTE);
    }
    let no_build = |run: &Run| run.export.daemon.is_none();
    if evidence.target.run.as_ref().is_some_and(no_build)
        && evidence.entry().is_some_and(is_cancelled)
    {
        return Outcome::skipped("the run was interrupted before it had a build");
    }
    Outcome::of([
        Finding::new(format!("no span of service `{}`", names::DAEMON))
            .about(evidence.answered_calls())
            .expected("1 span or more")
            .actual("0")
            .help(
                "start buildkitd with JAEGER_TRACE or OTEL_EXPORTER_JAEGER_ENDPOINT set to the \
                 same Jaeger",
            ),
    ])
}

fn has_daemon(evidence: &Evidence<'_>) -> bool {
    let spans = evidence.index.of_service(names::DAEMON);
    spans.iter().any(|span| evidence.scope.contains(span))
}
