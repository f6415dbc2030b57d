//! `--build-context`: directories, OCI layouts and remote sources by name.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use tracing::warn;

use super::{BuildFlags, pair, usage};
use crate::cli::context::is_url;
use crate::cli::diagnostic::Failure;
use crate::cli::env::Env;
use crate::session::{LocalDir, Services, Store};
use crate::solve::layout;

impl BuildFlags {
    /// The named contexts: attributes, and the directories and layouts that they need.
    pub(super) fn contexts(
        &self,
        env: &Env,
        services: &Services,
        attrs: &mut BTreeMap<String, String>,
    ) -> Result<Vec<LocalDir>, Failure> {
        let mut locals = Vec::new();
        for text in &self.contexts {
            let (name, source) = pair("--build-context", text, '=', "NAME=SOURCE")?;
            let key = format!("context:{name}");
            if let Some(layout) = source.strip_prefix("oci-layout://") {
                attrs.insert(key, oci_layout(text, layout, env, services)?);
            } else if is_remote(source) {
                attrs.insert(key, source.to_owned());
            } else {
                let root = env.cwd.join(source);
                match root.canonicalize() {
                    Ok(root) if root.is_dir() => {
                        // These two are the build's own.
                        let local = match name {
                            "context" | "dockerfile" => format!("_{name}"),
                            _ => name.to_owned(),
                        };
                        attrs.insert(key, format!("local:{local}"));
                        locals.push(LocalDir { name: local, root });
                    }
                    _ if self.force => warn!(name, "the context is no directory: it is left out"),
                    _ => {
                        return Err(usage(
                            format!(
                                "--build-context `{text}`: `{}` is no directory",
                                root.display()
                            ),
                            "name a directory, or begin with docker-image://, oci-layout:// or https://",
                        ));
                    }
                }
            }
        }
        Ok(locals)
    }
}

/// Is this a source that the daemon fetches by itself?
fn is_remote(source: &str) -> bool {
    let named = ["docker-image://", "input:"];
    is_url(source) || named.iter().any(|scheme| source.starts_with(scheme))
}

/// The attribute for `DIR[:TAG][@DIGEST]`, whose blobs are served from then on.
fn oci_layout(text: &str, source: &str, env: &Env, services: &Services) -> Result<String, Failure> {
    let (path, digest) = match source.split_once('@') {
        Some((path, digest)) => (path, Some(digest.to_owned())),
        None => (source, None),
    };
    let (path, tag) = path.rsplit_once(':').unwrap_or((path, "latest"));
    let root = env.cwd.join(path);
    let found = match digest {
        Some(digest) => Ok(Some(digest)),
        None => layout::digest_of(&root, tag),
    };
    let digest = match found {
        Ok(Some(digest)) => digest,
        Ok(None) => {
            return Err(usage(
                format!("--build-context `{text}`: the layout has no image `{tag}`"),
                "name one of the layout's index.json: `oci-layout://DIR:TAG`",
            ));
        }
        Err(error) => {
            return Err(usage(
                format!(
                    "--build-context `{text}`: cannot read {}: {error}",
                    root.join("index.json").display()
                ),
                "name the directory of an OCI layout",
            ));
        }
    };
    // The same for the same directory, so that the daemon knows it again.
    let hash = format!("{:x}", Sha256::digest(root.as_os_str().as_encoded_bytes()));
    let store = format!("dagger-{}", hash.get(..16).unwrap_or_default());
    let id = format!("oci:{store}");
    services.add_store(
        &id,
        Store {
            root,
            writable: false,
        },
    );
    Ok(format!("oci-layout://{store}:{tag}@{digest}"))
}
