//! What people can read about the spans; `docs/spans.md` is made from it.

use std::fmt::Write as _;

use super::{KnownSpan, SPANS};

/// What any of our spans may carry beside its own.
const ANY: [(&str, &str); 4] = [
    (
        "dagger.unfinished",
        "the process was killed while it was open",
    ),
    ("dagger.dropped_attributes", "attributes beyond the limit"),
    ("dagger.dropped_events", "events beyond the limit"),
    (
        "dagger.cut",
        "what is missing for it to fit into an agent's datagram",
    ),
];

const HEAD: &str = "\
# Spans

Made by `dagger trace spans --markdown`. Names are stable; rule N001 of [`dagger trace verify`](verify.md)
warns of any other. Attributes follow OpenTelemetry's semantic conventions where one exists, else they are
`dagger.*` or `buildkit.*`.

";

const TAIL: &str = "
A failed span has the status error with a message. A failed step, its `solve`, its action and the command
are errors; steps that were stopped because of it carry `dagger.cancelled` and are not.

The daemon's own spans (service `buildkitd`) keep the names that it gives, and hang under our client spans.
";

/// The list: a line a kind of span.
pub fn list() -> String {
    let mut out = String::new();
    for span in SPANS {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}: {}", span.shown.replace('`', ""), span.stands_for);
    }
    out
}

/// The page of all spans, in Markdown.
pub fn markdown() -> String {
    let mut out = String::from(HEAD);
    out.push_str("| span | kind | parent | stands for |\n|---|---|---|---|\n");
    for span in SPANS {
        let KnownSpan {
            shown,
            kind,
            parent,
            stands_for,
            ..
        } = span;
        let _ = writeln!(out, "| {shown} | {kind} | {parent} | {stands_for} |");
    }
    for span in SPANS {
        let _ = writeln!(out, "\n## {}\n", span.shown);
        table(&mut out, "attribute", span.attributes);
        if !span.events.is_empty() {
            out.push('\n');
            table(&mut out, "event", span.events);
        }
    }
    out.push_str("\n## Any span\n\n");
    table(&mut out, "attribute", &ANY);
    out.push_str(TAIL);
    out
}

fn table(out: &mut String, what: &str, rows: &[(&str, &str)]) {
    let _ = writeln!(out, "| {what} | |\n|---|---|");
    for (key, meaning) in rows {
        let _ = writeln!(out, "| `{key}` | {meaning} |");
    }
}
