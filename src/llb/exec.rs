//! Running a command.

use super::vertex::{Builder, EMPTY, Platform, State, index_of};
use crate::proto::pb;

/// No result is kept of this mount.
const SKIPPED: i64 = -1;

/// What a command reaches of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// What the engine gives to builds.
    #[default]
    Sandbox,
    /// The engine's own.
    Host,
    /// Nothing.
    None,
}

/// How builds share a cache mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// At the same time.
    #[default]
    Shared,
    /// A second one gets a cache of its own.
    Private,
    /// A second one waits.
    Locked,
}

/// A file system at a place of the command's.
#[derive(Clone, Debug)]
pub struct Mount {
    target: String,
    state: State,
    selector: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Bind { readonly: bool, output: bool },
    Cache { id: String, sharing: Sharing },
    Tmpfs { size: i64 },
}

impl Mount {
    fn new(target: &str, state: State, kind: Kind) -> Self {
        Self {
            target: target.to_owned(),
            state,
            selector: String::new(),
            kind,
        }
    }

    /// A file system that the command may change; see [`Executed::output`].
    pub fn writable(target: &str, state: State) -> Self {
        let kind = Kind::Bind {
            readonly: false,
            output: true,
        };
        Self::new(target, state, kind)
    }

    /// A file system that the command may change, without anyone seeing it.
    pub fn discarded(target: &str, state: State) -> Self {
        let kind = Kind::Bind {
            readonly: false,
            output: false,
        };
        Self::new(target, state, kind)
    }

    /// A file system to read.
    pub fn readonly(target: &str, state: State) -> Self {
        let kind = Kind::Bind {
            readonly: true,
            output: false,
        };
        Self::new(target, state, kind)
    }

    /// A directory that stays from build to build, beginning as `state`.
    pub fn cache(target: &str, state: State, id: &str, sharing: Sharing) -> Self {
        let id = id.to_owned();
        Self::new(target, state, Kind::Cache { id, sharing })
    }

    /// A directory in memory; `size` in bytes, 0: no limit.
    pub fn tmpfs(target: &str, size: i64) -> Self {
        Self::new(target, State::scratch(), Kind::Tmpfs { size })
    }

    /// Only this path of the file system.
    #[must_use]
    pub fn selecting(mut self, path: &str) -> Self {
        path.clone_into(&mut self.selector);
        self
    }

    fn has_output(&self) -> bool {
        matches!(self.kind, Kind::Bind { output: true, .. })
    }
}

/// A secret of the session's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secret {
    /// Its name in the session.
    pub id: String,
    /// The file that holds it for the command.
    pub target: Option<String>,
    /// The variable that holds it for the command.
    pub env: Option<String>,
    /// The file's owner.
    pub uid: u32,
    /// The file's group.
    pub gid: u32,
    /// The file's mode.
    pub mode: u32,
    /// Whether the command runs without it.
    pub optional: bool,
}

/// An ssh agent of the session's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssh {
    /// Its name in the session.
    pub id: String,
    /// Its socket; absent: one of the engine's choice, in `SSH_AUTH_SOCK`.
    pub target: Option<String>,
    /// The socket's owner.
    pub uid: u32,
    /// The socket's group.
    pub gid: u32,
    /// The socket's mode.
    pub mode: u32,
    /// Whether the command runs without it.
    pub optional: bool,
}

/// A command to be run.
#[derive(Clone, Debug, Default)]
pub struct Exec {
    /// Its words; at least one.
    pub args: Vec<String>,
    /// `NAME=VALUE`, in order.
    pub env: Vec<String>,
    /// Where it runs; absolute.
    pub cwd: String,
    /// Who runs it; empty: root.
    pub user: String,
    /// The host's name; empty: the engine's choice.
    pub hostname: String,
    /// Hosts and their addresses.
    pub extra_hosts: Vec<(String, String)>,
    /// Limits: name, soft, hard.
    pub ulimits: Vec<(String, i64, i64)>,
    /// The control group above it; empty: the engine's choice.
    pub cgroup_parent: String,
    /// Exit codes that are well; none: 0.
    pub valid_exit_codes: Vec<i32>,
    /// What it reaches of the network.
    pub network: Network,
    /// Whether it has all rights.
    pub insecure: bool,
    /// Proxies: http, https, ftp, none, all.
    pub proxy: Option<[String; 5]>,
    /// File systems beside the root.
    pub mounts: Vec<Mount>,
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// Ssh agents.
    pub ssh: Vec<Ssh>,
    /// Whether the root may only be read.
    pub readonly_root: bool,
}

/// A command's results.
#[derive(Clone, Debug)]
pub struct Executed {
    first: State,
    outputs: Vec<String>,
    root: State,
    readonly_root: bool,
}

impl Executed {
    /// The root as the command left it.
    pub fn root(&self) -> State {
        if self.readonly_root {
            return self.root.clone();
        }
        self.output("/").unwrap_or_default()
    }

    /// The writable mount at `target` as the command left it.
    pub fn output(&self, target: &str) -> Option<State> {
        let index = self.outputs.iter().position(|output| output == target)?;
        Some(self.first.output(index_of(index)))
    }
}

impl Exec {
    /// The command in a graph, with `root` as its root.
    pub fn run(mut self, root: &State, platform: &Platform) -> Executed {
        let kind = Kind::Bind {
            readonly: self.readonly_root,
            output: !self.readonly_root,
        };
        let mut mounts = vec![Mount::new("/", root.clone(), kind)];
        mounts.append(&mut self.mounts);
        mounts.sort_by(|one, other| one.target.cmp(&other.target));
        self.place_agents();

        let mut builder = Builder::default();
        self.require(&mut builder, &mounts);
        let mut outputs = Vec::new();
        let mut placed = Vec::new();
        for mount in &mounts {
            placed.push(mount.place(&mut builder, &mut outputs));
        }
        placed.extend(self.secrets.iter().filter_map(Secret::place));
        placed.extend(self.ssh.iter().map(Ssh::place));
        let op = self.op(placed);

        let inputs = mounts.into_iter().map(|mount| mount.state).collect();
        Executed {
            first: builder.finish(pb::op::Op::Exec(op), Some(platform), inputs),
            outputs,
            root: root.clone(),
            readonly_root: self.readonly_root,
        }
    }

    /// Gives each agent without a socket one, and the first one's to the command.
    fn place_agents(&mut self) {
        for (index, ssh) in self.ssh.iter_mut().enumerate() {
            ssh.target
                .get_or_insert_with(|| format!("/run/buildkit/ssh_agent.{index}"));
        }
        let known = |entry: &String| entry.starts_with("SSH_AUTH_SOCK=");
        if let Some(target) = self.ssh.first().and_then(|ssh| ssh.target.as_ref())
            && !self.env.iter().any(known)
        {
            self.env.push(format!("SSH_AUTH_SOCK={target}"));
        }
    }

    fn require(&self, builder: &mut Builder, mounts: &[Mount]) {
        builder.cap("exec.meta.base");
        for (wanted, cap) in [
            (!self.valid_exit_codes.is_empty(), "exec.validexitcode"),
            (!self.ulimits.is_empty(), "exec.meta.ulimit"),
            (self.network != Network::Sandbox, "exec.meta.network"),
            (self.insecure, "exec.meta.security"),
            (self.proxy.is_some(), "exec.meta.proxyenv"),
            (!self.secrets.is_empty(), "exec.mount.secret"),
            (
                self.secrets.iter().any(|secret| secret.env.is_some()),
                "exec.secretenv",
            ),
            (!self.ssh.is_empty(), "exec.mount.ssh"),
        ] {
            if wanted {
                builder.cap(cap);
            }
        }
        for mount in mounts {
            if !mount.selector.is_empty() {
                builder.cap("exec.mount.selector");
            }
            match mount.kind {
                Kind::Cache { .. } => {
                    builder.cap("exec.mount.cache");
                    builder.cap("exec.mount.cache.sharing");
                }
                Kind::Tmpfs { size } => {
                    builder.cap("exec.mount.tmpfs");
                    if size > 0 {
                        builder.cap("exec.mount.tmpfs.size");
                    }
                }
                Kind::Bind { .. } if !mount.state.is_scratch() => builder.cap("exec.mount.bind"),
                Kind::Bind { .. } => {}
            }
        }
    }

    fn op(&self, mounts: Vec<pb::Mount>) -> pb::ExecOp {
        let hosts = self.extra_hosts.iter().map(|(host, ip)| pb::HostIp {
            host: host.clone(),
            ip: ip.clone(),
        });
        let ulimits = self.ulimits.iter().map(|(name, soft, hard)| pb::Ulimit {
            name: name.clone(),
            soft: *soft,
            hard: *hard,
        });
        let proxy = self
            .proxy
            .clone()
            .map(|[http, https, ftp, none, all]| pb::ProxyEnv {
                http_proxy: http,
                https_proxy: https,
                ftp_proxy: ftp,
                no_proxy: none,
                all_proxy: all,
            });
        let secretenv = self.secrets.iter().filter_map(|secret| {
            Some(pb::SecretEnv {
                id: secret.id.clone(),
                name: secret.env.clone()?,
                optional: secret.optional,
            })
        });
        pb::ExecOp {
            meta: Some(pb::Meta {
                args: self.args.clone(),
                env: self.env.clone(),
                cwd: self.cwd.clone(),
                user: self.user.clone(),
                proxy_env: proxy,
                extra_hosts: hosts.collect(),
                hostname: self.hostname.clone(),
                ulimit: ulimits.collect(),
                cgroup_parent: self.cgroup_parent.clone(),
                remove_mount_stubs_recursive: true,
                valid_exit_codes: self.valid_exit_codes.clone(),
            }),
            mounts,
            network: match self.network {
                Network::Sandbox => pb::NetMode::Unset,
                Network::Host => pb::NetMode::Host,
                Network::None => pb::NetMode::None,
            }
            .into(),
            security: if self.insecure {
                pb::SecurityMode::Insecure
            } else {
                pb::SecurityMode::Sandbox
            }
            .into(),
            secretenv: secretenv.collect(),
            ..pb::ExecOp::default()
        }
    }
}

impl Mount {
    fn place(&self, builder: &mut Builder, outputs: &mut Vec<String>) -> pb::Mount {
        let mut placed = pb::Mount {
            input: builder.shared(&self.state),
            selector: self.selector.clone(),
            dest: self.target.clone(),
            output: SKIPPED,
            ..pb::Mount::default()
        };
        if self.has_output() {
            placed.output = index_of(outputs.len());
            outputs.push(self.target.clone());
        }
        match &self.kind {
            Kind::Bind { readonly, .. } => placed.readonly = *readonly,
            Kind::Cache { id, sharing } => {
                let sharing = match sharing {
                    Sharing::Shared => pb::CacheSharingOpt::Shared,
                    Sharing::Private => pb::CacheSharingOpt::Private,
                    Sharing::Locked => pb::CacheSharingOpt::Locked,
                };
                placed.mount_type = pb::MountType::Cache.into();
                placed.cache_opt = Some(pb::CacheOpt {
                    id: id.clone(),
                    sharing: sharing.into(),
                });
            }
            Kind::Tmpfs { size } => {
                placed.mount_type = pb::MountType::Tmpfs.into();
                placed.tmpfs_opt = Some(pb::TmpfsOpt { size: *size });
            }
        }
        placed
    }
}

impl Secret {
    fn place(&self) -> Option<pb::Mount> {
        Some(pb::Mount {
            input: EMPTY,
            dest: self.target.clone()?,
            mount_type: pb::MountType::Secret.into(),
            secret_opt: Some(pb::SecretOpt {
                id: self.id.clone(),
                uid: self.uid,
                gid: self.gid,
                mode: self.mode,
                optional: self.optional,
            }),
            ..pb::Mount::default()
        })
    }
}

impl Ssh {
    fn place(&self) -> pb::Mount {
        pb::Mount {
            input: EMPTY,
            dest: self.target.clone().unwrap_or_default(),
            mount_type: pb::MountType::Ssh.into(),
            ssh_opt: Some(pb::SshOpt {
                id: self.id.clone(),
                uid: self.uid,
                gid: self.gid,
                mode: self.mode,
                optional: self.optional,
            }),
            ..pb::Mount::default()
        }
    }
}
