//! The flags of a Dockerfile's build, as buildx names them; what they mean for the solve and the session.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use sha2::{Digest, Sha256};
use tracing::warn;

use super::diagnostic::Failure;
use super::env::Env;
use super::export_flag::{self, Exports};
use super::fields::{Fields, boolean, suggest};
use super::{policy_file, sizes};
use crate::session::{DockerConfig, LocalDir, Secret, Services, Ssh, Store};
use crate::solve::{CacheEntry, DockerfileOptions, Export, layout};

/// What BuildKit may be allowed beyond the usual.
const ENTITLEMENTS: [&str; 4] = [
    "network.host",
    "security.insecure",
    "device",
    "network.none",
];

/// Types of caches.
const CACHES: [&str; 6] = ["registry", "local", "inline", "gha", "s3", "azblob"];

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

    /// The caches that are read, and those that are written.
    pub(super) fn caches(&self, env: &Env) -> Result<(Vec<CacheEntry>, Vec<CacheEntry>), Failure> {
        Ok((
            caches("--cache-from", "src", &self.cache_from, env)?,
            caches("--cache-to", "dest", &self.cache_to, env)?,
        ))
    }

    /// A flag that was given and is about a Dockerfile alone, and how a plan says the same, if it can.
    pub(super) fn of_a_dockerfile(&self) -> Option<(&'static str, Option<&'static str>)> {
        let some = Some;
        let all = [
            (
                self.target.is_some(),
                "--target",
                some("`target` of its `build`"),
            ),
            (
                !self.build_args.is_empty(),
                "--build-arg",
                some("`args` of its `build`"),
            ),
            (
                !self.contexts.is_empty(),
                "--build-context",
                some("`contexts` of its `build`"),
            ),
            (
                !self.secrets.is_empty(),
                "--secret",
                some("`secrets` of the plan, and a mount"),
            ),
            (!self.ssh.is_empty(), "--ssh", some("a mount of type `ssh`")),
            (self.network.is_some(), "--network", some("its `network`")),
            (!self.output.is_empty(), "--output", some("its `outputs`")),
            (self.push, "--push", some("`push` of one of its `outputs`")),
            (self.load, "--load", some("one of its `outputs`")),
            (
                !self.tags.is_empty(),
                "--tag",
                some("`image` of one of its `outputs`"),
            ),
            (!self.labels.is_empty(), "--label", None),
            (!self.hosts.is_empty(), "--add-host", None),
            (self.shm_size.is_some(), "--shm-size", None),
            (!self.ulimit.is_empty(), "--ulimit", None),
            (self.cgroup_parent.is_some(), "--cgroup-parent", None),
            (
                !self.no_cache_filter.is_empty(),
                "--no-cache-filter",
                some("`--no-cache=ACTION`"),
            ),
            (self.pull, "--pull", None),
            (!self.allow.is_empty(), "--allow", None),
            (self.sbom.is_some(), "--sbom", None),
            (self.provenance.is_some(), "--provenance", None),
            (!self.attests.is_empty(), "--attest", None),
            (
                self.source_policy_file.is_some(),
                "--source-policy-file",
                None,
            ),
        ];
        let given = all.into_iter().find(|(given, ..)| *given);
        given.map(|(_, flag, instead)| (flag, instead))
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

    /// The flags that are one attribute of the frontend each.
    fn plain_attrs(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut attrs = BTreeMap::new();
        for label in &self.labels {
            let (name, value) = pair("--label", label, '=', "NAME=VALUE")?;
            attrs.insert(format!("label:{name}"), value.to_owned());
        }
        let hosts = self.hosts.iter().map(|host| {
            let (name, ip) = host
                .split_once('=')
                .map_or_else(|| pair("--add-host", host, ':', "HOST:IP"), Ok)?;
            let plain = ip.trim_start_matches('[').trim_end_matches(']');
            if plain.parse::<std::net::IpAddr>().is_err() {
                return Err(usage(
                    format!("--add-host `{host}`: `{ip}` is no address"),
                    "write `HOST:IP`",
                ));
            }
            Ok(format!("{name}={plain}"))
        });
        let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
        if !hosts.is_empty() {
            attrs.insert("add-hosts".into(), hosts.join(","));
        }
        match self.network.as_deref() {
            None | Some("default" | "sandbox") => {}
            Some(mode @ ("host" | "none")) => {
                attrs.insert("force-network-mode".into(), mode.into());
            }
            Some(other) => {
                return Err(Failure::Usage {
                    message: format!("--network `{other}` is no network of steps"),
                    help: suggest(other, &["default", "host", "none"]),
                });
            }
        }
        if let Some(size) = &self.shm_size {
            let bytes = sizes::bytes(size).ok_or_else(|| {
                usage(
                    format!("--shm-size `{size}` is no size"),
                    "write bytes, or a number with b, k, m or g",
                )
            })?;
            attrs.insert("shm-size".into(), bytes.to_string());
        }
        let limits = self.ulimit.iter().map(|limit| {
            let wrong = || {
                usage(
                    format!("--ulimit `{limit}` is no limit"),
                    "write `NAME=SOFT[:HARD]`",
                )
            };
            let (name, values) = limit.split_once('=').ok_or_else(wrong)?;
            let (soft, hard) = values.split_once(':').unwrap_or((values, values));
            let number = |text: &str| text.parse::<i64>().is_ok();
            if name.is_empty() || !number(soft) || !number(hard) {
                return Err(wrong());
            }
            Ok(format!("{name}={soft}:{hard}"))
        });
        let limits = limits.collect::<Result<Vec<_>, _>>()?;
        if !limits.is_empty() {
            attrs.insert("ulimit".into(), limits.join(","));
        }
        if let Some(parent) = &self.cgroup_parent {
            attrs.insert("cgroup-parent".into(), parent.clone());
        }
        if self.pull {
            attrs.insert("image-resolve-mode".into(), "pull".into());
        }
        if self.platform.len() > 1 {
            attrs.insert("multi-platform".into(), "true".into());
        }
        Ok(attrs)
    }

    /// The named contexts: attributes, and the directories and layouts that they need.
    fn contexts(
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

    fn attests(&self, attrs: &mut BTreeMap<String, String>) -> Result<(), Failure> {
        let short = |kind: &str, value: &Option<String>| {
            value.as_ref().map(|value| match boolean(value) {
                Some(true) => format!("type={kind}"),
                Some(false) => format!("type={kind},disabled=true"),
                None => format!("type={kind},{value}"),
            })
        };
        let all = self
            .attests
            .iter()
            .cloned()
            .chain(short("sbom", &self.sbom))
            .chain(short("provenance", &self.provenance));
        for text in all {
            let mut fields = Fields::read("--attest", &text, "type")?;
            let kind = fields.need("type")?;
            let known: &[&str] = match &*kind {
                "sbom" => &["generator"],
                "provenance" => &[
                    "mode",
                    "builder-id",
                    "filename",
                    "reproducible",
                    "inline-only",
                    "version",
                ],
                other => {
                    return Err(Failure::Usage {
                        message: format!("--attest `{text}`: unknown type `{other}`"),
                        help: suggest(other, &["sbom", "provenance"]),
                    });
                }
            };
            if fields.flag("disabled")? == Some(true) {
                attrs.remove(&format!("attest:{kind}"));
                continue;
            }
            let rest = fields.rest(known, &["generator-"])?;
            let value: Vec<_> = rest.iter().map(|(key, value)| quoted(key, value)).collect();
            attrs.insert(format!("attest:{kind}"), value.join(","));
        }
        Ok(())
    }

    fn secrets(&self, env: &Env, services: &Services) -> Result<(), Failure> {
        for text in &self.secrets {
            let mut fields = Fields::read("--secret", text, "")?;
            let kind = fields.take("type");
            let id = fields.need("id")?;
            let file = fields.take("src").or_else(|| fields.take("source"));
            let (variable, command) = (fields.take("env"), fields.take("cmd"));
            let given = [&file, &variable, &command]
                .iter()
                .filter(|field| field.is_some())
                .count();
            if given > 1 {
                return Err(fields.wrong("src, env and cmd exclude each other"));
            }
            let absent = fields.wrong(&match (&file, &variable) {
                (None, Some(name)) => format!("the variable `{name}` is not set"),
                (Some(path), _) => format!("there is no file `{path}`"),
                (None, None) => format!("neither a variable nor a file is called `{id}`"),
            });
            fields.rest(&["id", "src", "source", "env", "cmd", "type"], &[])?;
            // As buildx: `type=env` makes `src` the variable's name.
            let (file, variable) = match kind.as_deref() {
                Some("env") => (None, variable.or(file)),
                _ => (file, variable),
            };
            let value = |name: &str| (env.var)(name).map(|value| Secret::Value(Bytes::from(value)));
            let path = |path: &str| {
                let path = env.cwd.join(path);
                path.is_file().then_some(Secret::File(path))
            };
            let secret = match (&file, &variable, &command) {
                (_, _, Some(command)) => Some(Secret::Command(command.clone())),
                (_, Some(name), _) => value(name),
                (Some(file), _, _) => path(file),
                (None, None, None) => value(&id).or_else(|| path(&id)),
            };
            match secret {
                Some(secret) => services.add_secret(&id, secret),
                None if self.force => warn!(id, "the secret is not there: it is left out"),
                None => return Err(absent),
            }
        }
        Ok(())
    }

    fn ssh(&self, env: &Env, services: &Services) -> Result<(), Failure> {
        for text in &self.ssh {
            let (id, paths) = match text.split_once('=') {
                Some((id, paths)) => (
                    id,
                    paths.split(',').map(|path| env.cwd.join(path)).collect(),
                ),
                None => (text.as_str(), Vec::new()),
            };
            let agent = || env.get("SSH_AUTH_SOCK").map(PathBuf::from);
            let wrong = |what: String| {
                usage(
                    format!("--ssh `{text}`: {what}"),
                    "write `default` with SSH_AUTH_SOCK set, `ID=SOCKET`, or `ID=KEY[,KEY]`",
                )
            };
            let found = match paths.as_slice() {
                [] => agent()
                    .map(Ssh::agent)
                    .ok_or_else(|| wrong("SSH_AUTH_SOCK is not set".into())),
                all => match all.iter().find(|path| !path.exists()) {
                    Some(missing) => Err(wrong(format!("there is no `{}`", missing.display()))),
                    None => Ok(match all {
                        [one] if is_socket(one) => Ssh::agent(one.clone()),
                        keys => Ssh::keys(keys.to_vec()),
                    }),
                },
            };
            match found {
                Ok(ssh) => services.add_ssh(if id.is_empty() { "default" } else { id }, ssh),
                Err(error) if self.force => warn!(%error, "it is left out"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Where Docker keeps its configuration.
pub(super) fn docker_config(env: &Env) -> DockerConfig {
    let dir = env.get("DOCKER_CONFIG").map(PathBuf::from);
    DockerConfig {
        dir: dir.or_else(|| Some(PathBuf::from(env.get("HOME")?).join(".docker"))),
    }
}

/// Is this a source that the daemon fetches by itself?
fn is_remote(source: &str) -> bool {
    let schemes = [
        "docker-image://",
        "http://",
        "https://",
        "git://",
        "ssh://",
        "input:",
    ];
    schemes.iter().any(|scheme| source.starts_with(scheme))
        || source.starts_with("git@")
        || source.starts_with("github.com/")
}

fn is_socket(path: &std::path::Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.metadata()
        .is_ok_and(|meta| meta.file_type().is_socket())
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

/// A field as CSV has it.
fn quoted(key: &str, value: &str) -> String {
    let field = format!("{key}={value}");
    if field.contains([',', '"']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: BuildFlags,
    }

    fn env(dir: &std::path::Path) -> Env {
        Env {
            var: Box::new(|key| (key == "SET").then(|| "hunter2".to_owned())),
            program: None,
            cwd: dir.into(),
            stderr_is_terminal: false,
            stdout_is_terminal: false,
            terminal_size: || None,
        }
    }

    fn read(args: &[&str]) -> Result<Asked, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        std::fs::write(dir.path().join("f"), "x").unwrap();
        let line = Line::try_parse_from(["x"].iter().chain(args)).map_err(|e| e.to_string())?;
        line.flags
            .read(&env(dir.path()))
            .map_err(|failure| format!("{failure}; {}", failure.help().unwrap_or_default()))
    }

    #[test]
    fn flags_become_the_frontends_attributes() {
        let asked = read(&[
            "--label=a=b",
            "--add-host=h:127.0.0.1",
            "--add-host=i=::1",
            "--network=none",
            "--shm-size=1k",
            "--ulimit=nofile=1:2",
            "--cgroup-parent=g",
            "--pull",
            "--sbom",
            "--provenance=mode=max",
            "--attest=type=provenance,mode=min",
            "--build-context=lib=d",
            "--build-context=base=docker-image://x",
        ])
        .unwrap();
        let attrs: Vec<_> = asked
            .options
            .attrs
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        assert_eq!(
            attrs,
            [
                "add-hosts=h=127.0.0.1,i=::1",
                "attest:provenance=mode=max",
                "attest:sbom=",
                "cgroup-parent=g",
                "context:base=docker-image://x",
                "context:lib=local:lib",
                "force-network-mode=none",
                "image-resolve-mode=pull",
                "label:a=b",
                "shm-size=1024",
                "ulimit=nofile=1:2",
            ]
        );
        assert_eq!(asked.locals.len(), 1);
    }

    #[test]
    fn no_cache_is_for_all_stages_or_some() {
        let stages = |args: &[&str]| read(args).unwrap().options.no_cache;
        assert_eq!(stages(&[]), None);
        assert_eq!(stages(&["--no-cache"]), Some(vec![]));
        assert_eq!(
            stages(&["--no-cache=a,b"]),
            Some(vec!["a".into(), "b".into()])
        );
        assert_eq!(stages(&["--no-cache-filter=a"]), Some(vec!["a".into()]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (args, message) in [
            (
                ["--secret=id=x,scr=f"].as_slice(),
                "unknown field `scr`; did you mean `src`?",
            ),
            (&["--secret=src=f"], "the field `id` is missing"),
            (
                &["--secret=id=x,env=UNSET"],
                "the variable `UNSET` is not set",
            ),
            (&["--secret=id=x,src=none"], "there is no file `none`"),
            (&["--ssh=default"], "SSH_AUTH_SOCK is not set"),
            (&["--ssh=k=none"], "there is no `"),
            (&["--network=hots"], "did you mean `host`?"),
            (&["--shm-size=x"], "is no size"),
            (&["--ulimit=nofile"], "is no limit"),
            (&["--add-host=h:x"], "`x` is no address"),
            (&["--allow=network.hots"], "did you mean `network.host`?"),
            (&["--attest=type=sbon"], "did you mean `sbom`?"),
            (
                &["--cache-to=type=regitry,ref=x"],
                "did you mean `registry`?",
            ),
            (
                &["--cache-to=type=local,src=x"],
                "the field `dest` is missing",
            ),
            (
                &["--cache-from=type=s3,bucket=b,secret_acces_key=hunter2"],
                "did you mean `secret_access_key`?",
            ),
            (&["--build-context=x=nowhere"], "is no directory"),
            (&["--build-context=x=oci-layout://d"], "cannot read"),
        ] {
            let error = read(args).unwrap_err();
            assert!(error.contains(message), "{args:?}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn force_leaves_out_what_is_not_there() {
        let args = [
            "--force",
            "--secret=id=x,env=UNSET",
            "--ssh=default",
            "--build-context=x=no",
        ];
        assert!(read(&args).unwrap().locals.is_empty());
    }

    #[test]
    fn no_secret_is_in_what_was_asked() {
        let asked = read(&["--secret=id=x,env=SET", "--secret=id=SET"]).unwrap();
        assert!(!format!("{asked:?}").contains("hunter2"));
    }
}
