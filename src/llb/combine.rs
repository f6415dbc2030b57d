//! Merge and diff: file systems out of file systems, without a container.

use super::vertex::{Builder, EMPTY, State};
use crate::proto::pb;

/// The layers on top of each other, later ones winning.
///
/// Empty ones are left out; of one alone nothing is made.
pub fn merge(layers: &[State]) -> State {
    let mut layers: Vec<_> = layers
        .iter()
        .filter(|layer| !layer.is_scratch())
        .cloned()
        .collect();
    if layers.len() < 2 {
        return layers.pop().unwrap_or_default();
    }
    let mut builder = Builder::default();
    builder.cap("mergeop");
    let inputs = layers.iter().map(|layer| pb::MergeInput {
        input: builder.own(layer),
    });
    let op = pb::MergeOp {
        inputs: inputs.collect(),
    };
    builder.finish(pb::op::Op::Merge(op), None, layers)
}

/// What `upper` has that `lower` has not, deletions included.
pub fn diff(lower: &State, upper: &State) -> State {
    if lower.is_scratch() {
        return upper.clone();
    }
    let mut builder = Builder::default();
    builder.cap("diffop");
    let op = pb::DiffOp {
        lower: Some(pb::LowerDiffInput {
            input: builder.own(lower),
        }),
        upper: Some(pb::UpperDiffInput {
            input: if upper.is_scratch() {
                EMPTY
            } else {
                builder.own(upper)
            },
        }),
    };
    builder.finish(
        pb::op::Op::Diff(op),
        None,
        vec![lower.clone(), upper.clone()],
    )
}
