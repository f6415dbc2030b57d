//! What a failed build's status says: the daemon's words, the places in the source, the steps.
//!
//! The details of the status are JSON inside `google.rpc.Status` (`solver/errdefs`, `util/stack`).
//! Names and fields that are not known are passed over.

use base64::Engine as _;
use prost::Message;
use serde::Deserialize;

use super::error::BuildkitError;
use crate::proto::google::rpc;

/// Prefix of the type URLs of BuildKit's details.
const TYPE_PREFIX: &str = "github.com/moby/buildkit/";

/// Why a build failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildFailure {
    /// The daemon's words.
    pub message: String,
    /// Places in the source, innermost first.
    pub sources: Vec<FailedSource>,
    /// Digests of the steps that failed, innermost first.
    pub vertices: Vec<String>,
}

/// A place in a source file (`errdefs.Source`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedSource {
    /// The file's name.
    pub filename: String,
    /// The whole file.
    pub text: String,
    /// First and last line of each range, from 1.
    pub lines: Vec<(u32, u32)>,
}

impl BuildFailure {
    /// Reads a refused call.
    pub fn from_error(error: &BuildkitError) -> Option<Self> {
        error.status().map(Self::from_status)
    }

    fn from_status(status: &tonic::Status) -> Self {
        let mut failure = Self {
            message: status.message().to_owned(),
            ..Self::default()
        };
        let Ok(rich) = rpc::Status::decode(status.details()) else {
            return failure;
        };
        // The outermost error comes first; people look for the innermost.
        for detail in rich.details.iter().rev() {
            let Some(name) = detail
                .type_url
                .rsplit_once(TYPE_PREFIX)
                .map(|(_, name)| name)
            else {
                continue;
            };
            match name {
                "errdefs.Source+json" => failure.sources.extend(source(&detail.value)),
                "errdefs.Vertex+json" => {
                    let vertex = serde_json::from_slice::<Vertex>(&detail.value);
                    failure
                        .vertices
                        .extend(vertex.ok().map(|vertex| vertex.digest));
                }
                _ => {}
            }
        }
        failure
    }
}

#[derive(Deserialize)]
struct Vertex {
    digest: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Source {
    info: Option<Info>,
    ranges: Vec<Range>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    filename: String,
    data: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Position {
    line: u32,
}

fn source(json: &[u8]) -> Option<FailedSource> {
    let source: Source = serde_json::from_slice(json).ok()?;
    let info = source.info?;
    let text = base64::engine::general_purpose::STANDARD
        .decode(info.data)
        .ok()?;
    let lines = source
        .ranges
        .iter()
        .map(|range| (range.start.line, range.end.line.max(range.start.line)));
    Some(FailedSource {
        filename: info.filename,
        text: String::from_utf8_lossy(&text).into_owned(),
        lines: lines.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(details: &[(&str, &str)]) -> tonic::Status {
        let any = |(name, json): &(&str, &str)| prost_types::Any {
            type_url: format!("{TYPE_PREFIX}{name}"),
            value: json.as_bytes().to_vec(),
        };
        let rich = rpc::Status {
            code: 2,
            message: "boom".into(),
            details: details.iter().map(any).collect(),
        };
        tonic::Status::with_details(tonic::Code::Unknown, "boom", rich.encode_to_vec().into())
    }

    #[test]
    fn innermost_source_comes_first() {
        let failure = BuildFailure::from_status(&status(&[
            (
                "errdefs.Source+json",
                r#"{"info":{"filename":"outer","data":"YQ=="},"ranges":[{"start":{"line":1}}]}"#,
            ),
            ("errdefs.Vertex+json", r#"{"digest":"sha256:aa"}"#),
            (
                "errdefs.Source+json",
                r#"{"info":{"filename":"inner","data":"YgpjCg=="},"ranges":[{"start":{"line":2},"end":{"line":2}}]}"#,
            ),
        ]));
        let names: Vec<_> = failure
            .sources
            .iter()
            .map(|source| source.filename.as_str())
            .collect();
        assert_eq!(names, ["inner", "outer"]);
        assert_eq!(failure.sources[0].lines, [(2, 2)]);
        assert_eq!(failure.sources[1].lines, [(1, 1)]);
        assert_eq!(failure.vertices, ["sha256:aa"]);
    }

    #[test]
    fn unknown_and_broken_details_are_passed_over() {
        let failure = BuildFailure::from_status(&status(&[
            ("stack.Stack+json", "{"),
            ("errdefs.Source+json", "[]"),
        ]));
        assert_eq!(
            failure,
            BuildFailure {
                message: "boom".into(),
                ..BuildFailure::default()
            }
        );
    }
}
