//! From what the user wants to a `SolveRequest` and the services that go with it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::plan::Dockerfile;
use crate::proto::control::{CacheOptions, Exporter, SolveRequest};
use crate::session::{LocalDir, Output, Services};

/// Where a result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Export {
    /// Files in a directory.
    Local(PathBuf),
    /// One tar file.
    Tar(PathBuf),
}

impl Export {
    /// BuildKit's name of the exporter.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Local(_) => "local",
            Self::Tar(_) => "tar",
        }
    }
}

/// What the Dockerfile frontend is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerfileOptions {
    /// The stage to build; absent: the last.
    pub target: Option<String>,
    /// Build arguments by name.
    pub build_args: BTreeMap<String, String>,
    /// Platforms as `os/arch[/variant]`; none: the worker's own.
    pub platforms: Vec<String>,
    /// Run every step again.
    pub no_cache: bool,
}

impl DockerfileOptions {
    /// The request to build `dockerfile`, with the session's services that it needs.
    pub(super) fn request(
        &self,
        dockerfile: &Dockerfile,
        exports: &[Export],
        ids: &super::run::Ids,
    ) -> (SolveRequest, Services) {
        let mut attrs = BTreeMap::from([("filename".to_owned(), dockerfile.filename.clone())]);
        if let Some(target) = &self.target {
            attrs.insert("target".into(), target.clone());
        }
        if !self.platforms.is_empty() {
            attrs.insert("platform".into(), self.platforms.join(","));
        }
        if self.no_cache {
            attrs.insert("no-cache".into(), String::new());
        }
        attrs.extend(
            self.build_args
                .iter()
                .map(|(name, value)| (format!("build-arg:{name}"), value.clone())),
        );
        let exporters: Vec<_> = exports
            .iter()
            .map(|export| Exporter {
                r#type: export.kind().into(),
                attrs: BTreeMap::new(),
            })
            .collect();
        // Engines from before there could be several look here alone.
        let first = exporters.first().cloned().unwrap_or_default();
        let request = SolveRequest {
            r#ref: ids.build.clone(),
            session: ids.session.clone(),
            frontend: "dockerfile.v0".into(),
            frontend_attrs: attrs,
            cache: Some(CacheOptions::default()),
            exporter_deprecated: first.r#type,
            exporter_attrs_deprecated: first.attrs,
            exporters,
            ..SolveRequest::default()
        };
        let outputs = exports.iter().map(|export| match export {
            Export::Local(path) => Output::Dir(path.clone()),
            Export::Tar(path) => Output::Tar(path.clone()),
        });
        let services = Services {
            locals: vec![
                LocalDir {
                    name: "context".into(),
                    root: dockerfile.context.clone(),
                },
                LocalDir {
                    name: "dockerfile".into(),
                    root: dockerfile.directory.clone(),
                },
            ],
            outputs: outputs.collect(),
        };
        (request, services)
    }
}
