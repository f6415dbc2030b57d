//! The bytes that leave: what `dagger` sends to a collector and to an agent is caught by listeners, read by
//! Python's Jaeger classes, and handed on to real Jaegers. All of them must read the spans that were made.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dagger::trace::model::{
    Attributes, Event, Kind, Link, Resource, Span, SpanId, Status, TraceId, Value,
};
use serde_json::{Value as Json, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use crate::support::{Bed, Finished, bed, bed_dir, plain_span, push_all, waiting};

const TRACE: u128 = 0xf00d_0000_0000_0000_8000_0000_0000_0001;

/// Every kind, status and type of value, and what their bounds are.
pub(crate) fn spans() -> Vec<Span> {
    let text = |text: &str| Value::Str(text.into());
    let values: Attributes = vec![
        ("text".into(), text("zwölf Grüße 🛠 \u{0} \"quoted\"\n\\")),
        ("empty".into(), text("")),
        ("long".into(), text(&"é".repeat(5_000))),
        ("yes".into(), Value::Bool(true)),
        ("no".into(), Value::Bool(false)),
        ("zero".into(), Value::Int(0)),
        ("least".into(), Value::Int(i64::MIN)),
        ("most".into(), Value::Int(i64::MAX)),
        ("third".into(), Value::Float(1.0 / 3.0)),
        ("large".into(), Value::Float(-1.5e300)),
        ("small".into(), Value::Float(5e-324)),
        ("schlüssel".into(), text("a key beyond ASCII")),
    ];
    let resource = Arc::new(Resource {
        service: "wire ✓".into(),
        attributes: values.clone(),
    });
    let mut spans: Vec<_> = (1..=7).map(|id| plain_span(TRACE, id, &resource)).collect();
    spans[1].id = SpanId(u64::MAX);
    spans[1].parent = Some(SpanId(1));
    spans[1].attributes = values.clone();
    for (span, kind) in
        spans[2..]
            .iter_mut()
            .zip([Kind::Client, Kind::Server, Kind::Producer, Kind::Consumer])
    {
        span.kind = kind;
        span.parent = Some(SpanId(u64::MAX));
    }
    spans[2].status = Status::Ok;
    spans[3].status = Status::Error("it broke: ö".into());
    spans[4].status = Status::Error(String::new());
    spans[5].events = vec![
        Event {
            name: "output".into(),
            at_ns: spans[5].start_ns + 1_000,
            attributes: values,
        },
        Event {
            name: String::new(),
            at_ns: spans[5].start_ns + 2_000,
            attributes: Vec::new(),
        },
    ];
    spans[6].links = vec![
        Link {
            trace: TraceId(1),
            span: SpanId(u64::MAX - 1),
            attributes: Vec::new(),
        },
        Link {
            trace: TraceId(TRACE),
            span: SpanId(2),
            attributes: Vec::new(),
        },
    ];
    // Jaeger keeps microseconds, and warns of spans that have none.
    spans[6].end_ns = spans[6].start_ns + 999;
    spans
}

fn tags(of: &Attributes) -> Vec<Json> {
    let tag = |(key, value): &(String, Value)| match value {
        Value::Str(text) => json!([key, "STRING", text]),
        Value::Bool(truth) => json!([key, "BOOL", truth]),
        Value::Int(number) => json!([key, "LONG", number]),
        Value::Float(number) => json!([key, "DOUBLE", number]),
    };
    of.iter().map(tag).collect()
}

/// The span as a reader of Jaeger's thrift must see it, by OpenTelemetry's mapping.
fn expected(span: &Span) -> Json {
    let mut all = tags(&span.attributes);
    let kind = match span.kind {
        Kind::Internal => None,
        Kind::Client => Some("client"),
        Kind::Server => Some("server"),
        Kind::Producer => Some("producer"),
        Kind::Consumer => Some("consumer"),
    };
    all.extend(kind.map(|kind| json!(["span.kind", "STRING", kind])));
    match &span.status {
        Status::Unset => {}
        Status::Ok => all.push(json!(["otel.status_code", "STRING", "OK"])),
        Status::Error(why) => {
            all.push(json!(["error", "BOOL", true]));
            all.push(json!(["otel.status_code", "STRING", "ERROR"]));
            let why = (!why.is_empty()).then(|| json!(["otel.status_description", "STRING", why]));
            all.extend(why);
        }
    }
    let log = |event: &Event| {
        let mut fields = tags(&event.attributes);
        fields.push(json!(["event", "STRING", event.name]));
        json!([event.at_ns / 1_000, fields])
    };
    let reference = |link: &Link| {
        json!([
            "FOLLOWS_FROM",
            link.trace.to_string(),
            link.span.to_string()
        ])
    };
    json!({
        "trace": span.trace.to_string(),
        "id": span.id.to_string(),
        "parent": span.parent.map(|id| id.to_string()),
        "name": span.name,
        "references": span.links.iter().map(reference).collect::<Vec<_>>(),
        "flags": 1,
        "start_us": span.start_ns / 1_000,
        "duration_us": ((span.end_ns - span.start_ns) / 1_000).max(1),
        "tags": all,
        "logs": span.events.iter().map(log).collect::<Vec<_>>(),
        "process": {"service": span.resource.service, "tags": tags(&span.resource.attributes)},
    })
}

/// In the order of ids, with the tags that every exporter adds to a process left out.
fn in_order(mut spans: Vec<Json>) -> Vec<Json> {
    for span in &mut spans {
        if let Some(tags) = span["process"]["tags"].as_array_mut() {
            tags.retain(|tag| tag[0] != "service.name");
            tags.sort_by_key(|tag| tag[0].to_string());
        }
    }
    spans.sort_by_key(|span| span["id"].to_string());
    spans
}

/// Reads what was caught with Python's classes.
fn decoded(protocol: &str, bytes: &[u8]) -> Vec<Json> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let packages = Path::new(&bed().fact("/bin")).with_file_name("python");
    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/wire/decode.py"))
        .arg(packages)
        .arg(protocol)
        .arg(file.path())
        .output()
        .expect("python3 can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Pushes the spans to a collector that keeps what it gets: its content type and its bodies.
pub(crate) fn caught_by_http(spans: &[Span]) -> Vec<Vec<u8>> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(MockServer::start());
    let thrift = "application/vnd.apache.thrift.binary";
    let mock = Mock::given(matchers::method("POST"))
        .and(matchers::path("/api/traces"))
        .and(matchers::header("content-type", thrift))
        .respond_with(ResponseTemplate::new(202));
    runtime.block_on(server.register(mock));
    let state = waiting(spans);
    let pushed: Finished = push_all(&state)
        .env(
            "OTEL_EXPORTER_JAEGER_ENDPOINT",
            &format!("{}/api/traces", server.uri()),
        )
        .run();
    pushed.expect(0);
    let requests = runtime.block_on(server.received_requests()).unwrap();
    requests.into_iter().map(|request| request.body).collect()
}

/// The same to an agent.
fn caught_by_udp(spans: &[Span]) -> Vec<Vec<u8>> {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let here = receiver.local_addr().unwrap();
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 70_000];
        let next = || {
            receiver
                .recv(&mut buffer)
                .map(|size| buffer[..size].to_vec())
        };
        let caught = std::iter::repeat_with(next).map(Result::unwrap);
        caught.take_while(|datagram| !datagram.is_empty()).collect()
    });
    let state = waiting(spans);
    push_all(&state)
        .env("JAEGER_TRACE", &here.to_string())
        .run()
        .expect(0);
    // An empty datagram says that this was all.
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .send_to(&[], here)
        .unwrap();
    reader.join().unwrap()
}

/// The spans as a real Jaeger has stored them, in the shape that the decoder prints.
fn stored(jaeger: &Bed, count: usize) -> Vec<Json> {
    let url = format!(
        "{}/api/traces/{}?raw=true",
        jaeger.query_url(),
        TraceId(TRACE)
    );
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let output = Command::new("curl").args(["-sS", &url]).output().unwrap();
        let answer: Json = serde_json::from_slice(&output.stdout).unwrap();
        let trace = &answer["data"][0];
        let spans = trace["spans"].as_array().cloned().unwrap_or_default();
        if spans.len() >= count || Instant::now() > until {
            return spans.iter().map(|span| as_decoded(span, trace)).collect();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn as_decoded(span: &Json, trace: &Json) -> Json {
    let tags = |of: &Json| -> Vec<Json> {
        let kind = |tag: &Json| match tag["type"].as_str().unwrap() {
            "string" => "STRING",
            "bool" => "BOOL",
            "int64" => "LONG",
            "float64" => "DOUBLE",
            other => panic!("{other}"),
        };
        let value = |tag: &Json| match (kind(tag), &tag["value"]) {
            // Beyond what JavaScript can count, Jaeger writes numbers as text.
            ("LONG", Json::String(number)) => json!(number.parse::<i64>().unwrap()),
            ("DOUBLE", value) => json!(value.as_f64().unwrap()),
            (_, value) => value.clone(),
        };
        let tags = of.as_array().into_iter().flatten();
        tags.map(|tag| json!([tag["key"], kind(tag), value(tag)]))
            .collect()
    };
    let mut own = tags(&span["tags"]);
    // Jaeger's own word about how the span came: the agent hands it on to the collector in another form.
    own.retain(|tag| tag[0] != "internal.span.format");
    let references = span["references"].as_array().into_iter().flatten();
    let (parents, others): (Vec<_>, Vec<_>) =
        references.partition(|reference| reference["refType"] == "CHILD_OF");
    let other = |of: &Json| {
        let trace: TraceId = of["traceID"].as_str().unwrap().parse().unwrap();
        json!([of["refType"], trace.to_string(), of["spanID"]])
    };
    let logs = span["logs"].as_array().into_iter().flatten();
    let process = &trace["processes"][span["processID"].as_str().unwrap()];
    json!({
        "trace": span["traceID"],
        "id": span["spanID"],
        "parent": parents.first().map(|parent| parent["spanID"].clone()),
        "name": span["operationName"],
        "references": others.into_iter().map(other).collect::<Vec<_>>(),
        "flags": span["flags"],
        "start_us": span["startTime"],
        "duration_us": span["duration"],
        "tags": own,
        "logs": logs.map(|log| json!([log["timestamp"], tags(&log["fields"])])).collect::<Vec<_>>(),
        "process": {"service": process["serviceName"], "tags": tags(&process["tags"])},
    })
}

#[test]
fn http_and_udp_read_the_same_to_python_and_to_jaeger() {
    let spans = spans();
    let expected = in_order(spans.iter().map(expected).collect());
    let (http, udp) = (caught_by_http(&spans), caught_by_udp(&spans));

    let python = |protocol: &str, caught: &[Vec<u8>]| {
        let all = caught.iter().flat_map(|bytes| decoded(protocol, bytes));
        in_order(all.collect())
    };
    same("Python, HTTP", &python("binary", &http), &expected);
    same("Python, UDP", &python("compact", &udp), &expected);

    // The very bytes go on to two real Jaegers.
    let other = Bed::up(&bed_dir("-wire"), &["jaeger"]);
    for body in &http {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), body).unwrap();
        let thrift = "content-type: application/vnd.apache.thrift.binary";
        let data = format!("@{}", file.path().display());
        let status = Command::new("curl")
            .args(["-sS", "--fail", "-H", thrift, "--data-binary", &data])
            .arg(bed().collector())
            .status();
        assert!(status.unwrap().success());
    }
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in &udp {
        sender.send_to(datagram, other.agent()).unwrap();
    }
    same(
        "Jaeger, HTTP",
        &in_order(stored(bed(), spans.len())),
        &expected,
    );
    same(
        "Jaeger, UDP",
        &in_order(stored(&other, spans.len())),
        &expected,
    );
}

/// Field by field, so that a difference names its field.
fn same(reader: &str, found: &[Json], expected: &[Json]) {
    assert_eq!(found.len(), expected.len(), "{reader}");
    for (found, expected) in found.iter().zip(expected) {
        let fields = expected.as_object().unwrap();
        assert_eq!(found.as_object().unwrap().len(), fields.len(), "{reader}");
        for (field, value) in fields {
            assert_eq!(
                &found[field], value,
                "{reader}: {field} of {}",
                expected["name"]
            );
        }
    }
}
