//! A build's trace as BuildKit stores it: the Go SDK's span stubs, one JSON object after another.
//!
//! Lives here: reading such a text into [`Span`](super::model::Span)s. Elsewhere: getting it from the
//! daemon (`buildkit`). Start at [`read`].

mod stub;

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Deserializer, Value as Json};

use super::model::{Resource, Span, TraceId};

/// Spans read of one text at most.
const SPANS: usize = 200_000;

/// What a text of span stubs held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stubs {
    /// The spans, each id once, in the text's order.
    pub spans: Vec<Span>,
    /// Objects that are no span.
    pub unreadable: usize,
    /// Spans of other traces.
    pub foreign: usize,
    /// Where the text stopped being readable, if it did.
    pub broken: Option<String>,
}

/// Reads the spans of one trace. What cannot be read is counted, and what comes after it is read.
pub fn read(text: &[u8], trace: TraceId) -> Stubs {
    let mut stubs = Stubs::default();
    let mut seen = HashSet::new();
    let mut resources: Vec<(Json, Arc<Resource>)> = Vec::new();
    for json in Deserializer::from_slice(text).into_iter::<Json>() {
        let json = match json {
            Ok(json) => json,
            Err(error) => {
                stubs.broken = Some(error.to_string());
                break;
            }
        };
        let Some(mut span) = stub::span(&json) else {
            stubs.unreadable += 1;
            continue;
        };
        if span.trace != trace {
            stubs.foreign += 1;
            continue;
        }
        if stubs.spans.len() == SPANS {
            stubs.broken = Some(format!("more than {SPANS} spans"));
            break;
        }
        if !seen.insert(span.id) {
            continue;
        }
        let of = json.get("Resource").unwrap_or(&Json::Null);
        let known = resources.iter().find(|(known, _)| known == of);
        span.resource = match known {
            Some((_, resource)) => resource.clone(),
            None => {
                let resource = Arc::new(stub::resource(of));
                resources.push((of.clone(), resource.clone()));
                resource
            }
        };
        stubs.spans.push(span);
    }
    stubs
}

#[cfg(test)]
mod tests;
