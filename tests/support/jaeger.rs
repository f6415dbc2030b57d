//! What Jaeger has, read with a client of its own: ours is under test too.

use serde_json::Value;

use super::bed::bed;

/// The ids of a trace's spans in the bed's Jaeger, as stored: one that is there twice comes twice.
pub(crate) fn span_ids(trace: &str) -> Vec<String> {
    span_ids_of(&bed().query_url(), trace)
}

/// The same of another Jaeger.
pub(crate) fn span_ids_of(query_url: &str, trace: &str) -> Vec<String> {
    let url = format!("{query_url}/api/traces/{trace}?raw=true");
    let output = std::process::Command::new("curl")
        .args(["-sS", &url])
        .output()
        .expect("curl can be run");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let spans = answer["data"][0]["spans"].as_array().into_iter().flatten();
    spans
        .map(|span| span["spanID"].as_str().expect("an id").to_owned())
        .collect()
}
