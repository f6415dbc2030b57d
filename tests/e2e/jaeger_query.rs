//! `dagger trace verify` against a real Jaeger: what a fake one cannot prove.

use std::time::{Duration, SystemTime};

use clap::Parser;
use dagger::cli::trace_verify::{ExitStatus, VerifyArgs, VerifyContext, run};
use dagger::trace::jaeger::JaegerClient;
use dagger::trace::model::TraceId;
use serde_json::{Value, json};

use crate::support::bed;

const SAMPLE: &str = include_str!("../fixtures/traces/buildctl-build.json");

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    verify: VerifyArgs,
}

/// A trace id that no other test run has.
fn fresh(mask: u128) -> TraceId {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let id = now.as_nanos() ^ (u128::from(std::process::id()) << 96) ^ mask;
    if mask == u128::from(u64::MAX) {
        TraceId(id & mask)
    } else {
        TraceId(id)
    }
}

/// The captured trace under another id, as OTLP.
fn otlp(id: TraceId, services: &[&str]) -> Value {
    let sample: Value = serde_json::from_str(SAMPLE).unwrap();
    let trace = &sample["data"][0];
    let resource_spans: Vec<Value> = services
        .iter()
        .map(|service| {
            let spans = trace["spans"].as_array().unwrap().iter();
            let of_service = spans.filter(|span| {
                let process = span["processID"].as_str().unwrap();
                trace["processes"][process]["serviceName"] == **service
            });
            let spans: Vec<Value> = of_service.map(|span| otlp_span(id, span)).collect();
            let name = json!({"key": "service.name", "value": {"stringValue": service}});
            json!({"resource": {"attributes": [name]}, "scopeSpans": [{"spans": spans}]})
        })
        .collect();
    json!({ "resourceSpans": resource_spans })
}

fn otlp_span(id: TraceId, span: &Value) -> Value {
    let tags = span["tags"].as_array().unwrap();
    let kind = tags.iter().find(|tag| tag["key"] == "span.kind");
    let kind = match kind.and_then(|tag| tag["value"].as_str()) {
        Some("server") => 2,
        Some("client") => 3,
        _ => 1,
    };
    let kept = tags.iter().filter(|tag| tag["type"] == "string");
    let attributes: Vec<Value> = kept
        .filter(|tag| !matches!(tag["key"].as_str(), Some("span.kind" | "otel.status_code")))
        .map(|tag| json!({"key": tag["key"], "value": {"stringValue": tag["value"]}}))
        .collect();
    let start = span["startTime"].as_u64().unwrap();
    let end = start + span["duration"].as_u64().unwrap();
    json!({
        "traceId": id.to_string(),
        "spanId": span["spanID"],
        "parentSpanId": span["references"][0]["spanID"].as_str().unwrap_or_default(),
        "name": span["operationName"],
        "kind": kind,
        "startTimeUnixNano": (start * 1_000).to_string(),
        "endTimeUnixNano": (end * 1_000).to_string(),
        "attributes": attributes,
    })
}

async fn post(body: &Value) {
    let url = format!("{}/v1/traces", bed().otlp_http());
    let client = reqwest::Client::builder()
        .tls_certs_only([])
        .build()
        .unwrap();
    let answer = client.post(url).json(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

/// Runs the command without any run record, and gives its exit code and output.
async fn verify(url: &str, args: &[&str]) -> (ExitStatus, String, String) {
    let all = ["verify", "--service", "buildctl", "--jaeger-url", url];
    let args = Cli::try_parse_from(all.iter().chain(args)).unwrap().verify;
    let home = tempfile::tempdir().unwrap();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut context = VerifyContext {
        state_dir: Some(home.path().to_owned()),
        directory: "/".into(),
        var: &|_| None,
        stdout: &mut stdout,
        stderr: &mut stderr,
        stdout_colour: false,
        stderr_live: false,
    };
    let status = run(&args, &mut context).await.unwrap();
    (
        status,
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

#[tokio::test]
async fn trace_is_waited_for_and_passes() {
    let (url, id) = (bed().query_url(), fresh(1));
    let late = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        post(&otlp(id, &["buildctl"])).await;
        // As the daemon does: seconds later.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        post(&otlp(id, &["buildkitd"])).await;
    };
    let id_text = id.to_string();
    let args = [id_text.as_str(), "-v"];
    let ((status, stdout, stderr), ()) = tokio::join!(verify(&url, &args), late);
    assert_eq!(status, ExitStatus::Passed, "{stdout}{stderr}");
    assert!(stdout.contains("35 spans, 2 services"), "{stdout}");
    assert!(stdout.contains("complete by settling"), "{stdout}");
    assert!(stderr.contains("nothing there yet"), "{stderr}");
}

#[tokio::test]
async fn unknown_trace_is_not_found() {
    let (url, id) = (bed().query_url(), fresh(2));
    let (status, stdout, _) = verify(&url, &[&id.to_string(), "--timeout", "1s"]).await;
    assert_eq!(status, ExitStatus::NotFound);
    assert!(stdout.contains("the trace is not in Jaeger"), "{stdout}");
}

#[tokio::test]
async fn wrong_base_path_is_told() {
    let (url, id) = (bed().query_url(), fresh(3));
    let wrong = format!("{url}/jaeger");
    let (status, stdout, _) = verify(&wrong, &[&id.to_string(), "--timeout", "1s"]).await;
    assert_eq!(status, ExitStatus::NotFound);
    assert!(stdout.contains("base path"), "{stdout}");
}

#[tokio::test]
async fn port_of_the_collector_is_told() {
    let (url, id) = (bed().otlp_http(), fresh(4));
    let (status, stdout, _) = verify(&url, &[&id.to_string(), "--timeout", "1s"]).await;
    assert_eq!(status, ExitStatus::NotFound);
    assert!(stdout.contains("query port"), "{stdout}");
}

#[tokio::test]
async fn batch_posted_twice_is_a_warning_and_a_changed_one_an_error() {
    let (url, id) = (bed().query_url(), fresh(5));
    let id_text = id.to_string();
    let batch = otlp(id, &["buildctl", "buildkitd"]);
    post(&batch).await;
    post(&batch).await;
    let (status, stdout, _) = verify(&url, &[&id_text]).await;
    assert_eq!(status, ExitStatus::Passed, "{stdout}");
    let told = "warn[T004] 35 spans are stored more than once, with equal content";
    assert!(stdout.contains(told), "{stdout}");

    let mut changed = batch;
    changed["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] = json!("other");
    post(&changed).await;
    let (status, stdout, _) = verify(&url, &[&id_text]).await;
    assert_eq!(status, ExitStatus::Failed);
    assert!(
        stdout.contains("error[T004] 1 id stands for several spans that differ"),
        "{stdout}"
    );
}

#[tokio::test]
async fn trace_with_a_short_id_is_found_by_16_digits() {
    let (url, id) = (bed().query_url(), fresh(u128::from(u64::MAX)));
    post(&otlp(id, &["buildctl", "buildkitd"])).await;
    let client = JaegerClient::new(url.parse().unwrap(), Duration::from_secs(5)).unwrap();
    let answer = client.trace(id).await.unwrap().unwrap();
    assert_eq!((answer.spans.len(), answer.foreign), (35, 0));
    let short = format!("{:016x}", id.0);
    let (status, stdout, _) = verify(&url, &[&short]).await;
    assert_eq!(status, ExitStatus::Passed, "{stdout}");
}
