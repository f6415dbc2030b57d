//! N002: nothing leaks. The value that looks like a secret is never part of what is told.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::Rule;
use crate::trace::model::{Attributes, Resource, Span, Status, Value};
use crate::verify::KnownSecret;
use crate::verify::evidence::Evidence;
use crate::verify::finding::{Finding, Outcome, Severity, count, shown_all};

pub(super) const RULE: Rule = Rule {
    id: "N002",
    name: "no-secrets",
    severity: Severity::Error,
    proves: "nothing leaks",
    fails: "a name, an attribute, an event or a resource holds a secret that the run was given, or what looks \
            like a token, a private key or a password in an address",
    mend: "treat the secret as known to everyone who can read the trace: replace it, then pass it as \
           a secret of the build instead of as an argument",
    check,
};

/// What was found: its kind and its place.
type Found = (String, String);

fn check(evidence: &Evidence<'_>) -> Outcome {
    let mut findings: BTreeMap<Found, Vec<&Span>> = BTreeMap::new();
    // Thousands of spans share one resource.
    let mut resources: HashMap<*const Resource, Vec<Found>> = HashMap::new();
    let known = &evidence.target.secrets;
    let looks_like = |text: &str| kind_of(text, known);
    for span in evidence.members() {
        let resource = resources
            .entry(Arc::as_ptr(&span.resource))
            .or_insert_with(|| of_resource(&span.resource, known));
        for found in resource {
            findings.entry(found.clone()).or_default().push(span);
        }
        let mut look = |place: &dyn Fn() -> String, text: &str| {
            if let Some(kind) = looks_like(text) {
                findings.entry((kind, place())).or_default().push(span);
            }
        };
        look(&|| "the name".to_owned(), &span.name);
        if let Status::Error(text) = &span.status {
            look(&|| "the status".to_owned(), text);
        }
        each_text(&span.attributes, |key, text| {
            look(&|| format!("attribute `{}`", plain(key, known)), text);
        });
        for event in &span.events {
            look(&|| "an event's name".to_owned(), &event.name);
            each_text(&event.attributes, |key, text| {
                look(&|| format!("event attribute `{}`", plain(key, known)), text);
            });
        }
    }
    Outcome::of(findings.into_iter().map(|((kind, place), mut spans)| {
        spans.dedup_by_key(|span| span.id);
        let number = count(spans.len(), "span holds", "spans hold");
        let finding = Finding::new(format!("{number} {kind} in {place}"))
            .about(spans.iter().copied())
            .expected("none");
        if place == "the name" {
            finding
        } else {
            finding.note("spans", shown_all(&clean(&spans, known)))
        }
    }))
}

/// What kind of secret the text holds, or seems to.
fn kind_of(text: &str, known: &[KnownSecret]) -> Option<String> {
    let mut held = known.iter().filter(|secret| text.contains(&secret.value));
    match held.next() {
        Some(secret) => Some(format!("the secret `{}`", secret.id)),
        None => looks_like(text).map(str::to_owned),
    }
}

fn of_resource(resource: &Resource, known: &[KnownSecret]) -> Vec<Found> {
    let mut found = Vec::new();
    each_text(&resource.attributes, |key, text| {
        if let Some(kind) = kind_of(text, known) {
            found.push((kind, format!("resource `{}`", plain(key, known))));
        }
    });
    found
}

/// Spans whose own name may be told.
fn clean<'a>(spans: &[&'a Span], known: &[KnownSecret]) -> Vec<&'a Span> {
    let mut spans = spans.to_vec();
    spans.retain(|span| kind_of(&span.name, known).is_none());
    spans
}

/// A key of an attribute, unless it looks like a secret itself.
fn plain(key: &str, known: &[KnownSecret]) -> String {
    let key: String = key
        .chars()
        .filter(|c| !crate::verify::finding::steers(*c))
        .take(64)
        .collect();
    match kind_of(&key, known) {
        Some(_) => "…".to_owned(),
        None => key,
    }
}

fn each_text(attributes: &Attributes, mut look: impl FnMut(&str, &str)) {
    for (key, value) in attributes {
        if let Value::Str(text) = value {
            look(key, text);
        }
    }
}

/// How tokens of known makers begin, and how many characters of their alphabet follow at least.
const TOKENS: [(&str, usize); 12] = [
    ("ghp_", 36),
    ("gho_", 36),
    ("ghs_", 36),
    ("ghr_", 36),
    ("github_pat_", 40),
    ("glpat-", 20),
    ("AKIA", 16),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("npm_", 36),
    ("dckr_pat_", 20),
    ("sk_live_", 20),
];

/// What is in every text that could hold a secret: one search instead of one for each of them.
static SUSPECT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let starts = TOKENS.iter().map(|(start, _)| *start);
    let all: Vec<String> = starts
        .chain(["-----BEGIN ", "://"])
        .map(regex::escape)
        .collect();
    Regex::new(&all.join("|")).ok()
});

/// What kind of secret the text seems to hold.
fn looks_like(text: &str) -> Option<&'static str> {
    if SUSPECT.as_ref().is_some_and(|any| !any.is_match(text)) {
        return None;
    }
    let token_char = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    for (start, least) in TOKENS {
        for (at, _) in text.match_indices(start) {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let rest = text.get(at + start.len()..).unwrap_or_default();
            let long = rest.chars().take_while(token_char).count() >= least;
            if long && !before.is_some_and(|c| c.is_ascii_alphanumeric()) {
                return Some("what looks like a token");
            }
        }
    }
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    text.split("://")
        .skip(1)
        .any(has_password)
        .then_some("a password in an address")
}

/// Does what follows `://` begin with `user:password@`?
fn has_password(rest: &str) -> bool {
    let authority: &str = rest
        .split(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\''))
        .next()
        .unwrap_or_default();
    let Some((user_info, _)) = authority.rsplit_once('@') else {
        return false;
    };
    let Some((_, password)) = user_info.split_once(':') else {
        return false;
    };
    // Struck out, or the name of a variable.
    let hidden = password.is_empty()
        || password.starts_with('$')
        || password.contains("xxxx")
        || password.chars().all(|c| c == '*' || c == '…')
        || matches!(password, "***" | "REDACTED" | "redacted");
    !hidden
}

#[cfg(test)]
mod tests {
    use super::looks_like;

    #[test]
    fn secrets_are_told_from_what_only_resembles_them() {
        for text in [
            "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
            "x=AKIAIOSFODNN7EXAMPLE",
            "git clone https://user:hunter2@example.com/x.git",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
        ] {
            assert!(looks_like(text).is_some(), "{text}");
        }
        for text in [
            "ghp_short",
            "https://example.com/a:b@c",
            "https://user@example.com/",
            "https://user:***@example.com/",
            "https://user:$TOKEN@example.com/",
            "docker-image://docker.io/library/alpine:3@sha256:0123",
            "sha256:aaaa",
        ] {
            assert_eq!(looks_like(text), None, "{text}");
        }
    }
}
