//! The flags of a Dockerfile's build, as buildx names them; what they mean for the solve and the session.

mod attrs;
mod beside_a_plan;
mod caches;
mod contexts;
mod secrets;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::diagnostic::Failure;
use super::env::Env;
use super::export_flag::{self, Exports};
use super::fields::suggest;
use super::policy_file;
use crate::session::{DockerConfig, LocalDir, Services};
use crate::solve::{CacheEntry, DockerfileOptions, Export};

/// What BuildKit may be allowed beyond the usual.
const ENTITLEMENTS: [&str; 4] = [
    "network.host",
    "security.insecure",
    "device",
    "network.none",
];

/// Flags of a build.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Build (of a Dockerfile)")]
pub(super) struct BuildFlags {
    /// The stage to build [default: the last]
    #[arg(short, long, value_name = "STAGE")]
    pub(super) target: Option<String>,

    /// Set a build argument; without a value it is taken from the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub(super) build_args: Vec<String>,

    /// Another source that the Dockerfile refers to by name: a directory, docker-image://, oci-layout://, https://, a git URL
    #[arg(long = "build-context", value_name = "NAME=SOURCE")]
    contexts: Vec<String>,

    /// A secret for steps: id=ID and src=FILE, env=VAR or cmd=COMMAND
    #[arg(long = "secret", value_name = "FIELDS")]
    secrets: Vec<String>,

    /// An ssh agent for steps: `default` for ours, ID=SOCKET, or ID=KEY[,KEY]
    #[arg(long = "ssh", value_name = "ID[=PATH]")]
    ssh: Vec<String>,

    /// A label of the image
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,

    /// A host that steps know
    #[arg(long = "add-host", value_name = "HOST:IP")]
    hosts: Vec<String>,

    /// The network of steps
    #[arg(long, value_name = "default|host|none")]
    network: Option<String>,

    /// Size of /dev/shm, e.g. 64m
    #[arg(long, value_name = "BYTES")]
    shm_size: Option<String>,

    /// Limits of steps, e.g. nofile=1024:2048
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<String>,

    /// The control group that steps run under
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,

    /// Build for these platforms, e.g. linux/amd64,linux/arm64
    #[arg(long, value_delimiter = ',', value_name = "OS/ARCH")]
    pub(super) platform: Vec<String>,

    /// Run every step again, or those of some stages (of a plan: of some actions)
    #[arg(long, value_delimiter = ',', num_args = 0..=1, require_equals = true, value_name = "STAGE")]
    pub(super) no_cache: Option<Vec<String>>,

    /// Run the steps of these stages again
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "STAGE",
        conflicts_with = "no_cache"
    )]
    no_cache_filter: Vec<String>,

    /// Look for newer base images
    #[arg(long)]
    pull: bool,

    /// Allow steps more: network.host, security.insecure
    #[arg(long, value_delimiter = ',', value_name = "ENTITLEMENT")]
    allow: Vec<String>,

    /// Attest what is in the image: true, false, or generator=IMAGE
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "FIELDS")]
    sbom: Option<String>,

    /// Attest how it was built: true, false, or mode=min|max
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "FIELDS")]
    provenance: Option<String>,

    /// An attestation: type=sbom|provenance and its fields
    #[arg(long = "attest", value_name = "FIELDS")]
    attests: Vec<String>,

    /// A cache to read: IMAGE, or type=registry|local|inline|gha|s3|azblob and its fields
    #[arg(long, value_name = "CACHE")]
    cache_from: Vec<String>,

    /// A cache to write, in the same words
    #[arg(long, value_name = "CACHE")]
    cache_to: Vec<String>,

    /// Where the result goes: local:DIR, tar:FILE, none, or type=image|registry|local|tar|oci|docker and its fields
    #[arg(short, long, value_name = "OUTPUT")]
    pub(super) output: Vec<String>,

    /// Push the image
    #[arg(long)]
    push: bool,

    /// Load the image into the Docker engine
    #[arg(long)]
    load: bool,

    /// A name of the image
    #[arg(long = "tag", value_name = "NAME")]
    tags: Vec<String>,

    /// Rules about the sources that may be used (JSON)
    #[arg(long, value_name = "FILE")]
    source_policy_file: Option<PathBuf>,

    /// Build even if a secret, an agent or a directory that is named here is not there
    #[arg(short, long)]
    force: bool,
}

/// What the flags ask for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) options: DockerfileOptions,
    pub(super) locals: Vec<LocalDir>,
    pub(super) exports: Vec<Export>,
    pub(super) cache_from: Vec<CacheEntry>,
    pub(super) cache_to: Vec<CacheEntry>,
    pub(super) entitlements: Vec<String>,
    pub(super) source_policy: Option<crate::proto::control::sourcepolicy::Policy>,
    pub(super) services: Services,
}

impl BuildFlags {
    /// What the flags ask for, checked as far as it can be without an engine.
    pub(super) fn read(&self, env: &Env) -> Result<Asked, Failure> {
        let services = Services::new(docker_config(env));
        let mut attrs = self.plain_attrs()?;
        let locals = self.contexts(env, &services, &mut attrs)?;
        self.attests(&mut attrs)?;
        self.secrets(env, &services)?;
        self.ssh(env, &services)?;
        for name in &self.allow {
            if !ENTITLEMENTS.contains(&name.split('=').next().unwrap_or_default()) {
                return Err(Failure::Usage {
                    message: format!("--allow `{name}` is nothing that can be allowed"),
                    help: suggest(name, &ENTITLEMENTS),
                });
            }
        }
        let exports = Exports {
            outputs: &self.output,
            push: self.push,
            load: self.load,
            tags: &self.tags,
        };
        let policy = self.source_policy_file.as_ref();
        let (cache_from, cache_to) = self.caches(env)?;
        Ok(Asked {
            options: DockerfileOptions {
                target: self.target.clone(),
                build_args: self.build_args(env)?,
                platforms: self.platform.clone(),
                no_cache: self.no_cache(),
                scope: None,
                attrs,
            },
            locals,
            exports: export_flag::parse(&exports, &env.cwd, env.stdout_is_terminal)?,
            cache_from,
            cache_to,
            entitlements: self.allow.clone(),
            source_policy: policy
                .map(|path| policy_file::read(&env.cwd.join(path)))
                .transpose()?,
            services,
        })
    }

    /// Is to be built even if something that is named is not there?
    pub(super) fn is_forced(&self) -> bool {
        self.force
    }

    fn no_cache(&self) -> Option<Vec<String>> {
        if self.no_cache_filter.is_empty() {
            self.no_cache.clone()
        } else {
            Some(self.no_cache_filter.clone())
        }
    }

    fn build_args(&self, env: &Env) -> Result<BTreeMap<String, String>, Failure> {
        let mut build_args = BTreeMap::new();
        for text in &self.build_args {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                // As docker does: a name alone passes the variable on, if it is set.
                None => (text.as_str(), (env.var)(text)),
            };
            if name.is_empty() {
                let message = format!("--build-arg `{text}` has no name");
                return Err(Failure::Usage {
                    message,
                    help: "write `--build-arg NAME=VALUE`".into(),
                });
            }
            build_args.extend(value.map(|value| (name.to_owned(), value)));
        }
        Ok(build_args)
    }
}

/// Where Docker keeps its configuration.
pub(super) fn docker_config(env: &Env) -> DockerConfig {
    let dir = env.get("DOCKER_CONFIG").map(PathBuf::from);
    DockerConfig {
        dir: dir.or_else(|| Some(PathBuf::from(env.get("HOME")?).join(".docker"))),
    }
}

fn pair<'a>(
    flag: &str,
    text: &'a str,
    between: char,
    grammar: &str,
) -> Result<(&'a str, &'a str), Failure> {
    text.split_once(between)
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
        .ok_or_else(|| {
            usage(
                format!("{flag} `{text}` cannot be read"),
                &format!("write `{grammar}`"),
            )
        })
}

fn usage(message: String, help: &str) -> Failure {
    Failure::Usage {
        message,
        help: help.to_owned(),
    }
}

#[cfg(test)]
mod tests;
