//! Reading an expectation file, and those that it extends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Expectations;
use super::baseline::Baseline;
use super::check::{Check, Kind};
use super::place::Place;
use super::schema::{Document, Level};
use super::waiver::Waiver;
use crate::document::{DecodeError, Fault, Node, Position, similar};
use crate::verify::finding::Severity;
use crate::verify::rules::{self, RULES};

/// The file that is read if none is named.
pub const NAME: &str = "trace.expect.yaml";

/// Largest file, in bytes.
const FILE_BYTES: usize = 1 << 20;

/// Longest chain of files that extend each other.
const CHAIN: usize = 16;

impl Expectations {
    /// Reads a file. What it extends has to be inside of `repository`, or beside it.
    ///
    /// # Errors
    /// When it cannot be read or something in it is wrong; with the place.
    pub fn load(file: &Path, shown: &Path, repository: &Path) -> Result<Self, Fault> {
        let mut chain = Vec::new();
        let mut found = Self::default();
        read(file, shown, repository, &mut chain, &mut found)?;
        Ok(found)
    }
}

/// Reads what the file extends into `found`, then the file itself on top of it.
fn read(
    file: &Path,
    shown: &Path,
    repository: &Path,
    chain: &mut Vec<PathBuf>,
    found: &mut Expectations,
) -> Result<(), Fault> {
    let unread = |problem: String| Fault::new(Position::default(), problem).within(shown, "");
    let real = file
        .canonicalize()
        .map_err(|error| unread(format!("cannot be read: {error}")))?;
    let size = std::fs::metadata(&real).map_or(0, |about| about.len());
    if size > FILE_BYTES as u64 {
        return Err(unread("is larger than 1 MiB".to_owned()));
    }
    let text = std::fs::read_to_string(&real)
        .map_err(|error| unread(format!("cannot be read: {error}")))?;
    let parsed = parse(&text).map_err(|fault| fault.within(shown, &text))?;
    chain.push(real);
    if let Some(extends) = &parsed.extends {
        let base = base(shown, file, &extends.value, repository, chain)
            .map_err(|problem| Fault::new(extends.at, problem).within(shown, &text))?;
        read(&base.0, &base.1, repository, chain, found)?;
    }
    add(parsed, shown, found).map_err(|fault| fault.within(shown, &text))
}

fn parse(text: &str) -> Result<Document, Fault> {
    let root = Node::from_yaml(text)?;
    match root
        .get("version")
        .map(|version| (&version.value, version.at))
    {
        Some((crate::document::Value::Integer(1), _)) => {}
        Some((_, at)) => {
            let fault = Fault::new(at, "this program knows version 1 of the format");
            return Err(fault.help("write `version: 1`"));
        }
        None => return Err(Fault::new(root.at, "`version` is missing").help("write `version: 1`")),
    }
    Document::deserialize(&root).map_err(DecodeError::fault)
}

/// The file that is extended, and how it is shown.
fn base(
    shown: &Path,
    file: &Path,
    extends: &str,
    repository: &Path,
    chain: &[PathBuf],
) -> Result<(PathBuf, PathBuf), String> {
    if Path::new(extends).is_absolute() {
        return Err(format!(
            "`{extends}` is absolute: name it from this file on"
        ));
    }
    let beside = |path: &Path| path.parent().unwrap_or(Path::new("")).join(extends);
    let (base, shown) = (beside(file), beside(shown));
    let real = base
        .canonicalize()
        .map_err(|error| format!("`{extends}` cannot be read: {error}"))?;
    let inside = repository
        .canonicalize()
        .is_ok_and(|root| real.starts_with(root));
    if !inside {
        return Err(format!(
            "`{extends}` lies outside of `{}`",
            repository.display()
        ));
    }
    if chain.contains(&real) {
        let round: Vec<String> = chain
            .iter()
            .chain([&real])
            .map(|path| {
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        return Err(format!(
            "these files extend each other: {}",
            round.join(" > ")
        ));
    }
    if chain.len() >= CHAIN {
        return Err(format!("more than {CHAIN} files extend each other"));
    }
    Ok((base, shown))
}

/// Puts a file's content on top of what it extends: of two with one name its own counts.
fn add(document: Document, shown: &Path, found: &mut Expectations) -> Result<(), Fault> {
    let place = |at: Position| Place {
        file: shown.to_owned(),
        at,
    };
    if document.name.is_some() {
        found.name = document.name;
    }
    for (id, level) in &document.rules {
        let rule = rules::find(id).ok_or_else(|| {
            let ids = RULES.iter().flat_map(|rule| [rule.id, rule.name]);
            let fault = Fault::new(level.at, format!("there is no rule `{id}`"));
            match similar(id, ids) {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault.help("`dagger trace rules` lists them"),
            }
        })?;
        found.levels.retain(|(other, _)| other.id != rule.id);
        found.levels.push((
            rule,
            match level.value {
                Level::Error => Some(Severity::Error),
                Level::Warn => Some(Severity::Warn),
                Level::Off => None,
            },
        ));
    }
    let lists = [
        (&document.expect, Kind::Expectation),
        (&document.budgets, Kind::Budget),
    ];
    let mut own: BTreeMap<String, Position> = BTreeMap::new();
    for (written, kind) in lists
        .into_iter()
        .flat_map(|(list, kind)| list.iter().map(move |one| (one, kind)))
    {
        let check = Check::read(written, kind, place(written.at))?;
        if let Some(first) = own.insert(check.name.clone(), written.at) {
            let message = format!(
                "`{}` is there twice, first in line {}",
                check.name, first.line
            );
            return Err(Fault::new(written.at, message));
        }
        match found
            .checks
            .iter_mut()
            .find(|other| other.name == check.name)
        {
            Some(other) => *other = check,
            None => found.checks.push(check),
        }
    }
    if let Some(baseline) = &document.baseline {
        found.baseline = Some(Baseline::read(&baseline.value, place)?);
    }
    for waiver in &document.waivers {
        found.waivers.push(Waiver::read(waiver, place(waiver.at))?);
    }
    Ok(())
}
