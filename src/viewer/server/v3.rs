//! Jaeger's query API, version 3: the stable one, in OTLP's JSON.

use axum::extract::{Path, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::Served;
use super::answer::{Refused, Shape, found};
use super::durations::truth;
use super::parameters::Parameters;
use super::search::{Search, moment};
use super::summaries::summary;
use crate::trace::model::TraceId;
use crate::trace::otlp;

pub(super) async fn services(State(served): State<Served>) -> Response {
    served
        .answer(Shape::V3, |store| {
            found(&json!({"services": store.services()?}))
        })
        .await
}

pub(super) async fn operations(State(served): State<Served>, parameters: Parameters) -> Response {
    served
        .answer(Shape::V3, move |store| {
            let service = parameters.get(&["service"]).unwrap_or_default();
            let kind = parameters.get_v3("span_kind");
            let operations = store.operations(service)?.into_iter();
            let listed: Vec<_> = operations
                .filter(|of| kind.is_none_or(|kind| kind == of.kind.word()))
                .map(|of| json!({"name": of.name, "spanKind": of.kind.word()}))
                .collect();
            found(&json!({"operations": listed}))
        })
        .await
}

pub(super) async fn search(State(served): State<Served>, parameters: Parameters) -> Response {
    served
        .answer(Shape::V3, move |store| {
            raw(&parameters)?;
            let traces = Search::v3(&parameters)?.find(store)?;
            let entries: Vec<_> = traces
                .iter()
                .flat_map(|(_, spans)| otlp::entries(spans))
                .collect();
            result(&entries)
        })
        .await
}

pub(super) async fn summaries(State(served): State<Served>, parameters: Parameters) -> Response {
    served
        .answer(Shape::V3, move |store| {
            let traces = Search::v3(&parameters)?.find(store)?;
            let summaries = traces.iter().map(|(id, spans)| summary(*id, spans));
            found(&json!({"summaries": summaries.collect::<Json>()}))
        })
        .await
}

pub(super) async fn trace(
    State(served): State<Served>,
    Path(text): Path<String>,
    parameters: Parameters,
) -> Response {
    served
        .answer(Shape::V3, move |store| {
            let id = id(&text).ok_or_else(|| {
                Refused::bad(format!(
                    "malformed parameter trace_id: strconv.ParseUint: parsing {text:?}: invalid syntax"
                ))
            })?;
            // They only help other stores to find a trace.
            for name in ["start_time", "end_time"] {
                if let Some(text) = parameters.get_v3(name) {
                    moment(text).map_err(|error| {
                        Refused::bad(format!("malformed parameter {name}: {error}"))
                    })?;
                }
            }
            raw(&parameters)?;
            result(&otlp::entries(&store.trace(id)?))
        })
        .await
}

/// All spans are as they are stored, so that this changes nothing; but it must make sense.
fn raw(parameters: &Parameters) -> Result<(), Refused> {
    for name in ["raw_traces", "query.raw_traces"] {
        if let Some(text) = parameters.get_v3(name)
            && truth(text).is_none()
        {
            return Err(Refused::bad(format!(
                "malformed parameter {name}: strconv.ParseBool: parsing {text:?}: invalid syntax"
            )));
        }
    }
    Ok(())
}

fn result(entries: &[otlp::Entry<'_>]) -> Result<Response, Refused> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Found<'a> {
        resource_spans: &'a [otlp::Entry<'a>],
    }
    #[derive(Serialize)]
    struct Body<'a> {
        result: Found<'a>,
    }
    if entries.is_empty() {
        return Err(Refused::not_found("No traces found"));
    }
    found(&Body {
        result: Found {
            resource_spans: entries,
        },
    })
}

/// A trace's id in hex, or in one of the spellings of base64.
fn id(text: &str) -> Option<TraceId> {
    if let Ok(id) = text.parse() {
        return Some(id);
    }
    if text.len() > 24 {
        return None;
    }
    let engines = [&STANDARD, &URL_SAFE, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD];
    let bytes = engines.iter().find_map(|engine| engine.decode(text).ok())?;
    let id = match bytes.len() {
        16 => u128::from_be_bytes(bytes.try_into().ok()?),
        8 => u128::from(u64::from_be_bytes(bytes.try_into().ok()?)),
        _ => return None,
    };
    (id != 0).then_some(TraceId(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hex_or_base64() {
        let one = TraceId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
        for text in [
            "0102030405060708090A0b0c0d0e0f10",
            "AQIDBAUGBwgJCgsMDQ4PEA==",
            "AQIDBAUGBwgJCgsMDQ4PEA",
        ] {
            assert_eq!(id(text), Some(one), "{text}");
        }
        for text in [
            "",
            "0",
            "xyz",
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "AQIDBAUGBwgJCgsMDQ4PEAAAAA==",
        ] {
            assert_eq!(id(text), None, "{text}");
        }
    }
}
