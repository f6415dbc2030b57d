//! `--cache-from` and `--cache-to`.

use std::collections::BTreeMap;

use super::BuildFlags;
use crate::cli::diagnostic::Failure;
use crate::cli::env::Env;
use crate::cli::fields::{Fields, suggest};
use crate::solve::CacheEntry;

/// Types of caches.
const CACHES: [&str; 6] = ["registry", "local", "inline", "gha", "s3", "azblob"];

impl BuildFlags {
    /// The caches that are read, and those that are written.
    pub(in crate::cli) fn caches(
        &self,
        env: &Env,
    ) -> Result<(Vec<CacheEntry>, Vec<CacheEntry>), Failure> {
        Ok((
            caches("--cache-from", "src", &self.cache_from, env)?,
            caches("--cache-to", "dest", &self.cache_to, env)?,
        ))
    }
}

/// Caches; paths become absolute, and what GitHub's runner sets is filled in.
fn caches(
    flag: &str,
    place: &str,
    values: &[String],
    env: &Env,
) -> Result<Vec<CacheEntry>, Failure> {
    let mut entries = Vec::new();
    for value in values {
        if !value.contains('=') {
            // An image alone, or several.
            entries.extend(value.split(',').map(|image| CacheEntry {
                kind: "registry".into(),
                attrs: BTreeMap::from([("ref".to_owned(), image.to_owned())]),
            }));
            continue;
        }
        let mut fields = Fields::read(flag, value, "")?;
        let kind = fields.need("type")?;
        if !CACHES.contains(&kind.as_str()) {
            return Err(Failure::Usage {
                message: format!("{flag}: unknown type `{kind}`"),
                help: suggest(&kind, &CACHES),
            });
        }
        let (must, known): (_, &[&str]) = match &*kind {
            "registry" => (
                Some("ref"),
                &[
                    "ref",
                    "image-manifest",
                    "oci-mediatypes",
                    "registry.insecure",
                ],
            ),
            "local" => (
                Some(place),
                &[
                    "src",
                    "dest",
                    "tag",
                    "digest",
                    "reset",
                    "image-manifest",
                    "oci-mediatypes",
                ],
            ),
            "gha" => (
                None,
                &[
                    "scope",
                    "url",
                    "url_v2",
                    "token",
                    "version",
                    "ghtoken",
                    "repository",
                    "timeout",
                ],
            ),
            "s3" => (
                Some("bucket"),
                &[
                    "bucket",
                    "region",
                    "prefix",
                    "name",
                    "blobs_prefix",
                    "manifests_prefix",
                    "endpoint_url",
                    "access_key_id",
                    "secret_access_key",
                    "session_token",
                    "use_path_style",
                    "touch_refresh",
                    "upload_parallelism",
                ],
            ),
            "azblob" => (
                None,
                &[
                    "account_url",
                    "account_name",
                    "container",
                    "secret_access_key",
                    "name",
                    "prefix",
                    "blobs_prefix",
                    "manifests_prefix",
                ],
            ),
            _ => (None, &[]),
        };
        let must = must
            .map(|key| Ok::<_, Failure>((key, fields.need(key)?)))
            .transpose()?;
        let always = [
            "mode",
            "ignore-error",
            "compression",
            "compression-level",
            "force-compression",
        ];
        let known: Vec<_> = known.iter().chain(&always).copied().collect();
        let mut attrs = fields.rest(&known, &[])?;
        if let Some((key, value)) = must {
            let value = match key {
                "src" | "dest" => env.cwd.join(value).display().to_string(),
                _ => value,
            };
            attrs.insert(key.into(), value);
        }
        if kind == "gha" {
            for (key, variable) in [
                ("url", "ACTIONS_CACHE_URL"),
                ("url_v2", "ACTIONS_RESULTS_URL"),
                ("token", "ACTIONS_RUNTIME_TOKEN"),
            ] {
                if let Some(value) = env.get(variable) {
                    attrs.entry(key.into()).or_insert(value);
                }
            }
        }
        entries.push(CacheEntry { kind, attrs });
    }
    Ok(entries)
}
