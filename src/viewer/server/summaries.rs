//! A trace in a few numbers, as version 3 tells it.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value as Json, json};

use crate::trace::model::{Span, TraceId};

/// The summary of a trace; its root is the earliest span without a parent.
pub(super) fn summary(id: TraceId, spans: &[Span]) -> Json {
    let ids: HashSet<_> = spans.iter().map(|span| span.id).collect();
    let root = spans
        .iter()
        .filter(|span| span.parent.is_none())
        .min_by_key(|span| span.start_ns);
    let mut services: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let (mut errors, mut orphans) = (0_u64, 0_u64);
    for span in spans {
        let of = services.entry(span.service()).or_default();
        of.0 += 1;
        of.1 += u64::from(span.is_error());
        errors += u64::from(span.is_error());
        let orphan = span.parent.is_some_and(|parent| !ids.contains(&parent));
        orphans += u64::from(orphan);
    }
    let start = spans.iter().map(|span| span.start_ns).min().unwrap_or(0);
    let end = spans.iter().map(|span| span.end_ns).max().unwrap_or(0);
    let services = services.iter().map(|(name, (spans, errors))| {
        filled(json!({"name": name, "spanCount": spans, "errorSpanCount": errors}))
    });
    filled(json!({
        "traceId": id.to_string(),
        "rootServiceName": root.map(Span::service).unwrap_or_default(),
        "rootOperationName": root.map(|root| root.name.as_str()).unwrap_or_default(),
        "minStartTimeUnixNano": start.to_string(),
        "maxEndTimeUnixNano": end.to_string(),
        "spanCount": spans.len(),
        "errorSpanCount": errors,
        "orphanSpanCount": orphans,
        "services": services.collect::<Json>(),
    }))
}

/// Without what is empty or 0: protobuf's JSON leaves it out.
fn filled(mut json: Json) -> Json {
    if let Some(object) = json.as_object_mut() {
        object.retain(|_, value| !(value.as_str() == Some("") || value.as_u64() == Some(0)));
    }
    json
}
