//! What is solved, and the `SolveRequest` that says it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::buildkit::Part;
use crate::proto::control::sourcepolicy::Policy;
use crate::proto::control::{CacheOptions, CacheOptionsEntry, Exporter, SolveRequest};
use crate::proto::pb::Definition;
use crate::session::{LocalDir, Output};

/// The attribute by which a frontend is told of caches.
const CACHE_IMPORTS: &str = "cache-imports";

/// What is solved.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A frontend makes the graph.
    Frontend {
        /// Its name: `dockerfile.v0`, or `gateway.v0` with the attribute `source`.
        name: String,
        /// Its attributes.
        attrs: BTreeMap<String, String>,
        /// Graphs that it refers to as `input:NAME`.
        inputs: BTreeMap<String, Definition>,
    },
    /// A graph that is there already.
    Definition(Definition),
    /// What is done through the gateway beside the solve, see [`Solve::run_beside`].
    Gateway,
}

/// A build to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Solve {
    /// What to build.
    pub what: What,
    /// The directories that it reads, each under a name that is its own in the session.
    pub locals: Vec<LocalDir>,
    /// Where the result goes; nothing: it stays in the daemon's cache.
    pub exports: Vec<Export>,
    /// Caches that are read.
    pub cache_from: Vec<CacheEntry>,
    /// Caches that are written.
    pub cache_to: Vec<CacheEntry>,
    /// What steps may do beyond the usual: `network.host`, `security.insecure`.
    pub entitlements: Vec<String>,
    /// Which sources may be used, and which others in their place.
    pub source_policy: Option<Policy>,
}

/// Where a result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// BuildKit's name of the exporter: `image`, `local`, `tar`, `oci`, `docker`.
    pub kind: String,
    /// What the exporter is told.
    pub attrs: BTreeMap<String, String>,
    /// Where the daemon sends it; `None`: it stays with the daemon, or goes to a registry.
    pub to: Option<Output>,
}

/// A cache outside the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// Its type: `registry`, `local`, `inline`, `gha`, `s3`, `azblob`.
    pub kind: String,
    /// What the daemon is told of it. May hold credentials: not for spans or texts.
    pub attrs: BTreeMap<String, String>,
}

impl Export {
    /// Files in a directory.
    pub fn local(path: PathBuf) -> Self {
        Self::sent("local", Output::Dir(path))
    }

    /// One tar file.
    pub fn tar(path: PathBuf) -> Self {
        Self::sent("tar", Output::File(path))
    }

    fn sent(kind: &str, to: Output) -> Self {
        Self {
            kind: kind.into(),
            attrs: BTreeMap::new(),
            to: Some(to),
        }
    }
}

impl Solve {
    /// A build with nothing around it.
    pub fn new(what: What) -> Self {
        Self {
            what,
            locals: Vec::new(),
            exports: Vec::new(),
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            entitlements: Vec::new(),
            source_policy: None,
        }
    }

    /// BuildKit's name of what makes the graph.
    pub(super) fn frontend(&self) -> &str {
        match &self.what {
            What::Frontend { name, .. } => name,
            What::Definition(_) => "",
            What::Gateway => "gateway",
        }
    }

    /// The outputs that the session has to take, in the order of the exporters.
    pub(super) fn outputs(&self) -> Vec<Option<Output>> {
        self.exports
            .iter()
            .map(|export| export.to.clone())
            .collect()
    }

    /// The request for build `build` in session `session`.
    pub(super) fn request(&self, build: &str, session: &str) -> SolveRequest {
        let exporters: Vec<_> = self.exports.iter().map(Export::exporter).collect();
        // Engines from before there could be several look here alone.
        let first = exporters.first().cloned().unwrap_or_default();
        let mut request = SolveRequest {
            r#ref: build.to_owned(),
            session: session.to_owned(),
            cache: Some(CacheOptions {
                exports: self.cache_to.iter().map(CacheEntry::entry).collect(),
                imports: self.cache_from.iter().map(CacheEntry::entry).collect(),
            }),
            entitlements: self.entitlements.clone(),
            source_policy: self.source_policy.clone(),
            exporter_deprecated: first.r#type,
            exporter_attrs_deprecated: first.attrs,
            exporters,
            ..SolveRequest::default()
        };
        match &self.what {
            What::Frontend {
                name,
                attrs,
                inputs,
            } => {
                request.frontend.clone_from(name);
                request.frontend_attrs.clone_from(attrs);
                request.frontend_inputs.clone_from(inputs);
                if !self.cache_from.is_empty() {
                    // The frontend imports for the graphs that it makes.
                    request
                        .frontend_attrs
                        .insert(CACHE_IMPORTS.into(), cache_imports(&self.cache_from));
                }
            }
            What::Definition(definition) => request.definition = Some(definition.clone()),
            What::Gateway => {}
        }
        request
    }
}

/// Caches as a frontend is told of them.
fn cache_imports(caches: &[CacheEntry]) -> String {
    let entries = caches
        .iter()
        .map(|entry| serde_json::json!({ "Type": entry.kind, "Attrs": entry.attrs }));
    serde_json::Value::Array(entries.collect()).to_string()
}

impl Part {
    /// Lets it read these caches: its graph, or the graphs that its frontend makes.
    pub(super) fn read(&mut self, caches: &[CacheEntry]) {
        if caches.is_empty() {
            return;
        }
        if self.frontend.is_empty() {
            self.cache_imports = caches.iter().map(CacheEntry::entry).collect();
        } else {
            self.attrs
                .insert(CACHE_IMPORTS.into(), cache_imports(caches));
        }
    }
}

impl Export {
    fn exporter(&self) -> Exporter {
        Exporter {
            r#type: self.kind.clone(),
            attrs: self.attrs.clone(),
        }
    }
}

impl CacheEntry {
    fn entry(&self) -> CacheOptionsEntry {
        CacheOptionsEntry {
            r#type: self.kind.clone(),
            attrs: self.attrs.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frontend_is_told_of_the_caches_too() {
        let mut solve = Solve::new(What::Frontend {
            name: "dockerfile.v0".into(),
            attrs: BTreeMap::new(),
            inputs: BTreeMap::new(),
        });
        solve.cache_from.push(CacheEntry {
            kind: "registry".into(),
            attrs: BTreeMap::from([("ref".to_owned(), "r/x".to_owned())]),
        });
        let request = solve.request("b", "s");
        assert_eq!(
            request.frontend_attrs.get("cache-imports").unwrap(),
            r#"[{"Attrs":{"ref":"r/x"},"Type":"registry"}]"#
        );
        assert_eq!(request.cache.unwrap().imports.len(), 1);
    }

    #[test]
    fn old_engines_find_the_first_exporter_in_its_old_place() {
        let mut solve = Solve::new(What::Gateway);
        solve.exports = vec![Export::local("/o".into()), Export::tar("/t".into())];
        let request = solve.request("b", "s");
        assert_eq!(request.exporter_deprecated, "local");
        assert_eq!(request.exporters.len(), 2);
        assert_eq!(
            (request.frontend, request.definition),
            (String::new(), None)
        );
    }
}
