//! OCI layouts as the client keeps them: `index.json`, and the local caches that are such layouts.
//!
//! The daemon reads and writes blobs; which of them is meant by a name is written here.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use serde_json::{Value, json};
use tracing::warn;

use super::error::SolveError;
use super::request::Solve;
use crate::session::{Output, Services, Store};

/// The annotation of a tag (OCI image specification, "Pre-Defined Annotation Keys").
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The annotation of a whole name, as containerd has it.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// The digest that `name` has in the layout's `index.json`; `None` if it has none.
///
/// # Errors
/// When there is no `index.json` that can be read.
pub fn digest_of(layout: &Path, name: &str) -> io::Result<Option<String>> {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
    let manifests = index.pointer("/manifests").and_then(Value::as_array);
    let named = |key: &str| {
        let found = manifests.into_iter().flatten().find(|manifest| {
            let names = manifest.get("annotations").and_then(|names| names.get(key));
            names.and_then(Value::as_str) == Some(name)
        });
        found.and_then(|manifest| manifest.get("digest")?.as_str())
    };
    Ok(named(IMAGE_NAME)
        .or_else(|| named(REF_NAME))
        .map(str::to_owned))
}

/// Writes that `tag`, or the whole `name`, is what `descriptor` describes.
fn put(layout: &Path, descriptor: &Value, name: &Name<'_>) -> io::Result<()> {
    fs::create_dir_all(layout)?;
    let path = layout.join("index.json");
    let mut index: Value = match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => json!({}),
        Err(error) => return Err(error),
    };
    let kept = index.get("manifests").and_then(Value::as_array).cloned();
    let mut manifests = kept.unwrap_or_default();
    let annotations = name.annotations();
    manifests.retain(|manifest| {
        let has = |key: &str| {
            manifest
                .get("annotations")
                .and_then(|names| names.get(key)?.as_str())
        };
        has(REF_NAME) != annotations.get(REF_NAME).copied()
            || has(IMAGE_NAME) != annotations.get(IMAGE_NAME).copied()
    });
    let mut entry = descriptor.clone();
    let no_object = || io::Error::new(io::ErrorKind::InvalidData, "no descriptor");
    let fields = entry.as_object_mut().ok_or_else(no_object)?;
    let all = fields.entry("annotations").or_insert_with(|| json!({}));
    for (key, value) in annotations {
        all.as_object_mut()
            .ok_or_else(no_object)?
            .insert(key.into(), value.into());
    }
    manifests.push(entry);
    let fields = index.as_object_mut().ok_or_else(no_object)?;
    fields.entry("schemaVersion").or_insert_with(|| json!(2));
    fields
        .entry("mediaType")
        .or_insert_with(|| json!("application/vnd.oci.image.index.v1+json"));
    fields.insert("manifests".into(), manifests.into());
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    // Whoever reads it meanwhile has the old one or the new one.
    let part = layout.join(format!("index.json.{}.part", std::process::id()));
    let mut file = fs::File::create(&part)?;
    file.write_all(index.to_string().as_bytes())?;
    drop(file);
    fs::rename(&part, &path)
}

/// What a manifest is called.
enum Name<'a> {
    Tag(&'a str),
    Whole(&'a str),
}

impl<'a> Name<'a> {
    fn annotations(&self) -> BTreeMap<&'static str, &'a str> {
        match self {
            Self::Tag(tag) => BTreeMap::from([(REF_NAME, *tag)]),
            Self::Whole(name) => {
                let last = name.rsplit('/').next().unwrap_or(name);
                let tag = last.split_once(':').map_or("latest", |(_, tag)| tag);
                BTreeMap::from([(IMAGE_NAME, *name), (REF_NAME, tag)])
            }
        }
    }
}

/// Shares the local caches of a build, and finds what the ones to be read hold: one that holds nothing
/// yet is left out, as the first build of all has to be.
pub(super) fn prepare(solve: &mut Solve, services: &Services) {
    solve.cache_from.retain_mut(|entry| {
        if entry.kind != "local" {
            return true;
        }
        let src = entry.attrs.get("src").cloned().unwrap_or_default();
        if !entry.attrs.contains_key("digest") {
            let tag = entry.attrs.get("tag").map_or("latest", |tag| tag);
            match digest_of(Path::new(&src), tag) {
                Ok(Some(digest)) => {
                    entry.attrs.insert("digest".into(), digest);
                }
                Ok(None) => {
                    warn!(src, tag, "the cache has no such tag: it is left out");
                    return false;
                }
                Err(error) => {
                    warn!(src, %error, "the cache cannot be read: it is left out");
                    return false;
                }
            }
        }
        let root = PathBuf::from(&src);
        services.add_store(
            &format!("local:{src}"),
            Store {
                root,
                writable: false,
            },
        );
        true
    });
    for entry in solve.cache_to.iter().filter(|entry| entry.kind == "local") {
        let dest = entry.attrs.get("dest").cloned().unwrap_or_default();
        let root = PathBuf::from(&dest);
        services.add_store(
            &format!("local:{dest}"),
            Store {
                root,
                writable: true,
            },
        );
    }
}

/// Writes the names of what the daemon wrote into layouts.
pub(super) fn finish(solve: &Solve, response: &BTreeMap<String, String>) -> Result<(), SolveError> {
    let failed = |path: &Path, source: io::Error| SolveError::Layout {
        path: path.to_owned(),
        source,
    };
    if let Some(text) = response.get("cache.manifest") {
        for entry in solve.cache_to.iter().filter(|entry| entry.kind == "local") {
            let dest = Path::new(entry.attrs.get("dest").map_or("", |dest| dest));
            let tag = entry.attrs.get("tag").map_or("latest", |tag| tag);
            let descriptor = serde_json::from_str(text);
            descriptor
                .map_err(io::Error::from)
                .and_then(|descriptor: Value| put(dest, &descriptor, &Name::Tag(tag)))
                .map_err(|source| failed(dest, source))?;
        }
    }
    let layouts = solve.exports.iter().filter_map(|export| match &export.to {
        Some(Output::Layout(root)) => Some(root),
        _ => None,
    });
    for root in layouts {
        let Some(text) = response.get("containerimage.descriptor") else {
            continue;
        };
        let decoded = base64::engine::general_purpose::STANDARD.decode(text);
        let descriptor: Value = decoded
            .map_err(io::Error::other)
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from))
            .map_err(|source| failed(root, source))?;
        let names = response.get("image.name").filter(|names| !names.is_empty());
        match names {
            None => put(root, &descriptor, &Name::Tag("latest")),
            Some(names) => names
                .split(',')
                .try_for_each(|name| put(root, &descriptor, &Name::Whole(name))),
        }
        .map_err(|source| failed(root, source))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_again_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let put = |digest: &str, name| put(dir.path(), &json!({"digest": digest}), &name).unwrap();
        put("sha256:1", Name::Tag("latest"));
        put("sha256:2", Name::Whole("r.example/x:v1"));
        put("sha256:3", Name::Tag("latest"));
        let of = |name: &str| digest_of(dir.path(), name).unwrap();
        assert_eq!(of("latest").as_deref(), Some("sha256:3"));
        assert_eq!(of("r.example/x:v1").as_deref(), Some("sha256:2"));
        assert_eq!(of("v1").as_deref(), Some("sha256:2"));
        assert_eq!(of("v2"), None);
        let index: Value =
            serde_json::from_slice(&fs::read(dir.path().join("index.json")).unwrap()).unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    }
}
