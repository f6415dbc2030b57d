//! Docker's built-in BuildKit: what it does in its own way, and what it lacks.

use super::request::Solve;
use crate::buildkit::BuildFailure;
use crate::session::Output;

/// Its address.
const ADDRESS: &str = "docker://";

/// Its exporter into the engine that it is in.
const INTO_DOCKER: &str = "moby";

/// Lets it keep the image where others would send it for `docker load`.
pub(super) fn adapt(solve: &mut Solve, address: &str) {
    if !address.starts_with(ADDRESS) {
        return;
    }
    for export in &mut solve.exports {
        let loaded = matches!(&export.to, Some(Output::Pipe(pipe)) if pipe.is_docker());
        if export.kind == "docker" && loaded {
            export.kind = INTO_DOCKER.to_owned();
            export.attrs.remove("tar");
            export.to = None;
        }
    }
}

/// Adds to a failure on Docker's built-in BuildKit what that lacks of what the build asks for. Whether
/// it does depends on Docker's version and image store, so that only its refusal tells.
pub(super) fn explain(failure: &mut BuildFailure, address: &str, solve: &Solve) {
    if !address.starts_with(ADDRESS) {
        return;
    }
    let refused = ["exporter", "not supported", "unknown cache", "cache export"]
        .iter()
        .any(|words| failure.message.contains(words));
    let exports = solve.exports.iter().map(|export| export.kind.as_str());
    let exports = exports
        .filter(|kind| !matches!(*kind, "local" | "tar"))
        .map(|kind| format!("the output `{kind}`"));
    let caches = solve.cache_to.iter().map(|cache| cache.kind.as_str());
    let caches = caches
        .filter(|kind| *kind != "inline")
        .map(|kind| format!("a cache of type `{kind}`"));
    let asked: Vec<_> = exports.chain(caches).collect();
    if refused && !asked.is_empty() {
        failure.message.push_str(&format!(
            "; Docker's built-in BuildKit may lack {}: unset BUILDKIT_HOST, or `dagger engine start`, \
             for an engine that has it",
            asked.join(" and ")
        ));
    }
}
