//! The plan file as types; the JSON schema is made of them.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize as Derive, Serialize};

use crate::document::{At, Scalar};

/// One of them, or a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(transparent)]
pub struct Many<T>(#[schemars(with = "ManySchema<T>")] pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum ManySchema<T> {
    One(T),
    More(Vec<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = Many<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Many<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = parts.next_element()? {
                    items.push(item);
                }
                Ok(Many(items))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Many<T>, E> {
                T::deserialize(de::value::StrDeserializer::new(text)).map(|one| Many(vec![one]))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Many<T>, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(|one| Many(vec![one]))
            }
        }
        deserializer.deserialize_any(Items(std::marker::PhantomData))
    }
}

/// A command: a line for `/bin/sh -c`, or a list of words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(transparent)]
pub struct Words(#[schemars(with = "ManySchema<String>")] pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Line;
        impl<'de> Visitor<'de> for Line {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command line or a list of words")
            }

            fn visit_str<E>(self, line: &str) -> Result<Words, E> {
                Ok(Words(["/bin/sh", "-c", line].map(str::to_owned).to_vec()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(Scalar(word)) = parts.next_element()? {
                    words.push(word);
                }
                Ok(Words(words))
            }
        }
        deserializer.deserialize_any(Line)
    }
}

/// A build plan.
#[expect(
    dead_code,
    reason = "some parts are read by themselves, but checked and documented here"
)]
#[derive(Clone, Debug, Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// The version of this format.
    pub(super) version: At<u32>,
    /// Values that `--with NAME=VALUE` changes, with their defaults; used as `${args.NAME}`.
    #[serde(default)]
    pub(super) args: BTreeMap<String, Scalar>,
    /// Secrets by name.
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, At<Secret>>,
    /// What is done, by name.
    pub(super) actions: BTreeMap<String, At<Action>>,
}

/// Where a secret comes from: one of these.
#[derive(Clone, Debug, Default, Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Secret {
    /// A variable of the environment.
    pub(super) env: Option<String>,
    /// A file, in the project or absolute.
    pub(super) file: Option<String>,
}

/// One action. It has exactly one of the keys that say what it does: `build`, `run`, `copy`, `file`,
/// `mkdir`, `rm`, `symlink`, `merge`, `diff`, `image`, `git`, `http`, `local`, `scratch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Action {
    /// Builds a Dockerfile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// Runs a command in `from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Words>,
    /// Copies into `from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<Many<CopyStep>>,
    /// Writes files into `from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Many<FileStep>>,
    /// Makes directories in `from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mkdir: Option<Many<Step>>,
    /// Removes paths from `from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rm: Option<Many<RmStep>>,
    /// Makes symbolic links in `from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symlink: Option<Many<SymlinkStep>>,
    /// Puts the results of these actions on top of each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<Vec<At<String>>>,
    /// What one action's result has and another's has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<Diff>,
    /// An image, e.g. `docker.io/library/alpine:3.20`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<At<String>>,
    /// A repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// A download.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// A directory of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<Local>,
    /// The empty file system: `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<bool>,

    /// The action whose result this one begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<At<String>>,
    /// Variables of the command; they stay for what is made from this.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Scalar>,
    /// The directory of the command and of relative paths; it stays for what is made from this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Who runs the command; it stays for what is made from this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What the command reaches of the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<NetworkMode>>,
    /// Hosts that the command knows, and their addresses.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, At<String>>,
    /// Limits of the command's processes: `SOFT` or `SOFT:HARD`, by name, e.g. `nofile`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, At<Scalar>>,
    /// Whether the command has all rights, which the engine has to allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileged: Option<At<bool>>,
    /// File systems of the command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<At<Mount>>,
    /// Platforms, e.g. `linux/arm64`; more than one only of `build`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<At<String>>,
    /// Makes one action of each combination; used as `${matrix.NAME}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub matrix: BTreeMap<String, Vec<Scalar>>,
    /// Where the result goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<At<Output>>,
    /// Actions that must have ended before, beside those that are referred to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<At<String>>,
    /// Whether it is done anew each time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_cache: bool,
}

/// A Dockerfile's build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Build {
    /// The directory that is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<At<String>>,
    /// The Dockerfile, as seen from the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<At<String>>,
    /// The stage; absent: the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Build arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, Scalar>,
    /// Names of the Dockerfile's `FROM` and `--from` that are results of actions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, At<String>>,
    /// Secrets that its steps may mount, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<At<String>>,
    /// Ssh agents that its steps may mount, by name; usually `default`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh: Vec<String>,
    /// Labels of the image.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Scalar>,
    /// The size of `/dev/shm`, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<u64>,
    /// The control group above its steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_parent: Option<String>,
    /// Whether images are looked up in their registries even if they are here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pull: bool,
}

/// One copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyStep {
    /// The action whose result is read; absent: the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<At<String>>,
    /// What is copied; wildcards are allowed.
    pub path: At<String>,
    /// Where to; with `/` at its end, into that directory.
    pub to: String,
    /// Whom it belongs to, as `USER[:GROUP]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its mode, e.g. `0755` or `u+x`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Scalar>,
    /// Only these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Not these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileStep {
    /// Where.
    pub path: String,
    /// What is in it.
    pub content: String,
    /// Its mode [default: 0644].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<At<Scalar>>,
    /// Whom it belongs to, as `USER[:GROUP]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// One directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Where; directories above it are made too.
    pub path: String,
    /// Its mode [default: 0755].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<At<Scalar>>,
    /// Whom it belongs to, as `USER[:GROUP]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// One path that is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RmStep {
    /// What; wildcards are allowed.
    pub path: String,
    /// Whether it may be missing.
    #[serde(default)]
    pub optional: bool,
}

/// One symbolic link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SymlinkStep {
    /// Where the link is.
    pub path: String,
    /// Where it points.
    pub target: String,
}

/// A difference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Diff {
    /// The action whose result is taken away.
    pub lower: At<String>,
    /// The action whose result is looked at.
    pub upper: At<String>,
}

/// A repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Git {
    /// Its address.
    pub url: At<String>,
    /// A branch, tag or commit; absent: the default branch.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// A directory in it; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// Whether `.git` stays.
    #[serde(default)]
    pub keep_git_dir: bool,
    /// The secret that holds a token for `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<At<String>>,
    /// The secret that holds a whole `Authorization` header for `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<At<String>>,
    /// The ssh agent for `ssh` [default: `default`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// Keys of hosts, as in ssh's `known_hosts`; without them any key is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
}

/// A download.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Its address.
    pub url: At<String>,
    /// `sha256:` and 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<At<String>>,
    /// The file's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// The file's mode [default: 0600].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<At<Scalar>>,
    /// The number of its owner [default: 0].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The number of its group [default: 0].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// A directory of the project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// Which.
    pub path: At<String>,
    /// Only these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Not these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// What a command reaches of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// What the engine gives to builds.
    #[default]
    Sandbox,
    /// The engine's own.
    Host,
    /// Nothing.
    None,
}

/// How builds share a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SharingMode {
    /// At the same time.
    #[default]
    Shared,
    /// A second one gets its own.
    Private,
    /// A second one waits.
    Locked,
}

/// A mount of a command. It has exactly one of `action`, `local`, `cache`, `tmpfs`, `secret`, `ssh`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mount {
    /// Where; of a secret or an ssh agent it may be left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The result of an action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<At<String>>,
    /// A directory of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<At<String>>,
    /// A directory that stays between builds, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// A directory in memory: `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<bool>,
    /// A secret, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<At<String>>,
    /// An ssh agent, by name; usually `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// Of an action or a local directory: only this path of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Of an action or a local directory: the command may change it; the change is dropped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub writable: bool,
    /// Of a tmpfs: its size in bytes [default: no limit].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// Of a cache: how builds share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sharing: Option<SharingMode>,
    /// Of a secret: the variable that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// Of a secret or an ssh agent: the command runs without it too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// Where a result goes: exactly one of `local`, `tar`, `oci`, `docker`, `image`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Derive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// Files in a directory of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
    /// One tar file in the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tar: Option<String>,
    /// An image as a tar file of OCI's layout, in the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oci: Option<String>,
    /// An image as a tar file that `docker load` takes, in the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker: Option<String>,
    /// An image in the engine, under this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Of an image: it goes to its registry.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub push: bool,
}

/// The JSON schema of plan files.
pub fn json_schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Document);
    schema.insert("title".to_owned(), "dagger plan".into());
    if let Some(version) = schema.pointer_mut("/properties/version") {
        *version = serde_json::json!({ "const": 1, "description": "The version of this format." });
    }
    schema.to_value()
}
