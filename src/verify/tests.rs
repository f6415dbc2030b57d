//! Each rule against every whole trace in which one thing was broken: its id has to fire, and no
//! unrelated one.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::testing::{Whole, failed_build, fired, good_build, span, wholes};
use super::*;
use crate::trace::critical_path::critical_path;
use crate::trace::jaeger::Answer;
use crate::trace::model::{Kind, Span, SpanId, Status, TraceId, Value};
use crate::trace::report::{BuildEnd, BuildReport};

/// A change that breaks one thing, and the rules that may and must tell.
struct Mutation {
    breaks: &'static str,
    tells: &'static [&'static str],
    /// `None`: the trace has nothing to break in this way.
    apply: fn(&mut Whole) -> Option<()>,
}

fn ours(whole: &Whole) -> impl Fn(&Span) -> bool + use<> {
    let service = whole.record.service.clone();
    let ids: BTreeSet<String> = whole.record.export.spans.iter().cloned().collect();
    move |span| span.service() == service && ids.contains(&span.id.to_string())
}

fn find_ours(whole: &Whole, fits: impl Fn(&Span) -> bool) -> Option<SpanId> {
    let ours = ours(whole);
    whole.find(|span| ours(span) && fits(span))
}

fn root(whole: &Whole) -> SpanId {
    whole.record.root.parse().unwrap()
}

fn call(whole: &Whole, method: &str) -> Option<SpanId> {
    find_ours(whole, |span| {
        span.kind == Kind::Client && span.name.ends_with(method)
    })
}

fn callback(whole: &Whole) -> Option<SpanId> {
    find_ours(whole, |span| span.kind == Kind::Server)
}

fn daemon_side(whole: &Whole, call: SpanId) -> Option<SpanId> {
    whole.find(|span| span.parent == Some(call) && span.kind == Kind::Server)
}

fn step(whole: &Whole) -> Option<SpanId> {
    find_ours(whole, |span| span.text("vertex").is_some())
}

/// Was a solve given up? Of its steps the rest may be missing then.
fn gave_up(whole: &Whole) -> bool {
    let cancelled = |span: &Span| span.flag("dagger.cancelled") == Some(true);
    whole
        .find(|span| span.name == "solve" && cancelled(span))
        .is_some()
}

/// What the daemon's history said of the first build.
fn recorded(whole: &mut Whole) -> Option<&mut BuildReport> {
    whole.record.export.daemon.as_mut()?.builds.first_mut()
}

fn set(span: &mut Span, key: &str, value: Value) {
    span.attributes.retain(|(name, _)| name != key);
    span.attributes.push((key.into(), value));
}

const MUTATIONS: &[Mutation] = &[
    Mutation {
        breaks: "the trace was evicted",
        tells: &["T001"],
        apply: |whole| {
            whole.spans.clear();
            Some(())
        },
    },
    Mutation {
        breaks: "the root was lost",
        tells: &["T002", "T003", "T007"],
        apply: |whole| {
            let root = root(whole);
            whole.remove(root);
            Some(())
        },
    },
    Mutation {
        breaks: "a span of ours lost its context and is a second root",
        tells: &["T002"],
        apply: |whole| {
            let ours = call(whole, "/ListWorkers")?;
            whole.get(ours).parent = whole.record.remote_parent.as_ref()?.parse().ok();
            Some(())
        },
    },
    Mutation {
        breaks: "a foreign span is a second root",
        tells: &["T002"],
        apply: |whole| {
            // Under a remote parent other roots are other people's.
            if whole.record.remote_parent.is_some() {
                return None;
            }
            let mut other = span(0xf00).of("stray").done();
            other.trace = whole.spans[0].trace;
            whole.spans.push(other);
            Some(())
        },
    },
    Mutation {
        breaks: "the daemon's span above a callback was lost",
        tells: &["T003"],
        apply: |whole| {
            let callback = callback(whole)?;
            let daemon = whole.get(callback).parent?;
            whole.remove(daemon);
            Some(())
        },
    },
    Mutation {
        breaks: "an id stands for two spans",
        tells: &["T004"],
        apply: |whole| {
            let mut copy = whole.get(root(whole)).clone();
            copy.name = "something else".into();
            whole.spans.push(copy);
            Some(())
        },
    },
    Mutation {
        breaks: "every batch was sent twice",
        tells: &["T004"],
        apply: |whole| {
            let copies = whole.spans.clone();
            whole.spans.extend(copies);
            Some(())
        },
    },
    Mutation {
        breaks: "a callback's span was lost on the way",
        tells: &["T007"],
        apply: |whole| {
            let leaf = callback(whole)?;
            whole.remove(leaf);
            Some(())
        },
    },
    Mutation {
        breaks: "a call's span was lost on the way",
        tells: &["T003", "T007"],
        apply: |whole| {
            let call = call(whole, "/ListWorkers")?;
            whole.remove(call);
            Some(())
        },
    },
    Mutation {
        breaks: "the export report lacks a span",
        tells: &["T007"],
        apply: |whole| {
            let callback = callback(whole)?.to_string();
            whole.record.export.spans.retain(|id| *id != callback);
            Some(())
        },
    },
    Mutation {
        breaks: "the exporter's queue was full",
        tells: &["T008"],
        apply: |whole| {
            let dropped = whole.record.export.spans[0].clone();
            whole.record.export.dropped.push(dropped);
            Some(())
        },
    },
    Mutation {
        breaks: "a span was not ended",
        tells: &["T008"],
        apply: |whole| {
            let unfinished = whole.record.export.spans[0].clone();
            whole.record.export.unfinished.push(unfinished);
            Some(())
        },
    },
    Mutation {
        breaks: "the collector refused the last batch, and it is in the trace nevertheless",
        tells: &["T008"],
        apply: |whole| {
            let lost = whole.record.export.spans[0].clone();
            whole.record.export.routes[0].lost.push(lost);
            Some(())
        },
    },
    Mutation {
        breaks: "the root was closed early",
        tells: &["T011"],
        apply: |whole| {
            let root = whole.get(root(whole));
            root.end_ns = root.start_ns.midpoint(root.end_ns);
            Some(())
        },
    },
    Mutation {
        breaks: "a span of ours begins before the root",
        tells: &["T011"],
        apply: |whole| {
            let start = whole.get(root(whole)).start_ns;
            let call = call(whole, "/ListWorkers")?;
            whole.get(call).start_ns = start - 3_000;
            Some(())
        },
    },
    Mutation {
        breaks: "a step's times are a second off",
        tells: &["T011"],
        apply: |whole| {
            let step = step(whole)?;
            whole.get(step).start_ns -= 1_000_000_000;
            Some(())
        },
    },
    Mutation {
        breaks: "the daemon began a trace of its own for a call",
        tells: &["P001"],
        apply: |whole| {
            let call = call(whole, "/ListWorkers")?;
            let server = daemon_side(whole, call)?;
            whole.remove(server);
            Some(())
        },
    },
    Mutation {
        breaks: "a callback did not read the daemon's context",
        tells: &["P002"],
        apply: |whole| {
            let callback = callback(whole)?;
            whole.get(callback).parent = call(whole, "/Session");
            Some(())
        },
    },
    Mutation {
        breaks: "the daemon exports nowhere",
        tells: &["P003"],
        apply: |whole| {
            // Callbacks would hang in the air, which T003 tells.
            let ours = ours(whole);
            callback(whole).is_none().then_some(())?;
            whole.spans.retain(|span| ours(span));
            Some(())
        },
    },
    Mutation {
        breaks: "the daemon exports nowhere, and called back",
        tells: &["P003", "T003"],
        apply: |whole| {
            callback(whole)?;
            whole.spans.retain(|span| span.service() != "buildkitd");
            Some(())
        },
    },
    Mutation {
        breaks: "a call's error was swallowed",
        tells: &["E001"],
        apply: |whole| {
            let call = call(whole, "/ListWorkers")?;
            whole.get(call).status = Status::Error("unavailable".into());
            Some(())
        },
    },
    Mutation {
        breaks: "a callback's error was swallowed, though the daemon passed it on",
        tells: &["E001"],
        apply: |whole| {
            let mut at = Some(callback(whole)?);
            let ours = ours(whole);
            while let Some(id) = at {
                let span = whole.get(id);
                if ours(span) && span.kind == Kind::Client {
                    // One that failed passed an error on.
                    (!span.is_error()).then_some(())?;
                    break;
                }
                span.status = Status::Error("no such file".into());
                at = span.parent;
            }
            Some(())
        },
    },
    Mutation {
        breaks: "the solve did not pass its error on",
        tells: &["E001"],
        apply: |whole| {
            let solve = find_ours(whole, |span| span.name == "solve" && span.is_error())?;
            whole.get(solve).status = Status::Unset;
            Some(())
        },
    },
    Mutation {
        breaks: "the exit code says the contrary",
        tells: &["E002"],
        apply: |whole| {
            let root = root(whole);
            let code = whole.get(root).int("dagger.exit_code")?;
            let other = i64::from(code == 0);
            set(whole.get(root), "dagger.exit_code", Value::Int(other));
            whole.record.exit_code = i32::try_from(other).unwrap();
            Some(())
        },
    },
    Mutation {
        breaks: "the record has another exit code",
        tells: &["E002"],
        apply: |whole| {
            whole.get(root(whole)).int("dagger.exit_code")?;
            whole.record.exit_code += 2;
            Some(())
        },
    },
    Mutation {
        breaks: "the root has no exit code",
        tells: &["E002"],
        apply: |whole| {
            let root = whole.get(root(whole));
            root.int("dagger.exit_code")?;
            root.attributes.retain(|(key, _)| key != "dagger.exit_code");
            Some(())
        },
    },
    Mutation {
        breaks: "a failed step says nothing",
        tells: &["E003"],
        apply: |whole| {
            let step = find_ours(whole, |span| {
                span.is_error() && span.text("vertex").is_some()
            })?;
            whole.get(step).events.clear();
            whole.get(step).status = Status::Error(String::new());
            Some(())
        },
    },
    Mutation {
        breaks: "a failed call says nothing",
        tells: &["E003"],
        apply: |whole| {
            let call = find_ours(whole, |span| span.is_error() && span.kind == Kind::Client)?;
            whole.get(call).status = Status::Error(" ".into());
            Some(())
        },
    },
    Mutation {
        breaks: "a step does not say whether it was cached",
        tells: &["C001"],
        apply: |whole| {
            let step = find_ours(whole, |span| span.flag("buildkit.cached") == Some(false))?;
            let step = whole.get(step);
            step.attributes.retain(|(key, _)| key != "buildkit.cached");
            Some(())
        },
    },
    Mutation {
        breaks: "cached is text",
        tells: &["C001"],
        apply: |whole| {
            let step = find_ours(whole, |span| span.flag("buildkit.cached") == Some(false))?;
            let text = Value::Str("false".into());
            set(whole.get(step), "buildkit.cached", text);
            Some(())
        },
    },
    Mutation {
        breaks: "the totals count a step twice",
        tells: &["C002"],
        apply: |whole| {
            let solve = find_ours(whole, |span| span.name == "solve")?;
            let total = whole.get(solve).int("buildkit.steps.total")?;
            let more = Value::Int(total + 1);
            set(whole.get(solve), "buildkit.steps.total", more);
            Some(())
        },
    },
    Mutation {
        breaks: "a step was lost on the way",
        tells: &["C002", "P005", "T007"],
        apply: |whole| {
            (!gave_up(whole)).then_some(())?;
            let step = step(whole)?;
            whole.remove(step);
            Some(())
        },
    },
    Mutation {
        breaks: "two spans are each other's parent",
        tells: &["T005"],
        apply: |whole| {
            if whole.record.remote_parent.is_some() {
                return None;
            }
            let call = call(whole, "/Status")?;
            let server = daemon_side(whole, call)?;
            let start = whole.get(server).clone();
            let mut other = start.clone();
            other.id = SpanId(0xf01);
            other.parent = Some(SpanId(0xf02));
            let mut third = start;
            third.id = SpanId(0xf02);
            third.parent = Some(SpanId(0xf01));
            third.attributes.clear();
            other.attributes.clear();
            whole.spans.extend([other, third]);
            Some(())
        },
    },
    Mutation {
        breaks: "the answer holds another trace",
        tells: &["T006"],
        apply: |whole| {
            whole.foreign = 3;
            Some(())
        },
    },
    Mutation {
        breaks: "a span was exported before it ended",
        tells: &["T009"],
        apply: |whole| {
            let call = call(whole, "/ListWorkers")?;
            set(whole.get(call), "unfinished", Value::Bool(true));
            Some(())
        },
    },
    Mutation {
        breaks: "a call ends after the span it was made in",
        tells: &["T010"],
        apply: |whole| {
            let info = call(whole, "/Info").filter(|_| whole.name.starts_with("built"))?;
            whole.get(info).end_ns += 50_000_000;
            Some(())
        },
    },
    Mutation {
        breaks: "the daemon's clock is an hour ahead",
        tells: &["T012"],
        apply: |whole| {
            let ours = ours(whole);
            // Callbacks would be outside their parents, which T010 tells.
            callback(whole).is_none().then_some(())?;
            for span in &mut whole.spans {
                if !ours(span) && span.service() == "buildkitd" {
                    span.start_ns += 3_600_000_000_000;
                    span.end_ns += 3_600_000_000_000;
                }
            }
            Some(())
        },
    },
    Mutation {
        breaks: "a span of the daemon has milliseconds for microseconds",
        tells: &["T013"],
        apply: |whole| {
            let leaf = whole.find(|span| span.name == "create history record")?;
            whole.get(leaf).start_ns /= 1_000;
            whole.get(leaf).end_ns /= 1_000;
            Some(())
        },
    },
    Mutation {
        breaks: "the daemon's span of a step was lost",
        tells: &["P004"],
        apply: |whole| {
            step(whole)?;
            let leaf = whole.find(|span| {
                span.service() == "buildkitd" && span.name.contains("RUN") && !span.is_error()
                    || span.name == "[b 1/1] RUN sleep 9"
            })?;
            let digest = whole.get(leaf).text("vertex")?.to_owned();
            whole.find(|span| {
                span.service() == "dagger"
                    && span.text("vertex") == Some(&digest)
                    && span.flag("dagger.cancelled").is_none()
            })?;
            whole.remove(leaf);
            Some(())
        },
    },
    Mutation {
        breaks: "the daemon ran a step that was not recorded",
        tells: &["P005"],
        apply: |whole| {
            (!gave_up(whole)).then_some(())?;
            step(whole)?;
            let leaf = whole.find(|span| {
                span.service() == "buildkitd"
                    && span.text("vertex").is_some()
                    && !span.is_error()
                    && !span.name.starts_with("cache request: ")
                    && !span.name.starts_with("load cache: ")
            })?;
            let mut more = whole.get(leaf).clone();
            more.id = SpanId(0xf03);
            set(&mut more, "vertex", Value::Str("sha256:f".into()));
            whole.spans.push(more);
            Some(())
        },
    },
    Mutation {
        breaks: "an exporter forgot its service's name",
        tells: &["P006"],
        apply: |whole| {
            let leaf = whole.find(|span| span.name == "create history record")?;
            let resource = Arc::make_mut(&mut whole.get(leaf).resource);
            resource.service = "unknown_service:x".into();
            Some(())
        },
    },
    Mutation {
        breaks: "our host's name was lost",
        tells: &["P007"],
        apply: |whole| {
            find_ours(whole, |span| span.name == "connect")?;
            let root = root(whole);
            let resource = Arc::make_mut(&mut whole.get(root).resource);
            resource.attributes.retain(|(key, _)| key != "host.name");
            Some(())
        },
    },
    Mutation {
        breaks: "a cancelled step counts as failed",
        tells: &["C002", "E004"],
        apply: |whole| {
            let step = find_ours(whole, |span| {
                span.flag("dagger.cancelled") == Some(true) && span.text("vertex").is_some()
            })?;
            whole.get(step).status = Status::Error("context canceled".into());
            Some(())
        },
    },
    Mutation {
        breaks: "a span was renamed without notice",
        tells: &["N001"],
        apply: |whole| {
            let connect = find_ours(whole, |span| span.name == "connect")?;
            whole.get(connect).name = "dial".into();
            Some(())
        },
    },
    Mutation {
        breaks: "an argument with a password is in the trace",
        tells: &["N002"],
        apply: |whole| {
            let root = root(whole);
            let value = Value::Str("--arg=https://user:hunter2@example.com/x".into());
            set(whole.get(root), "dagger.args", value);
            Some(())
        },
    },
    Mutation {
        breaks: "a span is too large for a packet",
        tells: &["N003"],
        apply: |whole| {
            let root = root(whole);
            set(whole.get(root), "text", Value::Str("x".repeat(70_000)));
            Some(())
        },
    },
    Mutation {
        breaks: "the critical path loses a part",
        tells: &["D001"],
        apply: |whole| {
            whole.lay_out = |spans, root| {
                let mut path = critical_path(spans, root);
                path.remove(path.len() / 2);
                path
            };
            Some(())
        },
    },
    Mutation {
        breaks: "the critical path names a span that was not at work",
        tells: &["D001"],
        apply: |whole| {
            whole.lay_out = |spans, root| {
                let mut path = critical_path(spans, root);
                let (first, last) = (path[0].span, path.len() - 1);
                let elsewhere = spans.iter().find(|span| {
                    let part = path[last];
                    span.id != first && span.end_ns < part.end_ns
                });
                path[last].span = elsewhere.unwrap().id;
                path
            };
            Some(())
        },
    },
    Mutation {
        breaks: "the daemon idled for minutes within the solve",
        tells: &["D002"],
        apply: |whole| {
            let mut at = daemon_side(whole, call(whole, "/Solve")?);
            let root = root(whole);
            while let Some(id) = at {
                whole.get(id).end_ns += 120_000_000_000;
                at = whole.get(id).parent.filter(|_| id != root);
            }
            Some(())
        },
    },
    Mutation {
        breaks: "the run idled for minutes",
        tells: &["D002"],
        apply: |whole| {
            let root = root(whole);
            whole.get(root).end_ns += 120_000_000_000;
            Some(())
        },
    },
    Mutation {
        breaks: "a step that the daemon makes no span of was never told of",
        tells: &["D003"],
        apply: |whole| {
            (!gave_up(whole)).then_some(())?;
            let build = recorded(whole)?.build.clone();
            let of_build =
                |solve: &Span| solve.name == "solve" && solve.text("buildkit.ref") == Some(&build);
            // Of steps that were cached fewer may have been told of.
            let step = find_ours(whole, |span| {
                let mut all = whole.spans.iter();
                let of_daemon = |other: &Span| {
                    other.service() == "buildkitd" && other.text("vertex") == span.text("vertex")
                };
                span.flag("buildkit.cached") == Some(false)
                    && all.any(|solve| of_build(solve) && span.parent == Some(solve.id))
                    && !whole.spans.iter().any(of_daemon)
            })?;
            let solve = whole.get(step).parent?;
            whole.remove(step);
            let step = step.to_string();
            whole.record.export.spans.retain(|id| *id != step);
            let solve = whole.get(solve);
            let total = solve.int("buildkit.steps.total")?;
            set(solve, "buildkit.steps.total", Value::Int(total - 1));
            Some(())
        },
    },
    Mutation {
        breaks: "the history has a step more that ran",
        tells: &["D003"],
        apply: |whole| {
            (!gave_up(whole)).then_some(())?;
            let build = recorded(whole)?;
            build.completed += 1;
            build.total += 1;
            Some(())
        },
    },
    Mutation {
        breaks: "the history has fewer steps than were told of",
        tells: &["D003"],
        apply: |whole| {
            let build = recorded(whole)?;
            (build.completed > 1).then_some(())?;
            build.total = 1;
            Some(())
        },
    },
    Mutation {
        breaks: "the history has another end of the build",
        tells: &["D003"],
        apply: |whole| {
            let solved = call(whole, "Control/Solve")?;
            let cancelled = whole.get(solved).flag("dagger.cancelled") == Some(true);
            (!cancelled).then_some(())?;
            let build = recorded(whole)?;
            build.end = match build.end {
                BuildEnd::Done => BuildEnd::Failed,
                BuildEnd::Failed | BuildEnd::Cancelled => BuildEnd::Done,
            };
            Some(())
        },
    },
];

#[test]
fn whole_traces_pass() {
    for whole in wholes() {
        assert_eq!(whole.fired(), BTreeSet::new(), "{}", whole.name);
    }
}

#[test]
fn whole_traces_pass_without_a_record() {
    for whole in wholes() {
        let mut target = whole.target();
        target.run = None;
        let fired = fired(&target, &whole.answer());
        let expected: &[_] = if whole.record.remote_parent.is_some() {
            // Two builds of one job cannot be told apart then.
            &["T002"]
        } else if whole.name == "dagger-up-interrupted.json" {
            // Nor can it be known that the daemon's spans were read before all had ended.
            &["T003"]
        } else {
            &[]
        };
        let ids: Vec<_> = fired.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, expected, "{}", whole.name);
    }
}

#[test]
fn each_broken_thing_is_told_by_its_rule_and_no_other() {
    let mut wrong = Vec::new();
    for mutation in MUTATIONS {
        let mut applied = 0;
        for mut whole in wholes() {
            if (mutation.apply)(&mut whole).is_none() {
                continue;
            }
            applied += 1;
            let ids: Vec<_> = whole.fired().into_iter().map(|(id, _)| id).collect();
            if ids != mutation.tells {
                wrong.push(format!("{}: {}: {ids:?}", whole.name, mutation.breaks));
            }
        }
        assert!(applied > 0, "no trace in which {}", mutation.breaks);
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_rule_has_a_mutation() {
    let told: BTreeSet<&str> = MUTATIONS.iter().flat_map(|m| m.tells).copied().collect();
    let rules: BTreeSet<&str> = rules::RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(told, rules);
}

#[test]
fn equal_copies_and_extra_spans_only_warn() {
    for (breaks, warned) in [
        ("every batch was sent twice", "T004"),
        ("the export report lacks a span", "T007"),
    ] {
        let mutation = MUTATIONS.iter().find(|m| m.breaks == breaks).unwrap();
        let mut whole = good_build();
        (mutation.apply)(&mut whole).unwrap();
        assert_eq!(whole.fired(), BTreeSet::from([(warned, Severity::Warn)]));
    }
}

#[test]
fn rule_without_input_says_so() {
    let skipped = |target: &Target, answer: &Answer| -> Vec<&'static str> {
        let outcomes = judge(target, answer, None, Tolerance::default()).outcomes;
        let skipped = outcomes
            .into_iter()
            .filter(|(_, outcome)| matches!(outcome, Outcome::Skipped(_)));
        skipped.map(|(rule, _)| rule.id).collect()
    };
    let whole = good_build();
    assert!(skipped(&whole.target(), &whole.answer()).is_empty());
    let mut target = whole.target();
    target.run = None;
    assert_eq!(skipped(&target, &whole.answer()), ["T007", "T008", "D003"]);
    // A run that exported nowhere has a report, and nothing to hold against it.
    let mut nowhere = good_build();
    nowhere.record.export.routes.clear();
    assert_eq!(skipped(&nowhere.target(), &nowhere.answer()), ["T007"]);
    // A build that never reached a daemon.
    let mut early = good_build();
    early.spans.retain(|span| span.id.0 < 3);
    early.record.export.spans.truncate(2);
    assert_eq!(
        skipped(&early.target(), &early.answer()),
        [
            "T012", "P001", "P002", "P003", "P004", "P005", "C001", "C002", "D003"
        ]
    );
}

#[test]
fn calls_that_nobody_answered_need_no_span_of_the_daemon() {
    for (key, value) in [
        ("dagger.cancelled", Value::Bool(true)),
        ("rpc.grpc.status_code", Value::Int(14)),
    ] {
        let mut whole = good_build();
        let call = call(&whole, "/Session").unwrap();
        set(whole.get(call), key, value);
        let server = daemon_side(&whole, call).unwrap();
        whole.remove(server);
        assert_eq!(whole.fired(), BTreeSet::new());
    }
}

#[test]
fn refused_callback_that_the_daemon_lived_with_is_no_swallowed_error() {
    let mut whole = good_build();
    let callback = callback(&whole).unwrap();
    whole.get(callback).status = Status::Error("not found".into());
    let daemon = whole.get(callback).parent.unwrap();
    whole.get(daemon).status = Status::Error("not found".into());
    assert_eq!(whole.fired(), BTreeSet::new());
}

#[test]
fn what_the_daemon_had_not_ended_is_no_hole_where_only_its_record_tells() {
    let interrupted = || {
        let mut wholes = wholes().into_iter();
        let found = wholes.find(|whole| whole.name == "dagger-up-interrupted.json");
        found.unwrap()
    };
    // Nothing was exported: the trace is that of the local store.
    let mut whole = interrupted();
    whole.record.export.routes.clear();
    whole.record.export.daemon.as_mut().unwrap().imported = false;
    assert_eq!(whole.fired(), BTreeSet::new());
    // Exported by the daemon itself, its spans come when they have ended.
    let mut left = interrupted();
    left.record.export.daemon.as_mut().unwrap().imported = false;
    assert_eq!(left.fired(), BTreeSet::from([("T003", Severity::Error)]));
}

#[test]
fn a_step_that_was_stopped_may_be_unended_too() {
    let mut whole = failed_build();
    let step = whole.find(|span| span.service() == "buildkitd" && span.name.contains("sleep 9"));
    let step = step.unwrap();
    let mut below = whole.get(step).clone();
    (below.id, below.parent) = (SpanId(0xf05), Some(step));
    below.name = "cache request: [b 1/1] RUN sleep 9".into();
    whole.spans.push(below);
    whole.remove(step);
    let told = |whole: &Whole| {
        whole
            .fired()
            .into_iter()
            .map(|(id, _)| id)
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&whole), ["T003"]);
    let daemon = whole.record.export.daemon.as_mut().unwrap();
    daemon.imported = true;
    assert!(told(&whole).is_empty());
    // Nobody stopped it: it was lost.
    let ours = whole
        .find(|span| span.flag("dagger.cancelled") == Some(true))
        .unwrap();
    whole
        .get(ours)
        .attributes
        .retain(|(key, _)| key != "dagger.cancelled");
    assert!(told(&whole).contains(&"T003"));
}

#[test]
fn a_run_that_was_interrupted_before_its_build_needs_no_span_of_the_daemon() {
    let mut whole = good_build();
    whole
        .spans
        .retain(|span| span.service() == "dagger" && span.id.0 < 20);
    whole.record.export.spans = whole.spans.iter().map(|span| span.id.to_string()).collect();
    whole.record.export.daemon = None;
    let told = |whole: &Whole| {
        whole
            .fired()
            .into_iter()
            .map(|(id, _)| id)
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&whole), ["P003"]);
    let root = root(&whole);
    set(whole.get(root), "dagger.cancelled", Value::Bool(true));
    set(whole.get(root), "dagger.exit_code", Value::Int(130));
    whole.get(root).status = Status::Error("interrupted".into());
    whole.record.exit_code = 130;
    assert_eq!(told(&whole), [""; 0]);
}

#[test]
fn orphans_of_one_parent_are_one_finding() {
    let mut whole = good_build();
    for id in 0x100..0x128 {
        whole
            .spans
            .push(span(id).under(0x77).of("buildkitd").done());
    }
    let judged = judge(&whole.target(), &whole.answer(), None, Tolerance::default());
    let orphans = judged.outcomes.iter().find(|(rule, _)| rule.id == "T003");
    let Some((_, Outcome::Checked(findings))) = orphans else {
        panic!("{orphans:?}");
    };
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].spans.len(), 40);
    assert_eq!(
        findings[0].message,
        "40 spans hang under a parent that is not in the trace"
    );
}

#[test]
fn span_lost_by_every_way_is_not_waited_for() {
    let mut whole = failed_build();
    let lost = step(&whole).unwrap();
    whole.remove(lost);
    let mut agent = whole.record.export.routes[0].clone();
    whole.record.export.routes[0].lost.push(lost.to_string());
    let state = |whole: &Whole| completeness::Completeness::of(&whole.target(), &whole.answer());
    assert!(state(&whole).is_whole());
    // The agent may have delivered it.
    agent.lost.clear();
    whole.record.export.routes.push(agent);
    assert!(!state(&whole).is_whole());
}

fn any_span() -> impl Strategy<Value = Span> {
    let name = prop::sample::select(vec![
        "dagger up",
        "solve",
        "moby.buildkit.v1.Control/Solve",
        "moby.filesync.v1.FileSync/DiffCopy",
        "",
    ]);
    let service = prop::sample::select(vec!["dagger", "buildkitd", "ci", ""]);
    let kind = prop::sample::select(vec![Kind::Internal, Kind::Client, Kind::Server]);
    let key = prop::sample::select(vec![
        "vertex",
        "buildkit.cached",
        "dagger.exit_code",
        "dagger.cancelled",
        "buildkit.steps.total",
    ]);
    let value = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        Just(Value::Str("sha256:a".into())),
    ];
    let attributes = prop::collection::vec((key.prop_map(str::to_owned), value), 0..4);
    (
        0u64..12,
        prop::option::of(0u64..14),
        name,
        (service, kind, any::<bool>()),
        any::<(u64, u64)>(),
        attributes,
    )
        .prop_map(
            |(id, parent, name, (service, kind, failed), times, attributes)| {
                let mut span = span(id).named(name).of(service).done();
                span.parent = parent.map(SpanId);
                span.kind = kind;
                (span.start_ns, span.end_ns) = times;
                span.attributes = attributes;
                if failed {
                    span.status = Status::Error(String::new());
                }
                span.resource = Arc::new(span.resource.as_ref().clone());
                span
            },
        )
}

proptest! {
    #[test]
    fn no_trace_makes_a_rule_panic(
        spans in prop::collection::vec(any_span(), 0..24),
        remote in prop::option::of(0u64..14),
        record: bool,
    ) {
        let mut target = Target::of_trace(TraceId(1), None, remote.map(SpanId));
        if record {
            target.run = good_build().target().run;
        }
        let answer = Answer { spans, ..Answer::default() };
        judge(&target, &answer, None, Tolerance::default());
        completeness::Completeness::of(&target, &answer);
    }
}

#[test]
fn tags_that_are_not_of_their_type_are_a_warning() {
    let whole = good_build();
    let mut answer = whole.answer();
    answer.mistyped.push((SpanId(1), "dagger.exit_code".into()));
    let fired = fired(&whole.target(), &answer);
    assert_eq!(fired, BTreeSet::from([("T001", Severity::Warn)]));
}
