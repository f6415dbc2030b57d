//! A vertex of the graph: an operation's bytes, their digest, and what it reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::proto::pb;

/// What an operation runs on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, ...
    pub architecture: String,
    /// `v7`; empty: none.
    pub variant: String,
}

impl Platform {
    /// Reads `os/architecture[/variant]`; `None` if it is not of that form.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (os, architecture) = (parts.next()?, parts.next()?);
        let variant = parts.next().unwrap_or_default();
        let plain = |part: &str| {
            part.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let well = !os.is_empty()
            && !architecture.is_empty()
            && parts.next().is_none()
            && [os, architecture, variant].into_iter().all(plain);
        well.then(|| Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
        })
    }

    /// The platform that this program was built for.
    pub fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: String::new(),
        }
    }

    /// As it is sent.
    pub fn to_pb(&self) -> pb::Platform {
        pb::Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
            ..pb::Platform::default()
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() {
            return Ok(());
        }
        write!(f, "/{}", self.variant)
    }
}

/// An operation in its final form.
#[derive(Debug)]
pub(super) struct Vertex {
    pub(super) bytes: Bytes,
    pub(super) digest: String,
    pub(super) metadata: pb::OpMetadata,
    /// In the order in which the definition lists them.
    pub(super) inputs: Vec<State>,
}

/// A file system in the graph: an output of an operation, or nothing yet.
///
/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct State(Option<Output>);

#[derive(Clone, Debug)]
struct Output {
    vertex: Arc<Vertex>,
    index: i64,
}

impl State {
    /// The empty file system.
    pub fn scratch() -> Self {
        Self(None)
    }

    /// Whether this is the empty file system.
    pub fn is_scratch(&self) -> bool {
        self.0.is_none()
    }

    /// The digest of the operation whose output this is; `None`: the empty file system.
    pub fn digest(&self) -> Option<&str> {
        self.0.as_ref().map(|output| output.vertex.digest.as_str())
    }

    /// The same with a name for people; the digest stays.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.with_metadata(|metadata| {
            metadata
                .description
                .insert("llb.customname".to_owned(), name.to_owned());
        })
    }

    /// The same, made anew in each build; the digest stays.
    #[must_use]
    pub fn uncached(self) -> Self {
        self.with_metadata(|metadata| metadata.ignore_cache = true)
    }

    fn with_metadata(self, change: impl FnOnce(&mut pb::OpMetadata)) -> Self {
        Self(self.0.map(|output| {
            let mut metadata = output.vertex.metadata.clone();
            change(&mut metadata);
            let vertex = Vertex {
                bytes: output.vertex.bytes.clone(),
                digest: output.vertex.digest.clone(),
                metadata,
                inputs: output.vertex.inputs.clone(),
            };
            Output {
                vertex: Arc::new(vertex),
                index: output.index,
            }
        }))
    }

    pub(super) fn vertex(&self) -> Option<&Arc<Vertex>> {
        self.0.as_ref().map(|output| &output.vertex)
    }

    /// An output of an operation that was made elsewhere.
    pub(super) fn of(vertex: Arc<Vertex>, index: i64) -> Self {
        Self(Some(Output { vertex, index }))
    }

    /// Another output of the same operation.
    pub(super) fn output(&self, index: i64) -> Self {
        Self(self.0.as_ref().map(|output| Output {
            vertex: output.vertex.clone(),
            index,
        }))
    }

    pub(super) fn input(&self) -> Option<pb::Input> {
        self.0.as_ref().map(|output| pb::Input {
            digest: output.vertex.digest.clone(),
            index: output.index,
        })
    }
}

/// An operation being put together: its inputs in order, its capabilities.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub(super) inputs: Vec<pb::Input>,
    caps: BTreeMap<String, bool>,
}

/// The index of the empty file system.
pub(super) const EMPTY: i64 = -1;

impl Builder {
    /// What the engine must know to run this.
    pub(super) fn cap(&mut self, name: &str) {
        self.caps.insert(name.to_owned(), true);
    }

    /// The index of `state` among the inputs, each kept once.
    pub(super) fn shared(&mut self, state: &State) -> i64 {
        let Some(input) = state.input() else {
            return EMPTY;
        };
        match self.inputs.iter().position(|known| *known == input) {
            Some(index) => index_of(index),
            None => self.push(input),
        }
    }

    /// The index of `state` as an input of its own.
    pub(super) fn own(&mut self, state: &State) -> i64 {
        state.input().map_or(EMPTY, |input| self.push(input))
    }

    fn push(&mut self, input: pb::Input) -> i64 {
        self.inputs.push(input);
        index_of(self.inputs.len().saturating_sub(1))
    }

    /// The finished vertex's first output.
    pub(super) fn finish(
        self,
        op: pb::op::Op,
        platform: Option<&Platform>,
        inputs: Vec<State>,
    ) -> State {
        let op = pb::Op {
            op: Some(op),
            ..pb::Op::default()
        };
        self.finish_encoded(&op.encode_to_vec(), platform, inputs)
    }

    /// As [`finish`](Self::finish), with the operation as a field of the message already.
    pub(super) fn finish_encoded(
        self,
        op: &[u8],
        platform: Option<&Platform>,
        inputs: Vec<State>,
    ) -> State {
        let message = pb::Op {
            inputs: self.inputs,
            op: None,
            platform: platform.map(Platform::to_pb),
            // Present though empty: Go's client sends it so, and its bytes count.
            constraints: Some(pb::WorkerConstraints::default()),
        };
        // Go writes a oneof after the other fields, whatever its number.
        let mut bytes = message.encode_to_vec();
        bytes.extend_from_slice(op);
        let bytes = Bytes::from(bytes);
        let vertex = Vertex {
            digest: digest(&bytes),
            bytes,
            metadata: pb::OpMetadata {
                caps: self.caps,
                ..pb::OpMetadata::default()
            },
            inputs,
        };
        State(Some(Output {
            vertex: Arc::new(vertex),
            index: 0,
        }))
    }
}

pub(super) fn index_of(position: usize) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// `sha256:` and 64 hex digits.
/// The digest that the engine tells of in place of `known` when the step is made anew though it is there
/// (`solver/jobs.go`).
pub fn made_anew(known: &str) -> String {
    digest(format!("{known}-ignorecache").as_bytes())
}

pub(super) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(71);
    text.push_str("sha256:");
    for byte in Sha256::digest(bytes) {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
