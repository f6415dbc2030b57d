//! What is known of the traces of other clients (`--profile buildkit`): spans that stand twice, and spans
//! under parents that nobody exported.
//!
//! Elsewhere: the rules that these are findings of (`orphans`, `unique`).

use crate::trace::model::{Kind, Span, Status};
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, count, shown_all};
use crate::verify::names;

/// Spans under parents that are not there, by who should have exported the parents.
pub(super) fn orphans(evidence: &Evidence<'_>) -> Vec<Finding> {
    let (called_back, others): (Vec<&Span>, Vec<&Span>) = evidence
        .orphans()
        .partition(|span| span.service() != names::DAEMON && names::is_callback(&span.name));
    let (daemons, clients): (Vec<&Span>, Vec<&Span>) = others
        .into_iter()
        .partition(|span| span.service() == names::DAEMON);
    let no_daemon = evidence.index.of_service(names::DAEMON).is_empty();
    let no_client = evidence.ours().next().is_none();
    let callbacks = if no_daemon {
        "the daemon asked for files or a login, its spans of that are the parents, and none of its spans is \
         here: it exports nowhere, or elsewhere. Start buildkitd (or dockerd) with JAEGER_TRACE or \
         OTEL_EXPORTER_OTLP_ENDPOINT of the same Jaeger"
    } else {
        "the daemon asked for files or a login, and its spans of that are the parents: other spans of it are \
         here, so these were lost on the way, or it still keeps them (give it longer with --timeout)"
    };
    let served = if no_client {
        "the client's calls are the parents, and none of its spans is here: it was killed before it exported, \
         or could hand its spans over to no one"
    } else {
        "the parents are calls of the client or of the daemon: the client was killed, or they were lost on \
         the way"
    };
    let told = [
        (
            called_back,
            "answers of the client to the daemon's calls",
            callbacks,
        ),
        (daemons, "spans of the daemon", served),
        (clients, "spans of the client", served),
    ];
    let findings = told.into_iter().filter(|(spans, ..)| !spans.is_empty());
    findings
        .map(|(spans, what, cause)| {
            let number = count(spans.len(), "span hangs", "spans hang");
            Finding::new(format!(
                "{number} under a parent that is not in the trace: {what}"
            ))
            .about(spans.iter().copied())
            .expected("every parent is there")
            .note("spans", shown_all(&spans))
            .help(cause)
        })
        .collect()
}

/// Spans of the client that stand twice because it exports them and hands them to the daemon, which does so
/// again; and the copies that are left.
pub(super) fn doubled<'a>(
    evidence: &Evidence<'_>,
    copies: Vec<(&'a Span, &'a Span)>,
) -> (Option<Finding>, Vec<(&'a Span, &'a Span)>) {
    let (doubled, left): (Vec<_>, Vec<_>) = copies
        .into_iter()
        .partition(|(first, copy)| evidence.is_ours(first) && says_the_same(first, copy));
    if doubled.is_empty() {
        return (None, left);
    }
    let mut spans: Vec<&Span> = doubled.iter().map(|(first, _)| *first).collect();
    spans.sort_by_key(|span| span.id);
    spans.dedup_by_key(|span| span.id);
    let service = &evidence.target.service;
    let number = count(spans.len(), "span", "spans");
    let finding = Finding::new(format!("{number} of `{service}` stored twice"))
        .warn()
        .about(spans.iter().copied())
        .expected("one span an id")
        .actual("copies that differ only in what exporters add")
        .note("spans", shown_all(&spans))
        .help(
            "the client exports its spans by itself and hands them to the daemon, too, which exports them \
             again: unset JAEGER_TRACE, OTEL_EXPORTER_JAEGER_* and OTEL_EXPORTER_OTLP_* for the client, \
             or the daemon's",
        );
    (Some(finding), left)
}

/// Is it the same span, but for what an exporter makes of it? On the way through the daemon no status
/// becomes "ok", and how the kind and the scope are told depends on the protocol.
fn says_the_same(first: &Span, copy: &Span) -> bool {
    let status = |span: &Span| match &span.status {
        Status::Error(text) => Some(text.clone()),
        Status::Unset | Status::Ok => None,
    };
    let kinds = first.kind == copy.kind || [first.kind, copy.kind].contains(&Kind::Internal);
    first.name == copy.name
        && first.service() == copy.service()
        && first.parent == copy.parent
        && first.start_ns == copy.start_ns
        && first.end_ns == copy.end_ns
        && kinds
        && status(first) == status(copy)
}
