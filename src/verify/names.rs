//! Names that `dagger` and the daemon give to spans, attributes and events.
//!
//! They are part of what users see; `docs/design.md` lists them.

/// Our service name, unless the run says otherwise.
pub(super) const SERVICE: &str = "dagger";
/// The daemon's service name.
pub(super) const DAEMON: &str = "buildkitd";

/// The span of connecting to the engine.
pub(super) const CONNECT: &str = "connect";
/// The engine's version, on `connect`; empty if it does not say.
pub(super) const VERSION: &str = "buildkit.version";
/// The span of one solve.
pub(super) const SOLVE: &str = "solve";
/// The call of a solve.
pub(super) const SOLVE_CALL: &str = "moby.buildkit.v1.Control/Solve";
/// How the calls begin by which we have the daemon do parts of a solve.
pub(super) const BRIDGE_CALL: &str = "moby.buildkit.v1.frontend.LLBBridge/";
/// How the daemon's own calls begin.
pub(super) const DAEMON_CALL: &str = "moby.buildkit.";
/// How the names of command spans begin.
pub(super) const COMMAND: &str = "dagger ";

/// How the names of a plan's actions begin.
pub(super) const ACTION: &str = "action ";

/// Digest of the step that a span stands for.
pub(super) const VERTEX: &str = "vertex";
/// Marks a step that another build had begun before this one.
pub(super) const SHARED: &str = "buildkit.shared";
/// Was the step's result in the cache?
pub(super) const CACHED: &str = "buildkit.cached";
/// The build's id at the daemon, on the span of a solve.
pub(super) const REF: &str = "buildkit.ref";
/// Counts on the span of a solve.
pub(super) const STEPS_TOTAL: &str = "buildkit.steps.total";
/// Steps whose result was in the cache.
pub(super) const STEPS_CACHED: &str = "buildkit.steps.cached";
/// Steps that failed.
pub(super) const STEPS_FAILED: &str = "buildkit.steps.failed";
/// The process's exit code, on the root.
pub(super) const EXIT_CODE: &str = "dagger.exit_code";
/// Ended because something else did; no failure.
pub(super) const CANCELLED: &str = "dagger.cancelled";
/// Failed, and was tried again.
pub(super) const RETRIED: &str = "dagger.retried";
/// How a call ended, as gRPC numbers it.
pub(super) const GRPC_STATUS: &str = "rpc.grpc.status_code";

/// Event: one line that a step wrote.
pub(super) const OUTPUT: &str = "output";
/// Event: an error, by OpenTelemetry's conventions.
pub(super) const EXCEPTION: &str = "exception";

/// Is it a call of the daemon back to its client: for files, logins, secrets?
pub(super) fn is_callback(name: &str) -> bool {
    CALLBACKS.iter().any(|begin| name.starts_with(begin))
}

/// How the names of the daemon's calls to its client begin.
const CALLBACKS: [&str; 4] = [
    "moby.filesync.",
    "moby.buildkit.secrets.",
    "moby.sshforward.",
    "moby.upload.",
];
