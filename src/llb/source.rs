//! Sources: where file systems come from.

use std::collections::BTreeMap;

use super::vertex::{Builder, Platform, State};
use crate::proto::pb;

/// A source, named as the engine names it, with what it is to do.
#[derive(Clone, Debug)]
pub struct Source {
    identifier: String,
    attrs: BTreeMap<String, String>,
    caps: Vec<&'static str>,
}

/// A directory that the client sends.
#[derive(Clone, Debug, Default)]
pub struct Local {
    /// Only what these patterns name; none: everything.
    pub include: Vec<String>,
    /// Not what these patterns name.
    pub exclude: Vec<String>,
    /// Also what symbolic links at these paths point to.
    pub follow: Vec<String>,
    /// Under which key the engine keeps it between builds; empty: its name.
    pub shared_key: String,
}

/// What a download is to be.
#[derive(Clone, Debug, Default)]
pub struct Http {
    /// `sha256:` and hex digits.
    pub checksum: Option<String>,
    /// The file's name; absent: from the address.
    pub filename: Option<String>,
    /// Its mode.
    pub mode: Option<u32>,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Source {
    fn new(identifier: String, caps: Vec<&'static str>) -> Self {
        Self {
            identifier,
            attrs: BTreeMap::new(),
            caps,
        }
    }

    fn set(&mut self, key: &str, value: impl Into<String>, cap: Option<&'static str>) {
        self.attrs.insert(key.to_owned(), value.into());
        self.caps.extend(cap);
    }

    /// An image by its full name, e.g. `docker.io/library/alpine:3.20`.
    pub fn image(reference: &str) -> Self {
        Self::new(format!("docker-image://{reference}"), vec!["source.image"])
    }

    /// As [`image`](Self::image), looked up in its registry even if it is here.
    pub fn image_pulled(reference: &str) -> Self {
        let mut source = Self::image(reference);
        source.set(
            "image.resolvemode",
            "pull",
            Some("source.image.resolvemode"),
        );
        source
    }

    /// The directory that the session serves as `name`.
    ///
    /// `unique` keeps builds apart that send other directories under the same name: the same value
    /// within one run makes its solves share what was sent.
    pub fn local(name: &str, local: &Local, unique: &str) -> Self {
        let mut source = Self::new(
            format!("local://{name}"),
            vec!["source.local", "source.local.unique"],
        );
        for (key, patterns, cap) in [
            (
                "local.includepattern",
                &local.include,
                "source.local.includepatterns",
            ),
            (
                "local.followpaths",
                &local.follow,
                "source.local.followpaths",
            ),
            (
                "local.excludepatterns",
                &local.exclude,
                "source.local.excludepatterns",
            ),
        ] {
            if !patterns.is_empty() {
                source.set(key, json(patterns), Some(cap));
            }
        }
        if !local.shared_key.is_empty() {
            source.set(
                "local.sharedkeyhint",
                &local.shared_key,
                Some("source.local.sharedkeyhint"),
            );
        }
        source.set("local.unique", unique, None);
        source
    }

    /// A repository that is fetched over HTTP, at `fragment`: `REF[:DIRECTORY]`, or nothing.
    pub fn git(url: &str, fragment: &str, keep_git_dir: bool, token: Option<&str>) -> Self {
        let place = url.split_once("://").map_or(url, |(_, place)| place);
        // A user belongs to the address, not to what is fetched.
        let (host, path) = place.split_once('/').unwrap_or((place, ""));
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let (reference, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
        let directory = super::path::clean(&format!("/{directory}"));
        let directory = directory.trim_start_matches('/');
        let mut identifier = format!("git://{host}{}", super::path::clean(&format!("/{path}")));
        if !(reference.is_empty() && directory.is_empty()) {
            identifier.push('#');
            identifier.push_str(reference);
        }
        if !directory.is_empty() {
            identifier.push(':');
            identifier.push_str(directory);
        }
        let mut source = Self::new(identifier, vec!["source.git"]);
        if keep_git_dir {
            source.set("git.keepgitdir", "true", Some("source.git.keepgitdir"));
        }
        source.set("git.fullurl", url, Some("source.git.fullurl"));
        let cap = token.map(|_| "source.git.httpauth");
        source.set(
            "git.authtokensecret",
            token.unwrap_or("GIT_AUTH_TOKEN"),
            cap,
        );
        source.set("git.authheadersecret", "GIT_AUTH_HEADER", None);
        source
    }

    /// The secret that holds the header a repository is asked for with.
    #[must_use]
    pub fn with_header(mut self, secret: &str) -> Self {
        self.set("git.authheadersecret", secret, Some("source.git.httpauth"));
        self
    }

    /// The agent that a repository is fetched with over ssh, and the keys of its host, if they are known.
    #[must_use]
    pub fn with_ssh(mut self, agent: &str, known_hosts: Option<&str>) -> Self {
        if let Some(hosts) = known_hosts {
            self.set("git.knownsshhosts", hosts, Some("source.git.knownsshhosts"));
        }
        self.set("git.mountsshsock", agent, Some("source.git.mountsshsock"));
        self
    }

    /// A file from an `http://` or `https://` address.
    pub fn http(url: &str, http: &Http) -> Self {
        let mut source = Self::new(url.to_owned(), vec!["source.http"]);
        if let Some(checksum) = &http.checksum {
            source.set("http.checksum", checksum, Some("source.http.checksum"));
        }
        if let Some(filename) = &http.filename {
            source.set("http.filename", filename, None);
        }
        if let Some(mode) = http.mode {
            source.set("http.perm", format!("0{mode:o}"), Some("source.http.perm"));
        }
        // Spelt so in the engine.
        let cap = "soruce.http.uidgid";
        for (key, id) in [("http.uid", http.uid), ("http.gid", http.gid)] {
            if id != 0 {
                source.set(key, id.to_string(), Some(cap));
            }
        }
        source
    }

    /// An image of an OCI layout that the session serves as `store`.
    pub fn oci_layout(reference: &str, store: &str) -> Self {
        let mut source = Self::new(
            format!("oci-layout://{reference}"),
            vec!["source.ocilayout"],
        );
        source.set("oci.store", store, None);
        source
    }

    /// The source in a graph.
    pub fn state(self, platform: &Platform) -> State {
        let mut builder = Builder::default();
        for cap in &self.caps {
            builder.cap(cap);
        }
        let specific = ["docker-image://", "oci-layout://"]
            .iter()
            .any(|scheme| self.identifier.starts_with(scheme));
        let op = pb::SourceOp {
            identifier: self.identifier,
            attrs: self.attrs,
        };
        let platform = specific.then_some(platform);
        builder.finish(pb::op::Op::Source(op), platform, Vec::new())
    }
}

/// A list as Go writes it, which also escapes what HTML would read.
fn json(list: &[String]) -> String {
    serde_json::Value::from(list.to_vec())
        .to_string()
        .replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
