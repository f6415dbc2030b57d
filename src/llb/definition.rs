//! The definition that is sent: every operation once, inputs first, the result's place last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use super::vertex::{State, Vertex, digest};
use crate::proto::pb;

/// The definition whose result is `state`; `None` for the empty file system, which has none.
pub fn definition(state: &State) -> Option<pb::Definition> {
    let input = state.input()?;
    let mut definition = pb::Definition::default();
    let mut seen = BTreeSet::new();
    collect(state.vertex()?, &mut definition, &mut seen);
    let result = pb::Op {
        inputs: vec![input],
        ..pb::Op::default()
    };
    let bytes = Bytes::from(result.encode_to_vec());
    let mut caps = vec!["constraints", "platform"];
    let all = || definition.metadata.values();
    if all().any(|metadata| metadata.ignore_cache) {
        caps.push("meta.ignorecache");
    }
    if all().any(|metadata| !metadata.description.is_empty()) {
        caps.push("meta.description");
    }
    let metadata = pb::OpMetadata {
        caps: caps.into_iter().map(|cap| (cap.to_owned(), true)).collect(),
        ..pb::OpMetadata::default()
    };
    definition.metadata.insert(digest(&bytes), metadata);
    definition.def.push(bytes);
    Some(definition)
}

/// The result of a definition that was made elsewhere, to go on with; `None` if it is not whole.
pub fn state_of(definition: &pb::Definition) -> Option<State> {
    let mut known: BTreeMap<String, Arc<Vertex>> = BTreeMap::new();
    for bytes in &definition.def {
        let op = pb::Op::decode(bytes.as_ref()).ok()?;
        let inputs = op.inputs.iter().map(|input| {
            let vertex = known.get(&input.digest)?;
            Some(State::of(vertex.clone(), input.index))
        });
        let inputs: Vec<State> = inputs.collect::<Option<_>>()?;
        if op.op.is_none() {
            return inputs.into_iter().next();
        }
        let digest = digest(bytes);
        let metadata = definition.metadata.get(&digest).cloned();
        let vertex = Vertex {
            bytes: bytes.clone(),
            digest: digest.clone(),
            metadata: metadata.unwrap_or_default(),
            inputs,
        };
        known.insert(digest, Arc::new(vertex));
    }
    None
}

/// Adds what `top` is made of. Without recursion, since a graph may be deep.
fn collect(top: &Arc<Vertex>, definition: &mut pb::Definition, seen: &mut BTreeSet<String>) {
    let mut stack = vec![(top.clone(), 0)];
    while let Some((vertex, next)) = stack.pop() {
        if next == 0 && !seen.insert(vertex.digest.clone()) {
            continue;
        }
        let child = vertex.inputs.get(next).map(State::vertex);
        match child {
            Some(child) => {
                let child = child.cloned();
                stack.push((vertex, next + 1));
                if let Some(child) = child {
                    stack.push((child, 0));
                }
            }
            None => {
                definition.def.push(vertex.bytes.clone());
                definition
                    .metadata
                    .insert(vertex.digest.clone(), vertex.metadata.clone());
            }
        }
    }
}
