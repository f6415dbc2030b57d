//! A build whose graph is a file that another build makes.

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::vertex::{Builder, Platform, State};
use crate::proto::pb;

/// The result of the graph in `filename` (absent: `buildkit.llb.definition`) of `source`.
pub fn build(source: &State, filename: Option<&str>, platform: &Platform) -> State {
    let mut builder = Builder::default();
    builder.cap("source.buildop.llbfilename");
    builder.own(source);
    let head = pb::BuildOp {
        // The graph itself says what makes it.
        builder: -1,
        ..pb::BuildOp::default()
    };
    let tail = pb::BuildOp {
        attrs: filename
            .map(|name| ("llbbuild.filename".to_owned(), name.to_owned()))
            .into_iter()
            .collect(),
        ..pb::BuildOp::default()
    };
    let mut body = head.encode_to_vec();
    body.extend_from_slice(&definition_from_first_input());
    body.extend(tail.encode_to_vec());
    let mut op = Vec::new();
    field(BUILD, &body, &mut op);
    builder.finish_encoded(&op, Some(platform), vec![source.clone()])
}

/// The field of `BuildOp.inputs` for input 0. Go writes a map's value though it is empty.
fn definition_from_first_input() -> Vec<u8> {
    let mut entry = Vec::new();
    field(1, b"buildkit.llb.definition", &mut entry);
    field(2, &[], &mut entry);
    let mut inputs = Vec::new();
    field(INPUTS, &entry, &mut inputs);
    inputs
}

/// The number of `build` in `Op`.
const BUILD: u32 = 5;

/// The number of `inputs` in `BuildOp`.
const INPUTS: u32 = 2;

fn field(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(u64::try_from(bytes.len()).unwrap_or_default(), out);
    out.extend_from_slice(bytes);
}
