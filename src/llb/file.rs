//! Changing files without a container: copy, write, make directories, remove, link.

use super::path::{clean, join, join_keeping_end};
use super::vertex::{Builder, EMPTY, State, index_of};
use crate::proto::pb;
use pb::file_action::Action;

/// Of time: as it is, or now.
const KEPT: i64 = -1;

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// By number.
    Id(u32),
    /// By its name in the file system that is changed.
    Name(String),
}

/// Whom files belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Absent: root.
    pub user: Option<User>,
    /// Absent: the user's own number, root.
    pub group: Option<User>,
}

impl Owner {
    /// Reads `USER[:GROUP]`, each a name or a number.
    pub fn parse(text: &str) -> Self {
        let one = |text: &str| match text.parse() {
            _ if text == "root" => User::Id(0),
            Ok(id) => User::Id(id),
            Err(_) => User::Name(text.to_owned()),
        };
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        Self {
            user: Some(one(user)),
            group: group.map(one),
        }
    }
}

/// What may be done with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its bits.
    Bits(u32),
    /// As `chmod` reads it, e.g. `u+x`.
    Text(String),
}

/// How files are copied.
#[derive(Clone, Debug, Default)]
pub struct Copy {
    /// Whom they belong to; absent: root.
    pub owner: Option<Owner>,
    /// Their mode; absent: as they have it.
    pub mode: Option<Mode>,
    /// Symbolic links in the source are followed.
    pub follow_symlink: bool,
    /// Of a directory only what is in it.
    pub contents: bool,
    /// Archives are unpacked.
    pub unpack: bool,
    /// The destination's directories are made.
    pub parents: bool,
    /// The source may have wildcards.
    pub wildcard: bool,
    /// Wildcards may find nothing.
    pub empty_wildcard: bool,
    /// Only these.
    pub include: Vec<String>,
    /// Not these.
    pub exclude: Vec<String>,
    /// These must be among them.
    pub required: Vec<String>,
    /// What is there in another form is replaced.
    pub replace: bool,
}

/// Changes to one file system, one after the other.
#[derive(Clone, Debug)]
pub struct File {
    base: State,
    directory: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    from: Option<State>,
    owner: Option<Owner>,
    action: Action,
}

impl File {
    /// Changes to `base`; paths that don't begin with `/` are seen from `directory`.
    pub fn on(base: &State, directory: &str) -> Self {
        Self {
            base: base.clone(),
            directory: directory.to_owned(),
            steps: Vec::new(),
        }
    }

    /// Copies `path` of `from`.
    #[must_use]
    pub fn copy(mut self, from: &State, path: &str, to: &str, copy: Copy) -> Self {
        let (mode, mode_str) = match copy.mode {
            None => (-1, String::new()),
            Some(Mode::Bits(bits)) => (bits_of(bits, u32::MAX), String::new()),
            Some(Mode::Text(text)) => (0, text),
        };
        let path = clean(path);
        let action = Action::Copy(pb::FileActionCopy {
            src: clean(&format!("/{path}")),
            dest: join_keeping_end(&self.directory, to),
            mode,
            mode_str,
            follow_symlink: copy.follow_symlink,
            dir_copy_contents: copy.contents,
            attempt_unpack_docker_compatibility: copy.unpack,
            create_dest_path: copy.parents,
            allow_wildcard: copy.wildcard,
            allow_empty_wildcard: copy.empty_wildcard,
            timestamp: KEPT,
            include_patterns: copy.include,
            exclude_patterns: copy.exclude,
            required_paths: copy.required,
            always_replace_existing_dest_paths: copy.replace,
            ..pb::FileActionCopy::default()
        });
        self.steps.push(Step {
            from: Some(from.clone()),
            owner: copy.owner,
            action,
        });
        self
    }

    /// Writes a file. `time`: in nanoseconds since the epoch; absent: when it is built.
    #[must_use]
    pub fn mkfile(
        self,
        path: &str,
        mode: u32,
        data: &[u8],
        owner: Option<Owner>,
        time: Option<i64>,
    ) -> Self {
        let action = Action::Mkfile(pb::FileActionMkFile {
            path: join(&self.directory, path),
            mode: bits_of(mode, 0o777),
            data: data.to_vec().into(),
            timestamp: time.unwrap_or(KEPT),
            ..pb::FileActionMkFile::default()
        });
        self.with(owner, action)
    }

    /// Makes a directory; with `parents` those above it too.
    #[must_use]
    pub fn mkdir(self, path: &str, mode: u32, parents: bool, owner: Option<Owner>) -> Self {
        let action = Action::Mkdir(pb::FileActionMkDir {
            path: join(&self.directory, path),
            mode: bits_of(mode, 0o777),
            make_parents: parents,
            timestamp: KEPT,
            ..pb::FileActionMkDir::default()
        });
        self.with(owner, action)
    }

    /// Removes a path and what is under it.
    #[must_use]
    pub fn rm(self, path: &str, allow_not_found: bool, wildcard: bool) -> Self {
        let action = Action::Rm(pb::FileActionRm {
            path: join(&self.directory, path),
            allow_not_found,
            allow_wildcard: wildcard,
        });
        self.with(None, action)
    }

    /// Makes `at` a symbolic link to `target`; both are taken as they are.
    #[must_use]
    pub fn symlink(self, target: &str, at: &str, owner: Option<Owner>, time: Option<i64>) -> Self {
        let action = Action::Symlink(pb::FileActionSymlink {
            oldpath: target.to_owned(),
            newpath: at.to_owned(),
            timestamp: time.unwrap_or(KEPT),
            ..pb::FileActionSymlink::default()
        });
        self.with(owner, action)
    }

    fn with(mut self, owner: Option<Owner>, action: Action) -> Self {
        self.steps.push(Step {
            from: None,
            owner,
            action,
        });
        self
    }

    /// The changes in a graph; without any, the file system as it is.
    pub fn state(self) -> State {
        if self.steps.is_empty() {
            return self.base;
        }
        let mut builder = Builder::default();
        builder.cap("file.base");
        let base = builder.shared(&self.base);
        let sources: Vec<_> = self
            .steps
            .iter()
            .map(|step| {
                step.from
                    .as_ref()
                    .map_or(EMPTY, |from| builder.shared(from))
            })
            .collect();
        let (known, last) = (builder.inputs.len(), self.steps.len() - 1);
        // Go's client lists the copies' sources from the last one to the first.
        let from = self.steps.iter().rev().filter_map(|step| step.from.clone());
        let inputs = std::iter::once(self.base.clone()).chain(from).collect();
        let actions = self.steps.into_iter().zip(sources).enumerate();
        let actions = actions.map(|(index, (step, source))| pb::FileAction {
            input: match index.checked_sub(1) {
                None => base,
                Some(before) => index_of(known + before),
            },
            secondary_input: source,
            output: if index == last { 0 } else { -1 },
            action: Some(owned(step.action, step.owner.as_ref(), base)),
        });
        let op = pb::FileOp {
            actions: actions.collect(),
        };
        builder.finish(pb::op::Op::File(op), None, inputs)
    }
}

/// The action with its owner, whose names are looked up in input `base`.
fn owned(mut action: Action, owner: Option<&Owner>, base: i64) -> Action {
    let user = |user: &User| pb::UserOpt {
        user: Some(match user {
            User::Id(id) => pb::user_opt::User::ById(*id),
            User::Name(name) => pb::user_opt::User::ByName(pb::NamedUserOpt {
                name: name.clone(),
                input: base,
            }),
        }),
    };
    let owner = owner.map(|owner| pb::ChownOpt {
        user: owner.user.as_ref().map(user),
        group: owner.group.as_ref().map(user),
    });
    match &mut action {
        Action::Copy(action) => action.owner = owner,
        Action::Mkfile(action) => action.owner = owner,
        Action::Mkdir(action) => action.owner = owner,
        Action::Symlink(action) => action.owner = owner,
        Action::Rm(_) => {}
    }
    action
}

fn bits_of(mode: u32, mask: u32) -> i32 {
    i32::try_from(mode & mask).unwrap_or(0o777)
}
