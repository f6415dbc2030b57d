//! Every kind of span that `dagger` makes: its name, what it hangs under, what it carries.
//!
//! The one table of them: rule N001 reads the names, `docs/spans.md` is made from it, and a test holds
//! it against what the code opens. The daemon's own spans are the daemon's.

mod page;
#[cfg(test)]
mod tests;

use crate::trace::model::Span;

pub use page::{list, markdown};

/// One kind of span.
pub struct KnownSpan {
    /// The callsite's name in the code.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "holds the table against the code")
    )]
    opened_as: &'static str,
    /// How people find it.
    shown: &'static str,
    names: Names,
    kind: &'static str,
    parent: &'static str,
    stands_for: &'static str,
    /// Attributes: key, meaning.
    attributes: &'static [(&'static str, &'static str)],
    /// Events: name, meaning.
    events: &'static [(&'static str, &'static str)],
}

/// How a span of a kind is told.
enum Names {
    Is(&'static str),
    Begins(&'static [&'static str]),
    /// Its name is the user's or the daemon's; it has this attribute.
    Carries(&'static str),
}

/// Is the span, one of our service's, of a kind that is documented?
pub(super) fn is_known(span: &Span) -> bool {
    SPANS.iter().any(|known| match known.names {
        Names::Is(name) => span.name == name,
        Names::Begins(starts) => starts.iter().any(|start| span.name.starts_with(start)),
        Names::Carries(key) => span.attribute(key).is_some(),
    })
}

const CANCELLED: (&str, &str) = (
    "dagger.cancelled",
    "ended because something else did; no failure",
);
const RETRIED: (&str, &str) = (
    "dagger.retried",
    "failed, and something else was tried in its place",
);
const RPC_SYSTEM: (&str, &str) = ("rpc.system", "`grpc`");
const RPC_SERVICE: (&str, &str) = ("rpc.service", "e.g. `moby.buildkit.v1.Control`");
const RPC_METHOD: (&str, &str) = ("rpc.method", "e.g. `Solve`");
const RPC_STATUS: (&str, &str) = ("rpc.grpc.status_code", "how the call ended; 0 is well");
const COMMAND_LINE: (&str, &str) = (
    "process.command_line",
    "program and arguments, secrets struck out",
);
const PID: (&str, &str) = ("process.pid", "its process");
const EXIT: (&str, &str) = ("process.exit.code", "how it ended");

/// In the order in which a build opens them.
static SPANS: &[KnownSpan] = &[
    KnownSpan {
        opened_as: "command",
        shown: "`dagger up`, `dagger trace exec`, ...",
        names: Names::Begins(&["dagger "]),
        kind: "internal",
        parent: "`TRACEPARENT` if set, else none",
        stands_for: "the command, from its begin to its end",
        attributes: &[
            ("dagger.version", "of this program"),
            ("dagger.command", "e.g. `up`"),
            ("dagger.args", "its arguments, secrets struck out"),
            ("dagger.exit_code", "what it exits with"),
            CANCELLED,
        ],
        events: &[],
    },
    KnownSpan {
        opened_as: "load plan",
        shown: "`load plan`",
        names: Names::Is("load plan"),
        kind: "internal",
        parent: "the command",
        stands_for: "reading the plan file and choosing what to run",
        attributes: &[
            ("dagger.plan", "the file"),
            ("dagger.plan.actions", "how many are run"),
        ],
        events: &[],
    },
    KnownSpan {
        opened_as: "connect",
        shown: "`connect`",
        names: Names::Is("connect"),
        kind: "internal",
        parent: "the command",
        stands_for: "finding the engine and waiting until it answers",
        attributes: &[
            ("buildkit.address", "where"),
            ("buildkit.scheme", "e.g. `unix`, `docker-container`"),
            (
                "buildkit.chosen_by",
                "`BUILDKIT_HOST`, or which step of the default order",
            ),
            (
                "buildkit.version",
                "what the daemon says it is; empty if it does not",
            ),
            ("buildkit.worker", "the worker's id"),
        ],
        events: &[
            ("attempt", "one try to reach it"),
            (
                "candidate",
                "one step of the default order that was passed over, and why",
            ),
        ],
    },
    KnownSpan {
        opened_as: "process",
        shown: "`docker container`, `ssh`, ...",
        names: Names::Carries("process.command_line"),
        kind: "internal",
        parent: "`connect`; the one that carries the connection: the command",
        stands_for: "a helper process, named by its program and verb",
        attributes: &[
            COMMAND_LINE,
            PID,
            EXIT,
            ("process.killed", "it was ended by us"),
            (
                "dagger.carries",
                "it carries the connection: it is open as long as that, and nothing waits for it",
            ),
            RETRIED,
        ],
        events: &[],
    },
    KnownSpan {
        opened_as: "action",
        shown: "`action NAME`",
        names: Names::Begins(&["action "]),
        kind: "internal",
        parent: "the command",
        stands_for: "an action of the plan",
        attributes: &[
            ("dagger.action", "its name"),
            (
                "dagger.action.kind",
                "what it is in the plan, e.g. `build`, `run`",
            ),
            (
                "dagger.action.needs",
                "the actions that it waits for, by commas",
            ),
            ("dagger.plan.source", "file, line and column"),
            CANCELLED,
        ],
        events: &[],
    },
    KnownSpan {
        opened_as: "solve",
        shown: "`solve`",
        names: Names::Is("solve"),
        kind: "internal",
        parent: "its action; without a plan, the command",
        stands_for: "one build by the daemon",
        attributes: &[
            (
                "buildkit.ref",
                "the build's name at the daemon, as in `dagger history`",
            ),
            (
                "buildkit.frontend",
                "who makes steps of it; empty: it is sent as LLB",
            ),
            ("buildkit.exporters", "types of its results, by commas"),
            ("buildkit.steps.total", "how many steps it had"),
            ("buildkit.steps.cached", "of them, from the cache"),
            ("buildkit.steps.failed", "of them, failed"),
            (
                "dagger.actions",
                "how many actions are made in this build, each with a `solve` of its own under its `action`",
            ),
            CANCELLED,
        ],
        events: &[],
    },
    KnownSpan {
        opened_as: "rpc",
        shown: "`moby.buildkit.v1.Control/Solve` and every other call",
        names: Names::Begins(&["moby.", "grpc.", "containerd."]),
        kind: "client",
        parent: "what makes the call: `connect`, `solve`, ...",
        stands_for: "a call to the daemon; its context travels with it",
        attributes: &[
            RPC_SYSTEM,
            RPC_SERVICE,
            RPC_METHOD,
            RPC_STATUS,
            ("server.address", "the engine's address"),
            CANCELLED,
            RETRIED,
        ],
        events: &[],
    },
    KnownSpan {
        opened_as: "callback",
        shown: "`moby.filesync.v1.FileSync/DiffCopy` and every other call of the daemon",
        names: Names::Begins(&["moby.", "grpc.", "containerd."]),
        kind: "server",
        parent: "the daemon's client span",
        stands_for: "what the daemon asks us for: files, secrets, tokens, agents",
        attributes: &[
            RPC_SYSTEM,
            RPC_SERVICE,
            RPC_METHOD,
            RPC_STATUS,
            ("dagger.dir", "which directory it is about"),
            (
                "dagger.id",
                "which secret, agent or registry it is about; never its value",
            ),
            ("dagger.entries", "files and directories that were told"),
            ("dagger.files", "files whose contents moved"),
            ("dagger.bytes", "bytes of contents that moved"),
        ],
        events: &[],
    },
    KnownSpan {
        opened_as: "vertex",
        shown: "the step's name, e.g. `[build 2/4] RUN make`",
        names: Names::Carries("vertex"),
        kind: "internal",
        parent: "its `solve`",
        stands_for: "a step, with the daemon's times",
        attributes: &[
            ("vertex", "its digest"),
            ("buildkit.cached", "was its result in the cache?"),
            ("buildkit.shared", "another build had begun it"),
            ("dagger.output.dropped", "lines of output that are not kept"),
            CANCELLED,
        ],
        events: &[
            ("output", "a line that it wrote; the last ones are kept"),
            ("warning", "of the frontend or the daemon"),
        ],
    },
    KnownSpan {
        opened_as: "daemon spans",
        shown: "`daemon spans`",
        names: Names::Is("daemon spans"),
        kind: "internal",
        parent: "the command",
        stands_for: "reading the daemon's own spans from its history",
        attributes: &[
            ("dagger.daemon_spans", "how many there are"),
            ("dagger.import", "do we send them to Jaeger?"),
        ],
        events: &[],
    },
    KnownSpan {
        opened_as: "exec",
        shown: "the program's name, or `--name`",
        names: Names::Carries("process.executable.name"),
        kind: "internal",
        parent: "`dagger trace exec`",
        stands_for: "the command that `dagger trace exec` ran",
        attributes: &[
            (
                "process.executable.name",
                "the program, without its directory",
            ),
            COMMAND_LINE,
            PID,
            EXIT,
        ],
        events: &[],
    },
];
