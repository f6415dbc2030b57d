//! Finding and reading a plan file.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::check::{self, Named, Planned, SecretFrom};
use super::schema::{Action, Document};
use super::values::{PLAN_BYTES, Values};
use crate::document::{At, Fault, Node, Position, Scalar, Value, similar};
use crate::plan::PlanError;

/// Names that are looked for, in this order.
pub const NAMES: [&str; 5] = [
    "dagger.yaml",
    "dagger.yml",
    "dagger.json",
    "dagger.toml",
    "dagger.cue",
];

/// Largest plan file, in bytes.
const FILE_BYTES: u64 = 1 << 20;

/// Most actions of a plan, those of matrices counted one by one.
const ACTIONS: usize = 2_000;

/// What a plan is loaded with.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The directory of the command.
    pub cwd: &'a Path,
    /// The file, if it was named.
    pub plan: Option<&'a Path>,
    /// The project, if it was named; else the directory of the file.
    pub project: Option<&'a Path>,
    /// Values that were set.
    pub with: &'a [(String, String)],
    /// Gives a variable of the environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Turns a CUE file into JSON, or says why not.
    pub cue: &'a dyn Fn(&Path) -> Result<String, String>,
}

/// A plan that holds together.
#[derive(Clone, Debug)]
pub struct PlanFile {
    /// Where it was read from.
    pub file: PathBuf,
    /// Where its paths begin; real.
    pub project: PathBuf,
    /// Its actions, each after what it needs.
    pub actions: Vec<Planned>,
    pub(super) secrets: BTreeMap<String, (Position, SecretFrom)>,
    pub(super) text: String,
}

impl PlanFile {
    /// Finds the plan's file: the one that is named, or one of [`NAMES`] in the project.
    ///
    /// # Errors
    /// When there are two, or the named one is not there.
    pub fn find(given: Given<'_>) -> Result<Option<PathBuf>, PlanError> {
        if let Some(plan) = given.plan {
            let path = given.cwd.join(plan);
            return if path.is_file() {
                Ok(Some(path))
            } else {
                Err(PlanError::NoPlan { path })
            };
        }
        let directory = given
            .project
            .map_or(given.cwd.to_owned(), |project| given.cwd.join(project));
        let mut found = NAMES
            .iter()
            .map(|name| directory.join(name))
            .filter(|path| path.is_file());
        let (first, second) = (found.next(), found.next());
        match (first, second) {
            (Some(one), Some(other)) => Err(PlanError::TwoPlans { one, other }),
            (first, _) => Ok(first),
        }
    }

    /// Loads and checks a plan; `None`: there is no plan file.
    ///
    /// # Errors
    /// When it cannot be read, or something in it is wrong.
    pub fn load(given: Given<'_>) -> Result<Option<Self>, PlanError> {
        let Some(file) = Self::find(given)? else {
            return Ok(None);
        };
        let read = |source| PlanError::Read {
            path: file.clone(),
            source,
        };
        let size = std::fs::metadata(&file).map_err(read)?.len();
        let shown = file.strip_prefix(given.cwd).unwrap_or(&file).to_owned();
        let faulty =
            |fault: Fault, text: &str| PlanError::File(Box::new(fault.within(&shown, text)));
        if size > FILE_BYTES {
            let fault = Fault::new(Position::default(), "the file is larger than 1 MiB");
            return Err(faulty(fault, ""));
        }
        let kind = file
            .extension()
            .and_then(|kind| kind.to_str())
            .unwrap_or_default();
        let text = if kind == "cue" {
            let exported = (given.cue)(&file);
            exported.map_err(|message| faulty(Fault::new(Position::default(), message), ""))?
        } else {
            std::fs::read_to_string(&file).map_err(read)?
        };
        let project = match given.project {
            Some(project) => given.cwd.join(project),
            None => file.parent().unwrap_or(given.cwd).to_owned(),
        };
        let project = project
            .canonicalize()
            .map_err(|source| PlanError::Context {
                path: project.clone(),
                source,
            })?;
        // Lines and columns are those of what was read.
        let seen = if kind == "cue" {
            PathBuf::from(format!("{} as JSON", shown.display()))
        } else {
            shown.clone()
        };
        let parsed = parse(&text, kind == "toml", given, &project);
        let (actions, secrets) =
            parsed.map_err(|fault| PlanError::File(Box::new(fault.within(&seen, &text))))?;
        Ok(Some(Self {
            file: shown,
            project,
            actions,
            secrets,
            text,
        }))
    }

    /// The actions of these names, which may be those of whole matrices, and all that they need, in
    /// the plan's order; no names: all actions.
    ///
    /// # Errors
    /// When there is no action of a name.
    pub fn select(&self, names: &[String]) -> Result<Vec<usize>, PlanError> {
        let mut wanted = Vec::new();
        for name in names {
            let before = wanted.len();
            let matches = |action: &Planned| {
                action.name == *name || action.name.split('[').next() == Some(name.as_str())
            };
            let found = self
                .actions
                .iter()
                .enumerate()
                .filter(|(_, action)| matches(action));
            wanted.extend(found.map(|(index, _)| index));
            if wanted.len() == before {
                let known = self.actions.iter().map(|action| action.name.as_str());
                return Err(PlanError::NoAction {
                    name: name.clone(),
                    file: self.file.clone(),
                    near: similar(name, known).map(str::to_owned),
                });
            }
        }
        if names.is_empty() {
            wanted.extend(0..self.actions.len());
        }
        Ok(self.closed(wanted))
    }

    /// These actions and all that they need, in the plan's order.
    fn closed(&self, mut open: Vec<usize>) -> Vec<usize> {
        let mut closed = std::collections::BTreeSet::new();
        while let Some(index) = open.pop() {
            if closed.insert(index) {
                open.extend(
                    self.actions
                        .get(index)
                        .iter()
                        .flat_map(|action| &action.needs),
                );
            }
        }
        closed.into_iter().collect()
    }
}

type Parsed = (Vec<Planned>, BTreeMap<String, (Position, SecretFrom)>);

fn parse(text: &str, toml: bool, given: Given<'_>, project: &Path) -> Result<Parsed, Fault> {
    let mut root = if toml {
        Node::from_toml(text)?
    } else {
        Node::from_yaml(text)?
    };
    version(&root)?;
    let left = Cell::new(PLAN_BYTES);
    let args = args(&mut root, given, &left)?;
    let values = Values {
        args: &args,
        env: given.env,
        matrix: None,
        left: &left,
    };
    // Actions get their values one by one, since those of a matrix differ.
    let actions = root.get_mut("actions").map(|node| {
        let empty = Node {
            at: node.at,
            value: Value::Map(Vec::new()),
        };
        std::mem::replace(node, empty)
    });
    values.put_into(&mut root)?;
    let document = Document::deserialize(&root).map_err(crate::document::DecodeError::fault)?;
    let secrets = check::secrets(&document, project)?;
    let named = match actions {
        Some(actions) => named(actions, values)?,
        None => Vec::new(),
    };
    if named.is_empty() {
        let fault = Fault::new(root.at, "the plan has no actions");
        return Err(fault.help("add at least one under `actions`"));
    }
    Ok((check::check(named, &secrets, project)?, secrets))
}

/// Looked at first: another version may have other keys.
fn version(root: &Node) -> Result<(), Fault> {
    let Value::Map(_) = root.value else {
        return Err(Fault::new(
            root.at,
            "a plan is a map with `version` and `actions`",
        ));
    };
    match root.get("version") {
        Some(Node {
            value: Value::Integer(1),
            ..
        }) => Ok(()),
        Some(node) => Err(
            Fault::new(node.at, "this program knows version 1 of the plan format")
                .help("write `version: 1`"),
        ),
        None => Err(Fault::new(root.at, "`version` is missing").help("write `version: 1`")),
    }
}

/// The values of `args`, those that were set in place of the defaults.
fn args(
    root: &mut Node,
    given: Given<'_>,
    left: &Cell<usize>,
) -> Result<BTreeMap<String, String>, Fault> {
    let nothing = BTreeMap::new();
    let mut args = BTreeMap::new();
    if let Some(node) = root.get_mut("args") {
        let values = Values {
            args: &nothing,
            env: given.env,
            matrix: None,
            left,
        };
        values.put_into(node)?;
        let read: Result<BTreeMap<String, Scalar>, _> = Deserialize::deserialize(&*node);
        let read = read.map_err(crate::document::DecodeError::fault)?;
        args.extend(read.into_iter().map(|(name, value)| (name, value.0)));
    }
    for (name, value) in given.with {
        match args.get_mut(name) {
            Some(known) => known.clone_from(value),
            None => {
                let fault = Fault::new(
                    Position::default(),
                    format!("`--with {name}=...`: the plan has no such value"),
                );
                let help = match similar(name, args.keys().map(String::as_str)) {
                    Some(other) => format!("did you mean `{other}`?"),
                    None => "values are declared under `args`, with their defaults".to_owned(),
                };
                return Err(fault.help(help));
            }
        }
    }
    Ok(args)
}

/// The actions in the order of the file, matrices taken apart.
fn named(node: Node, values: Values<'_>) -> Result<Vec<Named>, Fault> {
    let Value::Map(entries) = node.value else {
        return Err(Fault::new(
            node.at,
            "`actions` is a map from names to actions",
        ));
    };
    let mut named = Vec::new();
    for (key, mut action) in entries {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if key.name.is_empty() || !key.name.chars().all(plain) {
            let fault = Fault::new(key.at, format!("`{}` is no name of an action", key.name));
            return Err(fault.help("use letters, digits, `-`, `_` and `.`"));
        }
        for combination in combinations(&mut action, values)? {
            if named.len() >= ACTIONS {
                return Err(Fault::new(
                    key.at,
                    format!("the plan has more than {ACTIONS} actions"),
                ));
            }
            let mut one = action.clone();
            let values = Values {
                matrix: Some(&combination),
                ..values
            };
            values.put_into(&mut one)?;
            let decoded: At<Action> =
                Deserialize::deserialize(&one).map_err(crate::document::DecodeError::fault)?;
            let all: Vec<_> = combination.values().map(String::as_str).collect();
            let name = if all.is_empty() {
                key.name.clone()
            } else {
                format!("{}[{}]", key.name, all.join(","))
            };
            named.push(Named {
                name,
                group: key.name.clone(),
                at: key.at,
                action: decoded.value,
            });
        }
    }
    Ok(named)
}

/// Every choice of one value for each name of the action's matrix; without one, one empty choice.
fn combinations(
    action: &mut Node,
    values: Values<'_>,
) -> Result<Vec<BTreeMap<String, String>>, Fault> {
    let mut all = vec![BTreeMap::new()];
    let Some(matrix) = action.get_mut("matrix") else {
        return Ok(all);
    };
    values.put_into(matrix)?;
    let at = matrix.at;
    let read: Result<BTreeMap<String, Vec<Scalar>>, _> = Deserialize::deserialize(&*matrix);
    for (name, choices) in read.map_err(crate::document::DecodeError::fault)? {
        if choices.is_empty() || all.len().saturating_mul(choices.len()) > ACTIONS {
            let message = format!("the matrix has no or more than {ACTIONS} combinations");
            return Err(Fault::new(at, message));
        }
        all = all
            .iter()
            .flat_map(|chosen: &BTreeMap<String, String>| {
                choices.iter().map(|choice| {
                    let mut chosen = chosen.clone();
                    chosen.insert(name.clone(), choice.0.clone());
                    chosen
                })
            })
            .collect();
    }
    Ok(all)
}
