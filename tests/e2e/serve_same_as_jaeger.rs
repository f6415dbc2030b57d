//! Jaeger's query API as `dagger trace serve` answers it, held against real Jaegers that got the very same
//! bytes: version 1 against Jaeger v1, version 3 against Jaeger v2, field by field.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use dagger::trace::jaeger::decode;
use dagger::trace::model::{Span, TraceId};
use serde_json::{Value as Json, json};

use crate::serve_collector::COLLECTOR;
use crate::support::{Bed, Serve, bed_dir, get_json};
use crate::wire;

const BUILD: &[u8] = include_bytes!("../fixtures/traces/buildctl-build.json");
const BUILD_TRACE: &str = "9078779b6155c559f6ce1eea10bf1044";

/// Both of them, with the same spans.
///
/// All differences are told at the end.
pub(crate) struct Pair {
    different: RefCell<Vec<String>>,
    pub(crate) ours: String,
    theirs: String,
}

/// The traces of the test: a real build, and one with every kind of value.
fn traces() -> [Vec<Span>; 2] {
    let id: TraceId = BUILD_TRACE.parse().unwrap();
    [decode(BUILD, id).unwrap().unwrap().spans, wire::spans()]
}

fn post(url: &str, body: &[u8]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), body).unwrap();
    let status = Command::new("curl")
        .args([
            "-sS",
            "--fail",
            "-H",
            "content-type: application/x-thrift",
            "--data-binary",
        ])
        .arg(format!("@{}", file.path().display()))
        .arg(url)
        .status();
    assert!(status.unwrap().success());
}

/// Sends the traces to both, and waits until the other one shows them.
pub(crate) fn fill(serve: &Serve, collector: &str, theirs: String) -> Pair {
    for spans in traces() {
        for body in wire::caught_by_http(&spans) {
            post(collector, &body);
            post(&serve.at("collector"), &body);
        }
    }
    let pair = Pair {
        different: RefCell::default(),
        ours: serve.url(),
        theirs,
    };
    let until = Instant::now() + Duration::from_secs(30);
    for spans in traces() {
        let path = format!("/api/traces/{}?raw=true", spans[0].trace);
        let there = || {
            get_json(&format!("{}{path}", pair.theirs))["data"][0]["spans"]
                .as_array()
                .map_or(0, Vec::len)
        };
        while there() < spans.len() {
            assert!(
                Instant::now() < until,
                "{path}: {} of {}",
                there(),
                spans.len()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    pair
}

impl Pair {
    /// Both answers to a path, made comparable; the statuses are the same.
    fn ask(&self, path: &str, comparable: impl Fn(&mut Json)) -> [Json; 2] {
        let ask = |base: &str| {
            let output = Command::new("curl")
                .args(["-sS", "-w", "\n%{http_code}", &format!("{base}{path}")])
                .output()
                .expect("curl can be run");
            let text = String::from_utf8(output.stdout).unwrap();
            let (body, status) = text.rsplit_once('\n').unwrap();
            let mut json: Json =
                serde_json::from_str(body).unwrap_or_else(|_| panic!("{base}{path}: {body}"));
            comparable(&mut json);
            json!({"status": status, "body": json})
        };
        [ask(&self.ours), ask(&self.theirs)]
    }

    fn same(&self, path: &str, comparable: impl Fn(&mut Json)) {
        let [ours, theirs] = self.ask(path, comparable);
        let mut different = Vec::new();
        compare(String::new(), &ours, &theirs, &mut different);
        let mut all = self.different.borrow_mut();
        all.extend(different.iter().map(|field| format!("{path}: {field}")));
    }

    fn end(&self) {
        let different = self.different.borrow();
        let first = different.len().min(20);
        assert!(
            different.is_empty(),
            "{} fields:\n{}",
            different.len(),
            different[..first].join("\n")
        );
    }
}

/// Each field that is not the same.
fn compare(at: String, ours: &Json, theirs: &Json, different: &mut Vec<String>) {
    match (ours, theirs) {
        (Json::Object(one), Json::Object(other)) => {
            for key in one
                .keys()
                .chain(other.keys().filter(|key| !one.contains_key(*key)))
            {
                let (one, other) = (one.get(key), other.get(key));
                match (one, other) {
                    (Some(one), Some(other)) => {
                        compare(format!("{at}.{key}"), one, other, different)
                    }
                    _ => different.push(format!("{at}.{key}: ours {one:?}, Jaeger's {other:?}")),
                }
            }
        }
        (Json::Array(one), Json::Array(other)) if one.len() == other.len() => {
            for (number, (one, other)) in one.iter().zip(other).enumerate() {
                compare(format!("{at}[{number}]"), one, other, different);
            }
        }
        // 1 and 1.0 are one number.
        _ if ours == theirs || (ours.is_number() && ours.as_f64() == theirs.as_f64()) => {}
        _ => different.push(format!("{at}: ours {ours}, Jaeger's {theirs}")),
    }
}

fn sort(list: &mut Json) {
    if let Some(list) = list.as_array_mut() {
        list.sort_by_key(Json::to_string);
    }
}

/// Lists in one order: neither promises any.
fn listed(answer: &mut Json) {
    sort(&mut answer["data"]);
}

/// Traces and their spans in one order, each span with its process in the place of its name.
fn traced(answer: &mut Json) {
    for trace in answer["data"].as_array_mut().into_iter().flatten() {
        let processes: BTreeMap<String, Json> =
            serde_json::from_value(trace["processes"].take()).unwrap();
        for span in trace["spans"].as_array_mut().unwrap() {
            let mut process = processes[span["processID"].as_str().unwrap()].clone();
            sort(&mut process["tags"]);
            span["processID"] = process;
            for log in span["logs"].as_array_mut().into_iter().flatten() {
                // An event without a name has none here.
                let fields = log["fields"].as_array_mut().unwrap();
                fields.retain(|field| field["key"] != "event" || field["value"] != "");
                sort(&mut log["fields"]);
            }
            // Jaeger notes in which form a span came to it.
            let tags = span["tags"].as_array_mut().unwrap();
            tags.retain(|tag| tag["key"] != "internal.span.format");
            sort(&mut span["tags"]);
            sort(&mut span["references"]);
        }
        sort(&mut trace["spans"]);
    }
    sort(&mut answer["data"]);
}

#[test]
fn version_1_is_as_jaeger_v1_has_it() {
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path(), &COLLECTOR);
    let jaeger = Bed::up(&bed_dir("-same1"), &["jaeger"]);
    let pair = fill(&serve, &jaeger.collector(), jaeger.query_url());
    pair.same("/api/services", listed);
    let services = get_json(&format!("{}/api/services", pair.theirs));
    let services = services["data"].as_array().unwrap();
    assert_eq!(services.len(), 3, "{services:?}");
    for service in services {
        let service = service
            .as_str()
            .unwrap()
            .replace(' ', "%20")
            .replace('✓', "%E2%9C%93");
        pair.same(&format!("/api/services/{service}/operations"), listed);
        pair.same(&format!("/api/operations?service={service}"), listed);
        pair.same(
            &format!("/api/operations?service={service}&spanKind=server"),
            listed,
        );
    }
    for spans in traces() {
        let trace = spans[0].trace;
        pair.same(&format!("/api/traces/{trace}?raw=true"), traced);
        // What Jaeger has to say of clocks is not said here.
        pair.same(&format!("/api/traces/{trace}"), |answer| {
            traced(answer);
            for span in answer["data"][0]["spans"].as_array_mut().unwrap() {
                span["warnings"] = Json::Null;
            }
        });
        let start_us = spans
            .iter()
            .map(|span| span.start_ns / 1_000)
            .min()
            .unwrap();
        let window = format!(
            "service={}&start={}&end={}",
            spans[0]
                .service()
                .replace(' ', "%20")
                .replace('✓', "%E2%9C%93"),
            start_us,
            start_us + 60_000_000
        );
        for query in [
            "&raw=true&limit=5",
            "&operation=nothing",
            "&minDuration=1ms&maxDuration=1h",
            "&minDuration=50h",
            "&tags=%7B%22span.kind%22%3A%22server%22%7D",
            "&tag=span.kind:producer",
            "&tag=yes:true&tag=zero:0",
            "&tags=%7B%22error%22%3A%22true%22%7D",
        ] {
            pair.same(&format!("/api/traces?{window}{query}"), |answer| {
                traced(answer);
                for trace in answer["data"].as_array_mut().unwrap() {
                    for span in trace["spans"].as_array_mut().unwrap() {
                        span["warnings"] = Json::Null;
                    }
                }
            });
        }
    }
    let end_ms = traces()[0][0].start_ns / 1_000_000 + 60_000;
    pair.same(
        &format!("/api/dependencies?endTs={end_ms}&lookback=120000"),
        listed,
    );
    pair.same(
        &format!("/api/dependencies?endTs={end_ms}&lookback=1"),
        listed,
    );
    for path in [
        "/api/traces/abc",
        "/api/traces/xyz",
        "/api/traces/123456789012345678901234567890123",
        "/api/traces",
        "/api/traces?service=",
        "/api/traces?service=s&start=x",
        "/api/traces?service=s&limit=x",
        "/api/traces?service=s&minDuration=7",
        "/api/traces?service=s&maxDuration=7parsec",
        "/api/traces?service=s&minDuration=2s&maxDuration=1s",
        "/api/traces?service=s&tag=x",
        "/api/traces?traceID=abc&traceID=def",
        "/api/traces?traceID=xyz",
        "/api/operations",
        "/api/dependencies?endTs=x",
        "/api/metrics/calls?service=s",
    ] {
        pair.same(path, |_| {});
    }
    pair.end();
}

/// Without what is empty: protobuf's JSON may say it or not.
fn without_empty(json: &mut Json) {
    let empty = |json: &Json| {
        matches!(json, Json::Null)
            || json == ""
            || json == 0
            || json.as_array().is_some_and(Vec::is_empty)
            || json.as_object().is_some_and(serde_json::Map::is_empty)
    };
    match json {
        Json::Array(list) => list.iter_mut().for_each(without_empty),
        Json::Object(object) => {
            object.values_mut().for_each(without_empty);
            // A value may be empty, and is there.
            object.retain(|key, value| key.ends_with("Value") || !empty(value));
        }
        _ => {}
    }
}

/// Entries and attributes in one order; spans with their resource in them.
fn result(answer: &mut Json) {
    without_empty(answer);
    let mut spans = Vec::new();
    for entry in answer["result"]["resourceSpans"]
        .as_array()
        .cloned()
        .unwrap_or_default()
    {
        for scope in entry["scopeSpans"].as_array().into_iter().flatten() {
            for span in scope["spans"].as_array().into_iter().flatten() {
                let mut span = span.clone();
                let mut follows = false;
                span["resource"] = entry["resource"].clone();
                span["scope"] = scope["scope"].clone();
                sort(&mut span["resource"]["attributes"]);
                // What Jaeger has to say of clocks is not said here.
                if let Some(attributes) = span["attributes"].as_array_mut() {
                    attributes.retain(|attribute| attribute["key"] != "@jaeger@warnings");
                }
                without_empty(&mut span);
                if span.get("attributes").is_some() {
                    sort(&mut span["attributes"]);
                }
                for event in span["events"].as_array_mut().into_iter().flatten() {
                    sort(&mut event["attributes"]);
                }
                // In order of time here, in the sender's order there.
                if span.get("events").is_some() {
                    sort(&mut span["events"]);
                }
                let fields = span.as_object_mut().unwrap();
                // Thrift says nothing of a span inside of a process; here it is internal.
                fields.retain(|key, value| key != "kind" || *value != 1);
                // This version of Jaeger leaves them out.
                fields.remove("flags");
                // Of a span without a parent it makes the span that it follows the parent, and says of each
                // link that it was one.
                let parent = fields.get("parentSpanId").cloned();
                for link in fields
                    .get_mut("links")
                    .and_then(Json::as_array_mut)
                    .into_iter()
                    .flatten()
                {
                    link.as_object_mut().unwrap().remove("attributes");
                    if Some(&link["spanId"]) == parent.as_ref() {
                        follows = true;
                    }
                }
                if follows {
                    fields.remove("parentSpanId");
                }
                spans.push(span);
            }
        }
    }
    if !spans.is_empty() {
        spans.sort_by_key(|span| span["spanId"].to_string());
        answer["result"] = spans.into();
    }
}

#[test]
fn version_3_is_as_jaeger_v2_has_it() {
    let state = tempfile::tempdir().unwrap();
    let serve = Serve::start(state.path(), &COLLECTOR);
    let jaeger = Bed::up(&bed_dir("-same3"), &["jaeger2"]);
    let pair = fill(
        &serve,
        &jaeger.fact("/jaeger2/collector_url"),
        jaeger.fact("/jaeger2/query_url"),
    );
    pair.same("/api/v3/services", |answer| sort(&mut answer["services"]));
    // Later versions than this one say `internal` where it says nothing.
    let operations = |answer: &mut Json| {
        for operation in answer["operations"].as_array_mut().into_iter().flatten() {
            let fields = operation.as_object_mut().unwrap();
            fields.retain(|key, value| key != "spanKind" || *value != "internal");
        }
        sort(&mut answer["operations"]);
    };
    for service in ["buildctl", "buildkitd", "wire%20%E2%9C%93", "nobody"] {
        pair.same(&format!("/api/v3/operations?service={service}"), operations);
        pair.same(
            &format!("/api/v3/operations?service={service}&span_kind=server"),
            operations,
        );
    }
    for spans in traces() {
        pair.same(&format!("/api/v3/traces/{}", spans[0].trace), result);
        let start_ns = spans.iter().map(|span| span.start_ns).min().unwrap();
        let time = |ns: u64| jiff::Timestamp::from_nanosecond(ns.into()).unwrap();
        let window = format!(
            "query.num_traces=9&query.start_time_min={}&query.start_time_max={}",
            time(start_ns),
            time(start_ns + 60_000_000_000)
        );
        let service = spans[0]
            .service()
            .replace(' ', "%20")
            .replace('✓', "%E2%9C%93");
        for query in [
            "",
            "&query.duration_min=1ms",
            "&query.duration_max=1h",
            "&query.operation_name=none",
            "&query.duration_min=50h",
        ] {
            let path = format!("/api/v3/traces?query.service_name={service}&{window}{query}");
            pair.same(&path, |answer| {
                result(answer);
                without_empty(answer);
            });
        }
    }
    for path in ["/api/v3/traces/abc", "/api/v3/traces/xyz", "/api/v3/traces"] {
        pair.same(path, |_| {});
    }
    let no_time =
        "/api/v3/traces?query.service_name=s&query.start_time_min=x&query.start_time_max=y";
    pair.same(no_time, |answer| {
        // Go goes on to show how it writes times.
        let message = answer["error"]["message"].as_str().unwrap();
        let parameter = message.split(": ").next().unwrap().to_owned();
        answer["error"]["message"] = parameter.into();
    });
    pair.end();
}
