//! From the document to actions that hold together: one kind each, references, paths, order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::options;
use super::schema::{Action, Document, Mount, Output};
use crate::document::{At, Fault, Position, similar};

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Dockerfile.
    Build,
    /// A command.
    Run,
    /// Copies.
    Copy,
    /// Files.
    File,
    /// Directories.
    Mkdir,
    /// Removals.
    Rm,
    /// Symbolic links.
    Symlink,
    /// Several results on top of each other.
    Merge,
    /// A difference.
    Diff,
    /// An image.
    Image,
    /// A repository.
    Git,
    /// A download.
    Http,
    /// A directory.
    Local,
    /// Nothing.
    Scratch,
}

impl Kind {
    /// Its key in a plan.
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Run => "run",
            Self::Copy => "copy",
            Self::File => "file",
            Self::Mkdir => "mkdir",
            Self::Rm => "rm",
            Self::Symlink => "symlink",
            Self::Merge => "merge",
            Self::Diff => "diff",
            Self::Image => "image",
            Self::Git => "git",
            Self::Http => "http",
            Self::Local => "local",
            Self::Scratch => "scratch",
        }
    }

    fn has_base(self) -> bool {
        match self {
            Self::Run | Self::Copy | Self::File | Self::Mkdir | Self::Rm | Self::Symlink => true,
            Self::Build
            | Self::Merge
            | Self::Diff
            | Self::Image
            | Self::Git
            | Self::Http
            | Self::Local
            | Self::Scratch => false,
        }
    }

    fn of(action: &Action) -> Vec<Self> {
        [
            (action.build.is_some(), Self::Build),
            (action.run.is_some(), Self::Run),
            (action.copy.is_some(), Self::Copy),
            (action.file.is_some(), Self::File),
            (action.mkdir.is_some(), Self::Mkdir),
            (action.rm.is_some(), Self::Rm),
            (action.symlink.is_some(), Self::Symlink),
            (action.merge.is_some(), Self::Merge),
            (action.diff.is_some(), Self::Diff),
            (action.image.is_some(), Self::Image),
            (action.git.is_some(), Self::Git),
            (action.http.is_some(), Self::Http),
            (action.local.is_some(), Self::Local),
            (action.scratch.is_some(), Self::Scratch),
        ]
        .into_iter()
        .filter_map(|(there, kind)| there.then_some(kind))
        .collect()
    }
}

/// An action whose references are known to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its name; one of a matrix ends in its values, as `test[1.22,alpine]`.
    pub name: String,
    /// Where it begins.
    pub at: Position,
    /// What it does.
    pub kind: Kind,
    /// The rest.
    pub action: Action,
    /// The actions that must have ended before, by their place in the plan.
    pub needs: Vec<usize>,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretFrom {
    /// A variable.
    Env(String),
    /// A file.
    File(PathBuf),
}

/// An action as it was read: one of a matrix, or alone.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) group: String,
    pub(super) at: Position,
    pub(super) action: Action,
}

pub(super) fn secrets(
    document: &Document,
    project: &Path,
) -> Result<BTreeMap<String, (Position, SecretFrom)>, Fault> {
    let one = |(name, secret): (&String, &At<super::schema::Secret>)| {
        let from = match (&secret.value.env, &secret.value.file) {
            (Some(env), None) => SecretFrom::Env(env.clone()),
            (None, Some(file)) => SecretFrom::File(project.join(file)),
            _ => {
                let message = format!("the secret `{name}` has to have `env` or `file`");
                return Err(Fault::new(secret.at, message));
            }
        };
        Ok((name.clone(), (secret.at, from)))
    };
    document.secrets.iter().map(one).collect()
}

/// What the actions are held against.
pub(super) struct Checks<'a> {
    project: &'a Path,
    names: BTreeMap<String, usize>,
    groups: BTreeMap<String, Vec<usize>>,
    secrets: BTreeSet<&'a str>,
}

/// Checks all actions and puts them in an order in which each comes after what it needs.
pub(super) fn check(
    actions: Vec<Named>,
    secrets: &BTreeMap<String, (Position, SecretFrom)>,
    project: &Path,
) -> Result<Vec<Planned>, Fault> {
    let mut checks = Checks {
        project,
        names: BTreeMap::new(),
        groups: BTreeMap::new(),
        secrets: secrets.keys().map(String::as_str).collect(),
    };
    for (index, action) in actions.iter().enumerate() {
        checks.names.insert(action.name.clone(), index);
        let group = checks.groups.entry(action.group.clone()).or_default();
        group.push(index);
    }
    let planned = actions.into_iter().map(|named| checks.action(named));
    let planned: Vec<_> = planned.collect::<Result<_, _>>()?;
    unique_outputs(&planned)?;
    order(planned)
}

impl Checks<'_> {
    fn action(&self, named: Named) -> Result<Planned, Fault> {
        let Named {
            name, at, action, ..
        } = named;
        let kinds = Kind::of(&action);
        let kind = match kinds.as_slice() {
            [kind] => *kind,
            [] => {
                let fault = Fault::new(at, format!("the action `{name}` does nothing"));
                return Err(fault.help("give it one of build, run, copy, file, mkdir, rm, symlink, merge, diff, image, git, http, local, scratch"));
            }
            [one, other, ..] => {
                let message = format!(
                    "the action `{name}` has both `{}` and `{}`",
                    one.name(),
                    other.name()
                );
                let fault = Fault::new(at, message);
                return Err(fault.help("make two actions of it"));
            }
        };
        self.belonging(&name, at, kind, &action)?;
        let mut needs = Vec::new();
        for reference in references(&action) {
            needs.push(self.one(reference)?);
        }
        for reference in &action.needs {
            needs.extend(self.all(reference)?);
        }
        needs.sort_unstable();
        needs.dedup();
        for mount in &action.mounts {
            self.mount(mount)?;
        }
        for (secret, _) in action.secrets() {
            self.secret(secret)?;
        }
        options::check(&action)?;
        for output in &action.outputs {
            self.output(output)?;
        }
        self.paths(&action)?;
        self.rest(&action, kind)?;
        Ok(Planned {
            name,
            at,
            kind,
            action,
            needs,
        })
    }

    /// Keys that another kind has.
    fn belonging(
        &self,
        name: &str,
        at: Position,
        kind: Kind,
        action: &Action,
    ) -> Result<(), Fault> {
        let from = action.from.as_ref();
        if let Some(from) = from.filter(|_| !kind.has_base()) {
            let message = format!("`{}` begins with nothing, so it has no `from`", kind.name());
            return Err(Fault::new(from.at, message));
        }
        if from.is_none() && matches!(kind, Kind::Run | Kind::Rm) {
            let fault = Fault::new(at, format!("`{}` of `{name}` needs a `from`", kind.name()));
            return Err(fault.help("name the action whose result it begins with"));
        }
        let alone = |what: &str, at: Position| {
            Err(Fault::new(
                at,
                format!("`{what}` belongs to `run`, not to `{}`", kind.name()),
            ))
        };
        if kind != Kind::Run {
            if let Some(mount) = action.mounts.first() {
                return alone("mounts", mount.at);
            }
            if let Some(privileged) = &action.privileged {
                return alone("privileged", privileged.at);
            }
        }
        if !matches!(kind, Kind::Run | Kind::Build) {
            let network = action.network.iter().map(|network| ("network", network.at));
            let hosts = action.hosts.values().map(|host| ("hosts", host.at));
            let ulimits = action.ulimits.values().map(|limit| ("ulimits", limit.at));
            if let Some((what, at)) = network.chain(hosts).chain(ulimits).next() {
                let message = format!(
                    "`{what}` belongs to `run` and `build`, not to `{}`",
                    kind.name()
                );
                return Err(Fault::new(at, message));
            }
        }
        if let [_, second, ..] = action.platforms.as_slice()
            && kind != Kind::Build
        {
            let fault = Fault::new(second.at, "only `build` has more than one platform");
            return Err(fault.help("use a matrix: `platforms: [\"${matrix.platform}\"]`"));
        }
        Ok(())
    }

    fn one(&self, reference: &At<String>) -> Result<usize, Fault> {
        match self.all(reference)?.as_slice() {
            [one] => Ok(*one),
            several => {
                let message = format!(
                    "`{}` is a matrix of {} actions; one is needed here",
                    reference.value,
                    several.len()
                );
                let name = self
                    .names
                    .iter()
                    .find(|(_, index)| several.contains(index))
                    .map_or("", |(name, _)| name);
                Err(Fault::new(reference.at, message)
                    .help(format!("name one of them, e.g. `{name}`")))
            }
        }
    }

    fn all(&self, reference: &At<String>) -> Result<Vec<usize>, Fault> {
        let name = reference.value.as_str();
        if let Some(index) = self.names.get(name) {
            return Ok(vec![*index]);
        }
        if let Some(group) = self.groups.get(name) {
            return Ok(group.clone());
        }
        let fault = Fault::new(reference.at, format!("there is no action `{name}`"));
        let known = self.names.keys().chain(self.groups.keys());
        Err(match similar(name, known.map(String::as_str)) {
            Some(other) => fault.help(format!("did you mean `{other}`?")),
            None => fault.help("`from`, `needs` and the like name actions of this plan; an image is an action of its own: `image: NAME`"),
        })
    }

    fn mount(&self, mount: &At<Mount>) -> Result<(), Fault> {
        let (at, mount) = (mount.at, &mount.value);
        let kinds = [
            mount.action.is_some(),
            mount.local.is_some(),
            mount.cache.is_some(),
            mount.tmpfs.is_some(),
            mount.secret.is_some(),
            mount.ssh.is_some(),
        ];
        if kinds.iter().filter(|there| **there).count() != 1 {
            return Err(Fault::new(
                at,
                "a mount has exactly one of action, local, cache, tmpfs, secret, ssh",
            ));
        }
        match &mount.target {
            Some(target) if !target.starts_with('/') => {
                let message = format!("the mount's target `{target}` does not begin with `/`");
                return Err(Fault::new(at, message));
            }
            Some(target) if target.trim_end_matches('/').is_empty() => {
                return Err(Fault::new(at, "the root is what `from` names"));
            }
            None if mount.secret.is_none() && mount.ssh.is_none() => {
                return Err(Fault::new(at, "the mount has no `target`"));
            }
            _ => {}
        }
        if mount.size.is_some() && mount.tmpfs.is_none() {
            return Err(Fault::new(at, "`size` belongs to `tmpfs`"));
        }
        Ok(())
    }

    fn secret(&self, secret: &At<String>) -> Result<(), Fault> {
        if self.secrets.contains(secret.value.as_str()) {
            return Ok(());
        }
        let fault = Fault::new(secret.at, format!("there is no secret `{}`", secret.value));
        Err(match similar(&secret.value, self.secrets.iter().copied()) {
            Some(other) => fault.help(format!("did you mean `{other}`?")),
            None => fault.help(format!(
                "add it to the plan's `secrets`: `{}: {{ env: NAME }}`",
                secret.value
            )),
        })
    }

    fn output(&self, output: &At<Output>) -> Result<(), Fault> {
        let (at, output) = (output.at, &output.value);
        let kinds = [
            &output.local,
            &output.tar,
            &output.oci,
            &output.docker,
            &output.image,
        ];
        if kinds.iter().filter(|kind| kind.is_some()).count() != 1 {
            return Err(Fault::new(
                at,
                "an output has exactly one of local, tar, oci, docker, image",
            ));
        }
        if output.push && output.image.is_none() {
            return Err(Fault::new(at, "`push` belongs to `image`"));
        }
        if let Some(path) = output_path(output) {
            self.inside(path, at)?;
        }
        Ok(())
    }

    /// Paths that are read stay in the project, and are there.
    fn paths(&self, action: &Action) -> Result<(), Fault> {
        if let Some(local) = &action.local {
            self.directory(&local.path)?;
        }
        for mount in &action.mounts {
            if let Some(local) = &mount.value.local {
                self.directory(local)?;
            }
        }
        if let Some(build) = &action.build {
            let context = match &build.context {
                Some(context) => self.directory(context)?,
                None => self.project.to_owned(),
            };
            let (name, at) = match &build.dockerfile {
                Some(file) => (file.value.as_str(), Some(file.at)),
                None => (
                    "Dockerfile",
                    build.context.as_ref().map(|context| context.at),
                ),
            };
            if let Some(file) = &build.dockerfile {
                self.inside(&file.value, file.at)?;
            }
            if !context.join(name).is_file() {
                let place = context.join(name);
                let message = format!("no Dockerfile at `{}`", place.display());
                return Err(Fault::new(at.unwrap_or_default(), message));
            }
        }
        for copy in action.copy.iter().flat_map(|copies| &copies.0) {
            if copy.from.is_none() {
                self.inside(&copy.path.value, copy.path.at)?;
            }
        }
        Ok(())
    }

    fn directory(&self, path: &At<String>) -> Result<PathBuf, Fault> {
        let full = self.inside(&path.value, path.at)?;
        if full.is_dir() {
            Ok(full)
        } else {
            let message = format!("no directory `{}` in the project", path.value);
            Err(Fault::new(path.at, message))
        }
    }

    /// The path, which stays in the project whatever links are on its way.
    fn inside(&self, path: &str, at: Position) -> Result<PathBuf, Fault> {
        let mut depth: usize = 0;
        for part in Path::new(path).components() {
            let up = match part {
                Component::Normal(_) => {
                    depth += 1;
                    true
                }
                Component::CurDir => true,
                Component::ParentDir => depth.checked_sub(1).map(|less| depth = less).is_some(),
                Component::RootDir | Component::Prefix(_) => false,
            };
            if !up {
                return Err(self.outside(path, at));
            }
        }
        let full = self.project.join(path);
        match full.canonicalize() {
            Ok(real) if !real.starts_with(self.project) => Err(self.outside(path, at)),
            _ => Ok(full),
        }
    }

    fn outside(&self, path: &str, at: Position) -> Fault {
        let fault = Fault::new(at, format!("the path `{path}` is outside the project"));
        fault.help(format!(
            "the project is `{}`; another is set with `--project DIR`",
            self.project.display()
        ))
    }

    fn rest(&self, action: &Action, kind: Kind) -> Result<(), Fault> {
        for platform in &action.platforms {
            if !is_platform(&platform.value) {
                let fault = Fault::new(platform.at, format!("`{}` is no platform", platform.value));
                return Err(fault.help("write OS/ARCH or OS/ARCH/VARIANT, e.g. `linux/arm64`"));
            }
        }
        if let Some(words) = &action.run
            && words.0.first().is_none_or(String::is_empty)
        {
            return Err(Fault::new(
                Position::default(),
                format!("`{}` has no command", kind.name()),
            ));
        }
        let files = action
            .file
            .iter()
            .flat_map(|files| &files.0)
            .filter_map(|file| file.mode.as_ref());
        let dirs = action
            .mkdir
            .iter()
            .flat_map(|dirs| &dirs.0)
            .filter_map(|dir| dir.mode.as_ref());
        let http = action.http.iter().filter_map(|http| http.mode.as_ref());
        for mode in files.chain(dirs).chain(http) {
            if u32::from_str_radix(&mode.value.0, 8).is_err() {
                let fault = Fault::new(mode.at, format!("`{}` is no mode", mode.value.0));
                return Err(fault.help("write it in octal and in quotes, e.g. `\"0755\"`"));
            }
        }
        Ok(())
    }
}

fn is_platform(text: &str) -> bool {
    let parts: Vec<_> = text.split('/').collect();
    matches!(parts.len(), 2 | 3)
        && parts.iter().all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
}

/// References to exactly one action.
pub(super) fn references(action: &Action) -> Vec<&At<String>> {
    let mut all: Vec<&At<String>> = action.from.iter().collect();
    all.extend(
        action
            .copy
            .iter()
            .flat_map(|copies| &copies.0)
            .filter_map(|copy| copy.from.as_ref()),
    );
    all.extend(action.merge.iter().flatten());
    all.extend(
        action
            .diff
            .iter()
            .flat_map(|diff| [&diff.lower, &diff.upper]),
    );
    all.extend(
        action
            .mounts
            .iter()
            .filter_map(|mount| mount.value.action.as_ref()),
    );
    all.extend(
        action
            .build
            .iter()
            .flat_map(|build| build.contexts.values()),
    );
    all
}

fn output_path(output: &Output) -> Option<&str> {
    [&output.local, &output.tar, &output.oci, &output.docker]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .next()
}

fn unique_outputs(planned: &[Planned]) -> Result<(), Fault> {
    let mut seen: BTreeMap<String, (&str, Position)> = BTreeMap::new();
    for action in planned {
        for output in &action.action.outputs {
            let place = match (output_path(&output.value), &output.value.image) {
                (Some(path), _) => {
                    let parts = Path::new(path).components();
                    let plain = parts.filter(|part| !matches!(part, Component::CurDir));
                    plain.collect::<PathBuf>().display().to_string()
                }
                (None, Some(image)) => format!("image {image}"),
                (None, None) => continue,
            };
            if let Some((other, at)) = seen.insert(place.clone(), (&action.name, output.at)) {
                let message = format!(
                    "duplicate output `{place}`: the action `{other}` has it too, in line {}",
                    at.line
                );
                return Err(
                    Fault::new(output.at, message).help("give each output a place of its own")
                );
            }
        }
    }
    Ok(())
}

/// Actions after what they need, otherwise as in the file.
fn order(planned: Vec<Planned>) -> Result<Vec<Planned>, Fault> {
    let mut places: Vec<Option<usize>> = vec![None; planned.len()];
    let mut sorted = Vec::new();
    while sorted.len() < planned.len() {
        let ready: Vec<usize> = planned
            .iter()
            .enumerate()
            .filter(|(index, action)| {
                places.get(*index) == Some(&None)
                    && action
                        .needs
                        .iter()
                        .all(|need| places.get(*need).copied().flatten().is_some())
            })
            .map(|(index, _)| index)
            .collect();
        if ready.is_empty() {
            return Err(cycle(&planned, &places));
        }
        for index in ready {
            if let Some(place) = places.get_mut(index) {
                *place = Some(sorted.len());
            }
            sorted.push(index);
        }
    }
    let mut actions: Vec<Option<Planned>> = planned.into_iter().map(Some).collect();
    let sorted = sorted.into_iter().filter_map(|index| {
        let mut action = actions.get_mut(index)?.take()?;
        action.needs = action
            .needs
            .iter()
            .filter_map(|need| places.get(*need).copied().flatten())
            .collect();
        action.needs.sort_unstable();
        Some(action)
    });
    Ok(sorted.collect())
}

/// Follows needs among what is left until an action comes again.
fn cycle(planned: &[Planned], places: &[Option<usize>]) -> Fault {
    let left = |index: &usize| places.get(*index) == Some(&None);
    let mut path: Vec<usize> = (0..planned.len()).find(left).into_iter().collect();
    while let Some(next) = path
        .last()
        .and_then(|last| planned.get(*last))
        .and_then(|action| action.needs.iter().copied().find(left))
    {
        if let Some(begin) = path.iter().position(|known| *known == next) {
            path.drain(..begin);
            path.push(next);
            break;
        }
        path.push(next);
    }
    let names = path.iter().filter_map(|index| planned.get(*index));
    let names: Vec<_> = names.map(|action| action.name.as_str()).collect();
    let at = path
        .first()
        .and_then(|index| planned.get(*index))
        .map_or(Position::default(), |action| action.at);
    Fault::new(
        at,
        format!("the actions need each other: {}", names.join(" -> ")),
    )
    .help("take one of these arrows away")
}
