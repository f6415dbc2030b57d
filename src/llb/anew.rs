//! The same graph with its local directories asked for anew.
//!
//! The engine keys what it reads of a session by the session and by what it asks for there. Once a step on
//! top of it has been solved, that key is enough to find the step's result again in the same session; the
//! files are not looked at. A result that was found so cannot be told from its files in another session, and
//! the engine leaves it out of the caches that it writes (`solver/exporter.go`: keys that begin with `random:`).
//! Asking for the same files in other words makes it look at them.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

use super::definition::{definition, state_of};
use super::vertex::{State, digest};
use crate::proto::pb;

/// Names that a directory's files must not have, as a JSON list.
const EXCLUDED: &str = "local.excludepatterns";

/// The state, made of the same files. `mark` is part of a name that no file has; it has to differ from those
/// of other solves in the session.
pub fn asked_anew(state: &State, mark: &str) -> State {
    let marked = definition(state).map(|definition| marked(&definition, mark));
    let marked = marked.as_ref().and_then(state_of);
    marked.unwrap_or_else(|| state.clone())
}

fn marked(old: &pb::Definition, mark: &str) -> pb::Definition {
    let mut new = pb::Definition {
        source: old.source.clone(),
        ..pb::Definition::default()
    };
    let mut moved: BTreeMap<String, String> = BTreeMap::new();
    for bytes in &old.def {
        let known = digest(bytes);
        let changed = pb::Op::decode(bytes.as_ref()).ok();
        let changed =
            changed.and_then(|op| with_mark(&op, mark).or(with_inputs(bytes, &op, &moved)));
        let changed = changed.unwrap_or_else(|| bytes.clone());
        let renamed = digest(&changed);
        if let Some(metadata) = old.metadata.get(&known) {
            new.metadata.insert(renamed.clone(), metadata.clone());
        }
        new.def.push(changed);
        if renamed != known {
            moved.insert(known, renamed);
        }
    }
    new
}

/// A local directory with one name more that is excluded; `None` if it is something else.
fn with_mark(op: &pb::Op, mark: &str) -> Option<Bytes> {
    let Some(pb::op::Op::Source(source)) = &op.op else {
        return None;
    };
    if !source.identifier.starts_with("local://") {
        return None;
    }
    let mut source = source.clone();
    let names = source.attrs.get(EXCLUDED);
    let names = names.and_then(|names| serde_json::from_str(names).ok());
    let mut names: Vec<String> = names.unwrap_or_default();
    names.push(format!(".dagger/{mark}"));
    let names = serde_json::to_string(&names).ok()?;
    source.attrs.insert(EXCLUDED.to_owned(), names);
    let op = pb::Op {
        op: Some(pb::op::Op::Source(source)),
        ..op.clone()
    };
    Some(op.encode_to_vec().into())
}

/// The operation on moved inputs. In place, since it may be of a newer version than what is known here: digests
/// are as long as digests, and inputs come first.
fn with_inputs(bytes: &Bytes, op: &pb::Op, moved: &BTreeMap<String, String>) -> Option<Bytes> {
    let mut changed = bytes.to_vec();
    let mut from = 0;
    for input in &op.inputs {
        let rest = changed.get(from..)?;
        let at = from + find(rest, input.digest.as_bytes())?;
        let end = at + input.digest.len();
        if let Some(new) = moved.get(&input.digest) {
            changed.get_mut(at..end)?.copy_from_slice(new.as_bytes());
        }
        from = end;
    }
    Some(changed.into())
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len().max(1))
        .position(|here| here == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llb::{Exec, File, Local, Platform, Source};

    #[test]
    fn what_is_made_of_local_files_moves_and_nothing_else_does() {
        let amd64 = Platform::parse("linux/amd64").unwrap();
        let image = Source::image("docker.io/library/a:1").state(&amd64);
        let local = Source::local("src", &Local::default(), "u").state(&amd64);
        let copied = File::on(&image, "/").copy(&local, "/a", "/a", crate::llb::Copy::default());
        let exec = Exec {
            args: vec!["true".into()],
            ..Exec::default()
        };
        let state = exec.run(&copied.state(), &amd64).root().named("it");
        let anew = asked_anew(&state, "7");
        assert_ne!(anew.digest(), state.digest());
        assert_ne!(asked_anew(&state, "8").digest(), anew.digest());
        assert_eq!(asked_anew(&image, "7").digest(), image.digest());
        let (old, new) = (definition(&state).unwrap(), definition(&anew).unwrap());
        assert_eq!(old.def.len(), new.def.len());
        let same = old.def.iter().filter(|op| new.def.contains(op)).count();
        assert_eq!(same, 1, "the image");
        let names: Vec<_> = old
            .metadata
            .values()
            .map(|data| &data.description)
            .collect();
        let known = |data: &pb::OpMetadata| names.contains(&&data.description);
        assert!(new.metadata.values().all(known));
        let text = new
            .def
            .iter()
            .any(|op| find(op, br#"[".dagger/7"]"#).is_some());
        assert!(text);
    }
}
