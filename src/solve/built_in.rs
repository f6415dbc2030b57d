//! What Docker's built-in BuildKit lacks, said when a build asks for it.

use super::request::Solve;
use crate::buildkit::BuildFailure;

/// Its address.
const ADDRESS: &str = "docker://";

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
