//! Followed paths: names that may lead through symbolic links, and all the names on the way.
//!
//! A link is resolved inside the root, as if the root were `/`. Missing names are kept: they match
//! nothing.

use std::collections::BTreeSet;
use std::path::Path;

use super::patterns::{clean, component_matches};
use crate::session::error::SessionError;

/// The paths to include so that everything behind `paths` is sent, sorted, none below another.
/// `None`: the root itself is among them, so there is nothing to filter.
pub(super) fn resolve(root: &Path, paths: &[String]) -> Result<Option<Vec<String>>, SessionError> {
    let mut found = BTreeSet::new();
    let mut open: Vec<String> = paths.iter().rev().cloned().collect();
    while let Some(path) = open.pop() {
        let path = clean(&format!("/{path}"));
        let mut rest = path.trim_start_matches('/');
        let mut current = String::new();
        loop {
            let (part, after) = rest.split_once('/').unwrap_or((rest, ""));
            if !current.is_empty() {
                current.push('/');
            }
            current.push_str(part);
            let targets = targets(root, &current)?;
            if after.is_empty() || !targets.is_empty() {
                // Seen before: its targets are on their way, or this is a loop.
                if !found.insert(current.clone()) {
                    break;
                }
            }
            if !targets.is_empty() {
                open.extend(
                    targets
                        .into_iter()
                        .rev()
                        .map(|target| format!("{target}/{after}")),
                );
                break;
            }
            if after.is_empty() {
                break;
            }
            rest = after;
        }
    }
    Ok(without_nested(found.into_iter().collect()))
}

/// The paths that do not lie below another; they must be sorted. `None` if one is the root.
pub(super) fn without_nested(paths: Vec<String>) -> Option<Vec<String>> {
    let mut kept: Vec<String> = Vec::with_capacity(paths.len());
    for path in paths {
        if path.is_empty() || path == "." {
            return None;
        }
        let nested = kept.last().is_some_and(|last| {
            path.strip_prefix(last.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        });
        if !nested && kept.last() != Some(&path) {
            kept.push(path);
        }
    }
    Some(kept)
}

/// Where the links that `path` names lead, seen from the root; none if it names no link.
/// Its last component may be a wildcard.
fn targets(root: &Path, path: &str) -> Result<Vec<String>, SessionError> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    if !has_wildcard(name) {
        return Ok(link(root, directory, name).into_iter().collect());
    }
    let Ok(entries) = std::fs::read_dir(root.join(directory)) else {
        return Ok(Vec::new());
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let matching = names.iter().filter(|entry| component_matches(name, entry));
    Ok(matching
        .filter_map(|entry| link(root, directory, entry))
        .collect())
}

fn link(root: &Path, directory: &str, name: &str) -> Option<String> {
    let target = std::fs::read_link(root.join(directory).join(name)).ok()?;
    let target = target.to_str()?;
    Some(if target.starts_with('/') {
        clean(target)
    } else {
        clean(&format!("/{directory}/{target}"))
    })
}

fn has_wildcard(name: &str) -> bool {
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn resolved(links: &[(&str, &str)], paths: &[&str]) -> Option<Vec<String>> {
        let root = tempfile::tempdir().unwrap();
        for (from, to) in links {
            let from = root.path().join(from);
            std::fs::create_dir_all(from.parent().unwrap()).unwrap();
            symlink(to, from).unwrap();
        }
        let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
        resolve(root.path(), &paths).unwrap()
    }

    fn list(paths: &[&str]) -> Option<Vec<String>> {
        Some(paths.iter().map(|path| (*path).to_owned()).collect())
    }

    #[test]
    fn links_and_what_they_lead_to_are_included() {
        assert_eq!(resolved(&[("bar", "foo")], &["bar"]), list(&["bar", "foo"]));
        assert_eq!(
            resolved(&[("dir/l", "../x/y")], &["dir/l/z"]),
            list(&["dir/l", "x/y/z"])
        );
        assert_eq!(
            resolved(&[("a", "/b"), ("b", "c")], &["a"]),
            list(&["a", "b", "c"])
        );
    }

    #[test]
    fn loops_end_and_missing_names_stay() {
        assert_eq!(
            resolved(&[("a", "b"), ("b", "a")], &["a"]),
            list(&["a", "b"])
        );
        assert_eq!(resolved(&[], &["gone/x"]), list(&["gone/x"]));
    }

    #[test]
    fn a_wildcard_stays_and_its_links_are_followed() {
        assert_eq!(
            resolved(&[("l1", "t1"), ("l2", "t2"), ("x", "t3")], &["l*"]),
            list(&["l*", "t1", "t2"])
        );
    }

    #[test]
    fn nothing_leads_out_of_the_root_and_the_root_means_all() {
        assert_eq!(
            resolved(&[("up", "../../../etc")], &["up/passwd"]),
            list(&["etc/passwd", "up"])
        );
        assert_eq!(resolved(&[], &["."]), None);
        assert_eq!(resolved(&[("a", ".")], &["a"]), None);
    }
}
