//! One action of a plan within a build: its graph, made of the results of those before it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::build_attrs::{self, limits};
use super::image_config::ImageConfig;
use super::request::CacheEntry;
use crate::buildkit::{BuildkitError, Gateway, Part, PartResult};
use crate::llb::{self, Exec, File, Mode, Owner, Platform, Source, State};
use crate::plan::file::{
    Action as PlanAction, At, Build, CopyStep, Kind, Mount, NetworkMode, PlanFile, Planned,
    SharingMode,
};
use crate::proto::pb;
use crate::session::LocalDir;

/// What an action made, for those that go on with it.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) state: State,
    pub(super) config: ImageConfig,
}

/// What actions are made with.
pub(super) struct Making<'a> {
    pub(super) plan: &'a PlanFile,
    /// The platform of actions that name none.
    pub(super) platform: &'a Platform,
    /// Sets this run's directories apart from those of other runs.
    pub(super) unique: &'a str,
    /// Whether the action is made anew.
    pub(super) no_cache: bool,
    /// Says so apart from other solves, if a cache elsewhere is written of the action.
    pub(super) cached_as: Option<String>,
}

/// What an action is, before the engine was asked anything.
pub(super) struct Action<'a> {
    making: &'a Making<'a>,
    planned: &'a Planned,
    /// Results by the names of their actions.
    before: BTreeMap<&'a str, &'a Made>,
    platform: Platform,
}

/// Why an action has no result.
#[derive(Debug)]
pub(super) enum ActionError {
    /// The engine said no.
    Engine(BuildkitError),
    /// Something that it refers to has no single file system.
    Several(String),
}

impl std::fmt::Display for ActionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::Several(name) => write!(
                f,
                "the action `{name}` has a result for each of several platforms; one is needed"
            ),
        }
    }
}

impl From<BuildkitError> for ActionError {
    fn from(error: BuildkitError) -> Self {
        Self::Engine(error)
    }
}

impl<'a> Action<'a> {
    pub(super) fn new(
        making: &'a Making<'a>,
        planned: &'a Planned,
        before: BTreeMap<&'a str, &'a Made>,
    ) -> Self {
        let named = planned.action.platforms.first();
        let platform = named.and_then(|platform| Platform::parse(&platform.value));
        Self {
            making,
            planned,
            before,
            platform: platform.unwrap_or_else(|| making.platform.clone()),
        }
    }

    /// The directories that the action reads.
    pub(super) fn locals(&self) -> Vec<LocalDir> {
        let action = &self.planned.action;
        let mut paths: Vec<&str> = Vec::new();
        paths.extend(action.local.iter().map(|local| local.path.value.as_str()));
        let copies = action.copy.iter().flat_map(|copies| &copies.0);
        paths.extend(copies.filter(|copy| copy.from.is_none()).map(|_| "."));
        let mounts = action.mounts.iter();
        paths.extend(mounts.filter_map(|mount| Some(mount.value.local.as_ref()?.value.as_str())));
        let project = &self.making.plan.project;
        let own = paths.into_iter().map(|path| LocalDir {
            name: local_name(path),
            root: project.join(path),
        });
        let of_build = action.build.iter().flat_map(|build| {
            // The frontend asks for them by fixed names.
            let [context, dockerfile] = directories(project, build);
            [("context", context), ("dockerfile", dockerfile)]
        });
        own.chain(of_build.map(|(name, root)| LocalDir {
            name: name.to_owned(),
            root,
        }))
        .collect()
    }

    /// Does a frontend make its graph?
    pub(super) fn is_of_a_frontend(&self) -> bool {
        self.planned.kind == Kind::Build
    }

    /// The name of its step whose digest the engine makes up.
    pub(super) fn named_step(&self) -> Option<String> {
        let image = self.planned.action.image.as_ref()?;
        Some(Gateway::metadata_step(&full_name(&image.value)))
    }

    /// Makes the action's result within the build of `gateway`, to its end. `solving` is told of the graph
    /// before it is solved, if there is one of ours.
    pub(super) async fn make(
        &self,
        gateway: &Gateway<'_>,
        caches: &[CacheEntry],
        solving: impl Fn(&pb::Definition),
    ) -> Result<(PartResult, Option<Made>), ActionError> {
        if let Some(build) = &self.planned.action.build {
            return self.build(build, gateway, caches).await;
        }
        let made = self.state(gateway).await?;
        let state = self.solved(&made);
        let mut part = Part {
            definition: llb::definition(&state),
            ..Part::default()
        };
        part.read(caches);
        let mut result = if let Some(definition) = &part.definition {
            solving(definition);
            gateway.solve(part).await?
        } else {
            PartResult::default()
        };
        result.set_config(made.config.to_json());
        Ok((result, Some(made)))
    }

    async fn build(
        &self,
        build: &Build,
        gateway: &Gateway<'_>,
        caches: &[CacheEntry],
    ) -> Result<(PartResult, Option<Made>), ActionError> {
        let filename = build.dockerfile.as_ref().map_or("Dockerfile", |file| {
            file.value.rsplit('/').next().unwrap_or("Dockerfile")
        });
        let mut attrs = build_attrs::of(&self.planned.action, build);
        attrs.insert("filename".to_owned(), filename.to_owned());
        if self.making.no_cache || self.planned.action.no_cache {
            attrs.insert("no-cache".to_owned(), String::new());
        }
        let mut inputs = BTreeMap::new();
        for (name, reference) in &build.contexts {
            let made = self.made(reference)?;
            let config = STANDARD.encode(made.config.to_json());
            let metadata = serde_json::json!({ "containerimage.config": config });
            attrs.insert(format!("context:{name}"), format!("input:{name}"));
            attrs.insert(format!("input-metadata:{name}"), metadata.to_string());
            inputs.insert(
                name.clone(),
                llb::definition(&self.solved(made)).unwrap_or_default(),
            );
        }
        let mut part = Part {
            frontend: "dockerfile.v0".to_owned(),
            attrs,
            inputs,
            ..Part::default()
        };
        part.read(caches);
        let result = gateway.solve(part).await?;
        let state = match result.definition() {
            Some(definition) => llb::state_of(definition),
            None => (!result.is_several()).then(State::scratch),
        };
        let config = result.config().and_then(ImageConfig::read);
        let made = state.map(|state| Made {
            state,
            config: config.unwrap_or_else(|| ImageConfig::empty(&self.platform)),
        });
        Ok((result, made))
    }

    /// The graph that is solved.
    fn solved(&self, made: &Made) -> State {
        match &self.making.cached_as {
            Some(mark) => llb::asked_anew(&made.state, mark),
            None => made.state.clone(),
        }
    }

    fn made(&self, reference: &At<String>) -> Result<&'a Made, ActionError> {
        let made = self.before.get(reference.value.as_str()).copied();
        made.ok_or_else(|| ActionError::Several(reference.value.clone()))
    }

    fn base(&self) -> Result<Made, ActionError> {
        match &self.planned.action.from {
            Some(from) => Ok(self.made(from)?.clone()),
            None => Ok(self.nothing()),
        }
    }

    fn nothing(&self) -> Made {
        Made {
            state: State::scratch(),
            config: ImageConfig::empty(&self.platform),
        }
    }

    async fn state(&self, gateway: &Gateway<'_>) -> Result<Made, ActionError> {
        let action = &self.planned.action;
        let mut made = match self.planned.kind {
            Kind::Image => self.image(gateway).await?,
            Kind::Merge | Kind::Diff => self.combined()?,
            Kind::Run | Kind::Copy | Kind::File | Kind::Mkdir | Kind::Rm | Kind::Symlink => {
                self.base()?
            }
            Kind::Git | Kind::Http | Kind::Local | Kind::Scratch | Kind::Build => self.source(),
        };
        for (name, value) in &action.env {
            made.config.set_env(name, &value.0);
        }
        if let Some(directory) = &action.workdir {
            made.config.enter(directory);
        }
        if let Some(user) = &action.user {
            made.config.set_user(user);
        }
        let changed = if action.run.is_some() {
            self.run(&made)?
        } else {
            self.files(&made)?
        };
        made.state = changed;
        let done = !made.state.is_scratch() && self.planned.kind != Kind::Image;
        if done && (self.making.no_cache || action.no_cache) {
            made.state = made.state.uncached();
        }
        Ok(made)
    }

    async fn image(&self, gateway: &Gateway<'_>) -> Result<Made, ActionError> {
        let name = self.planned.action.image.as_ref();
        let reference = full_name(name.map_or("", |name| &name.value));
        let asked = gateway
            .image_config(&reference, self.platform.to_pb())
            .await?;
        let config = ImageConfig::read(&asked.1);
        // The one whose configuration was read, though its tag may move meanwhile.
        let pinned = if reference.contains('@') || asked.0.is_empty() {
            reference
        } else {
            format!("{reference}@{}", asked.0)
        };
        Ok(Made {
            state: Source::image(&pinned).state(&self.platform),
            config: config.unwrap_or_else(|| ImageConfig::empty(&self.platform)),
        })
    }

    fn combined(&self) -> Result<Made, ActionError> {
        let action = &self.planned.action;
        if let Some(diff) = &action.diff {
            let (lower, upper) = (self.made(&diff.lower)?, self.made(&diff.upper)?);
            return Ok(Made {
                state: llb::diff(&lower.state, &upper.state),
                config: ImageConfig::empty(&self.platform),
            });
        }
        let layers = action.merge.iter().flatten().map(|layer| self.made(layer));
        let layers: Vec<_> = layers.collect::<Result<_, _>>()?;
        let states: Vec<_> = layers.iter().map(|made| made.state.clone()).collect();
        let first = layers.first().map(|made| made.config.clone());
        Ok(Made {
            state: llb::merge(&states),
            config: first.unwrap_or_else(|| ImageConfig::empty(&self.platform)),
        })
    }

    fn source(&self) -> Made {
        let action = &self.planned.action;
        let source = if let Some(git) = &action.git {
            let mut fragment = git.reference.clone().unwrap_or_default();
            if let Some(directory) = &git.dir {
                fragment = format!("{fragment}:{directory}");
            }
            let url = git.over_ssh();
            let url = url.as_deref().unwrap_or(&git.url.value);
            let token = git.token.as_ref().map(|token| token.value.as_str());
            let mut source = Source::git(url, &fragment, git.keep_git_dir, token);
            if let Some(header) = &git.header {
                source = source.with_header(&header.value);
            }
            if let Some(agent) = git.agent() {
                source = source.with_ssh(agent, git.known_hosts.as_deref());
            }
            Some(source)
        } else if let Some(http) = &action.http {
            let mode = http.mode.as_ref();
            let http_options = llb::Http {
                checksum: http
                    .checksum
                    .as_ref()
                    .map(|checksum| checksum.value.clone()),
                filename: http.filename.clone(),
                mode: mode.map(|mode| octal(&mode.value.0, 0o600)),
                uid: http.uid.unwrap_or_default(),
                gid: http.gid.unwrap_or_default(),
            };
            Some(Source::http(&http.url.value, &http_options))
        } else {
            action.local.as_ref().map(|local| {
                let options = llb::Local {
                    include: local.include.clone(),
                    exclude: local.exclude.clone(),
                    ..llb::Local::default()
                };
                self.local(&local.path.value, options)
            })
        };
        let mut made = self.nothing();
        made.state = source.map_or_else(State::scratch, |source| source.state(&self.platform));
        made
    }

    fn local(&self, path: &str, mut local: llb::Local) -> Source {
        // Different selections of one directory are kept apart, or each would undo the other's.
        local.shared_key = format!(
            "{path}|{:?}|{:?}|{:?}",
            local.include, local.exclude, local.follow
        );
        Source::local(&local_name(path), &local, self.making.unique)
    }

    /// The file system after the action's changes of files, if it has any.
    fn files(&self, made: &Made) -> Result<State, ActionError> {
        let action = &self.planned.action;
        let mut file = File::on(&made.state, &made.config.directory());
        for copy in action.copy.iter().flat_map(|copies| &copies.0) {
            file = self.copy(file, copy)?;
        }
        let owner = |owner: &Option<String>| owner.as_deref().map(Owner::parse);
        for one in action.file.iter().flat_map(|files| &files.0) {
            let mode = one
                .mode
                .as_ref()
                .map_or(0o644, |mode| octal(&mode.value.0, 0o644));
            if let Some((parent, _)) = one.path.rsplit_once('/')
                && !parent.is_empty()
            {
                file = file.mkdir(parent, 0o755, true, None);
            }
            file = file.mkfile(
                &one.path,
                mode,
                one.content.as_bytes(),
                owner(&one.owner),
                None,
            );
        }
        for one in action.mkdir.iter().flat_map(|dirs| &dirs.0) {
            let mode = one
                .mode
                .as_ref()
                .map_or(0o755, |mode| octal(&mode.value.0, 0o755));
            file = file.mkdir(&one.path, mode, true, owner(&one.owner));
        }
        for one in action.rm.iter().flat_map(|paths| &paths.0) {
            file = file.rm(&one.path, one.optional, true);
        }
        for one in action.symlink.iter().flat_map(|links| &links.0) {
            file = file.symlink(&one.target, &one.path, None, None);
        }
        Ok(file.state())
    }

    fn copy(&self, file: File, copy: &CopyStep) -> Result<File, ActionError> {
        let from = match &copy.from {
            Some(from) => self.made(from)?.state.clone(),
            None => {
                let local = llb::Local {
                    follow: vec![llb::clean(&copy.path.value)],
                    ..llb::Local::default()
                };
                self.local(".", local).state(&self.platform)
            }
        };
        let mode = copy
            .mode
            .as_ref()
            .map(|mode| match u32::from_str_radix(&mode.0, 8) {
                Ok(bits) => Mode::Bits(bits),
                Err(_) => Mode::Text(mode.0.clone()),
            });
        let options = llb::Copy {
            owner: copy.owner.as_deref().map(Owner::parse),
            mode,
            follow_symlink: true,
            contents: true,
            parents: true,
            wildcard: true,
            include: copy.include.clone(),
            exclude: copy.exclude.clone(),
            ..llb::Copy::default()
        };
        Ok(file.copy(&from, &copy.path.value, &copy.to, options))
    }

    fn run(&self, made: &Made) -> Result<State, ActionError> {
        let action = &self.planned.action;
        let mut exec = Exec {
            args: action
                .run
                .as_ref()
                .map(|words| words.0.clone())
                .unwrap_or_default(),
            env: made.config.env(),
            cwd: made.config.directory(),
            user: made.config.user().to_owned(),
            network: match action.network.as_ref().map(|network| network.value) {
                None | Some(NetworkMode::Sandbox) => llb::Network::Sandbox,
                Some(NetworkMode::Host) => llb::Network::Host,
                Some(NetworkMode::None) => llb::Network::None,
            },
            extra_hosts: action
                .hosts
                .iter()
                .map(|(name, address)| (name.clone(), address.value.clone()))
                .collect(),
            ulimits: limits(action)
                .map(|(name, (soft, hard))| (name.to_owned(), soft, hard))
                .collect(),
            insecure: action.privileged.as_ref().is_some_and(|all| all.value),
            ..Exec::default()
        };
        for mount in &action.mounts {
            self.mount(&mount.value, &mut exec)?;
        }
        let name = match exec.args.as_slice() {
            [shell, flag, line] if shell == "/bin/sh" && flag == "-c" => line.clone(),
            words => words.join(" "),
        };
        let name = format!("[{}] {}", self.planned.name, name.trim());
        let done = exec.run(&made.state, &self.platform);
        Ok(done.root().named(&name))
    }

    fn mount(&self, mount: &Mount, exec: &mut Exec) -> Result<(), ActionError> {
        let target = mount.target.clone().unwrap_or_default();
        if let Some(secret) = &mount.secret {
            let file = format!("/run/secrets/{}", secret.value);
            let target = mount
                .target
                .clone()
                .or_else(|| mount.env.is_none().then_some(file));
            exec.secrets.push(llb::Secret {
                id: secret.value.clone(),
                target,
                env: mount.env.clone(),
                mode: 0o400,
                optional: mount.optional,
                ..llb::Secret::default()
            });
            return Ok(());
        }
        if let Some(ssh) = &mount.ssh {
            exec.ssh.push(llb::Ssh {
                id: ssh.clone(),
                target: mount.target.clone(),
                mode: 0o600,
                optional: mount.optional,
                ..llb::Ssh::default()
            });
            return Ok(());
        }
        let placed = if let Some(id) = &mount.cache {
            let sharing = match mount.sharing.unwrap_or_default() {
                SharingMode::Shared => llb::Sharing::Shared,
                SharingMode::Private => llb::Sharing::Private,
                SharingMode::Locked => llb::Sharing::Locked,
            };
            llb::Mount::cache(&target, State::scratch(), id, sharing)
        } else if mount.tmpfs.is_some() {
            llb::Mount::tmpfs(&target, mount.size.unwrap_or_default().into())
        } else {
            let state = match (&mount.action, &mount.local) {
                (Some(action), _) => self.made(action)?.state.clone(),
                (None, Some(local)) => self
                    .local(&local.value, llb::Local::default())
                    .state(&self.platform),
                (None, None) => State::scratch(),
            };
            let placed = if mount.writable {
                llb::Mount::discarded(&target, state)
            } else {
                llb::Mount::readonly(&target, state)
            };
            placed.selecting(mount.path.as_deref().unwrap_or_default())
        };
        exec.mounts.push(placed);
        Ok(())
    }
}

fn context_of(build: &Build) -> &str {
    build.context.as_ref().map_or(".", |context| &context.value)
}

fn local_name(path: &str) -> String {
    format!("project:{}", llb::clean(path))
}

/// The directories of a Dockerfile's build: its context, and where the file is.
pub(super) fn directories(project: &Path, build: &Build) -> [PathBuf; 2] {
    let context = project.join(context_of(build));
    let file = build
        .dockerfile
        .as_ref()
        .map(|file| context.join(&file.value));
    match file.as_deref().and_then(Path::parent) {
        Some(parent) => [context.clone(), parent.to_owned()],
        None => [context.clone(), context],
    }
}

/// Entitlements that an action needs.
pub(super) fn entitlements(action: &PlanAction) -> impl Iterator<Item = String> {
    let network = action.network.as_ref();
    let host = network.filter(|network| network.value == NetworkMode::Host);
    let all = action.privileged.as_ref().filter(|all| all.value);
    let host = host.map(|_| "network.host".to_owned());
    host.into_iter()
        .chain(all.map(|_| "security.insecure".to_owned()))
}

fn octal(text: &str, otherwise: u32) -> u32 {
    u32::from_str_radix(text, 8).unwrap_or(otherwise)
}

/// An image's name with its registry and tag, as Docker completes it.
fn full_name(name: &str) -> String {
    let (place, digest) = match name.split_once('@') {
        Some((place, digest)) => (place, Some(digest)),
        None => (name, None),
    };
    let registry = place.split_once('/').map_or("", |(first, _)| first);
    let has_registry = registry == "localhost" || registry.contains(['.', ':']);
    let mut full = match (has_registry, place.contains('/')) {
        (true, _) => place.to_owned(),
        (false, true) => format!("docker.io/{place}"),
        (false, false) => format!("docker.io/library/{place}"),
    };
    let tagged = full
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains(':'));
    if let Some(digest) = digest {
        full = format!("{full}@{digest}");
    } else if !tagged {
        full.push_str(":latest");
    }
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_are_completed_as_docker_does() {
        for (name, full) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("team/app:1", "docker.io/team/app:1"),
            ("localhost/app", "localhost/app:latest"),
            ("r.example:5000/app:1", "r.example:5000/app:1"),
            ("a@sha256:00", "docker.io/library/a@sha256:00"),
        ] {
            assert_eq!(full_name(name), full);
        }
    }
}
