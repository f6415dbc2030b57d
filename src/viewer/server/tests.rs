use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use futures_util::StreamExt;
use serde_json::{Value as Json, json};
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;
use crate::trace::jaeger::decode;
use crate::trace::model::{Span, TraceId};
use crate::trace::store::{NewRun, RunId, Store};

const SAMPLE: &[u8] = include_bytes!("../../../tests/fixtures/traces/buildctl-build.json");
const TRACE: &str = "9078779b6155c559f6ce1eea10bf1044";

struct Site {
    store: Store,
    run: RunId,
    router: Router,
    ended: CancellationToken,
    _state: tempfile::TempDir,
}

/// A day when the sample is long past.
fn later() -> SystemTime {
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_893_456_000)
}

fn sample() -> Vec<Span> {
    let id: TraceId = TRACE.parse().unwrap();
    decode(SAMPLE, id).unwrap().unwrap().spans
}

/// A site with the sample's spans; `pid` 0: they were received.
fn site(pid: u32) -> Site {
    let state = tempfile::tempdir().unwrap();
    let store = Store::open(state.path()).unwrap();
    let spans = sample();
    let run = NewRun {
        trace: TRACE.parse().unwrap(),
        root: None,
        remote_parent: None,
        service: "dagger".into(),
        command: "up".into(),
        args: "--push".into(),
        directory: "/srv/project".into(),
        started_ns: spans.iter().map(|span| span.start_ns).min().unwrap(),
        pid,
        plan_digest: None,
    };
    let run = store.begin(&run).unwrap();
    store.append(run, &spans).unwrap();
    let ended = CancellationToken::new();
    let hosts = Hosts::new(Vec::new());
    let served = Served::new(&store, hosts, later, ended.clone());
    Site {
        store,
        run,
        router: router(served),
        ended,
        _state: state,
    }
}

impl Site {
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost:16686");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Response {
            status: parts.status,
            headers: parts.headers,
            body: axum::body::to_bytes(body, usize::MAX)
                .await
                .unwrap()
                .to_vec(),
        }
    }

    async fn get(&self, path: &str) -> (u16, Json) {
        let response = self.ask(Method::GET, path, &[]).await;
        let json = serde_json::from_slice(&response.body).unwrap();
        (response.status.as_u16(), json)
    }
}

struct Response {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Vec<u8>,
}

#[tokio::test]
async fn spans_of_the_store_are_told_as_jaeger_tells_them() {
    let site = site(0);
    let (status, answer) = site.get(&format!("/api/traces/{TRACE}?raw=true")).await;
    assert_eq!(status, 200);
    let text = answer.to_string();
    let mut back = decode(text.as_bytes(), TRACE.parse().unwrap())
        .unwrap()
        .unwrap()
        .spans;
    let mut spans = sample();
    for spans in [&mut back, &mut spans] {
        spans.sort_by_key(|span| (span.start_ns, span.id));
    }
    assert_eq!(back, spans);
    let (_, services) = site.get("/api/services").await;
    assert_eq!(services["data"], json!(["buildctl", "buildkitd"]));
    assert_eq!(services["total"], 2);
    let (_, v3) = site.get("/api/v3/services").await;
    assert_eq!(v3, json!({"services": ["buildctl", "buildkitd"]}));
}

#[tokio::test]
async fn search_finds_a_trace_by_one_of_its_spans() {
    let site = site(0);
    let spans = sample();
    let (start, end) = (
        spans[0].start_ns / 1_000 - 60_000_000,
        spans[0].start_ns / 1_000 + 60_000_000,
    );
    let window = format!("&start={start}&end={end}");
    for (query, found) in [
        ("service=buildkitd", 1),
        ("service=nobody", 0),
        ("service=buildkitd&operation=nothing", 0),
        (
            "service=buildkitd&minDuration=1us&maxDuration=&tags=&limit=&lookback=1h",
            1,
        ),
        ("service=buildkitd&minDuration=1h", 0),
        (
            "service=buildkitd&tags=%7B%22span.kind%22%3A%22server%22%7D",
            1,
        ),
        ("service=buildkitd&tag=span.kind:producer", 0),
    ] {
        let (status, answer) = site.get(&format!("/api/traces?{query}{window}")).await;
        let data = answer["data"].as_array().unwrap();
        assert_eq!((status, data.len()), (200, found), "{query}");
    }
    // Two days back is before the sample.
    let (_, now) = site.get("/api/traces?service=buildkitd").await;
    assert_eq!(now["data"], json!([]));
    let (_, ids) = site
        .get(&format!("/api/traces?traceID={TRACE}&traceID=abc"))
        .await;
    assert_eq!(ids["data"].as_array().unwrap().len(), 1);
    assert_eq!(ids["errors"][0]["traceID"], "0000000000000abc");
}

#[tokio::test]
async fn errors_are_jaegers_in_each_version() {
    let site = site(0);
    for (path, status, message) in [
        ("/api/traces/abc", 404, "trace not found"),
        (
            "/api/traces/xyz",
            400,
            "strconv.ParseUint: parsing \"xyz\": invalid syntax",
        ),
        ("/api/traces", 400, "parameter 'service' is required"),
        ("/api/operations", 400, "parameter 'service' is required"),
        (
            "/api/metrics/calls?service=a",
            501,
            "metrics querying is currently disabled",
        ),
        ("/api/nothing", 404, "there is nothing at /api/nothing"),
    ] {
        let (is, answer) = site.get(path).await;
        assert_eq!(is, status, "{path}");
        assert_eq!(answer["data"], Json::Null);
        assert_eq!(
            answer["errors"],
            json!([{"code": status, "msg": message}]),
            "{path}"
        );
    }
    for (path, status) in [
        ("/api/v3/traces/abc", 404),
        ("/api/v3/traces/xyz", 400),
        ("/api/v3/traces?query.service_name=a", 400),
        ("/api/v3/nothing", 404),
    ] {
        let (is, answer) = site.get(path).await;
        assert_eq!(
            (is, &answer["error"]["httpCode"]),
            (status, &json!(status)),
            "{path}"
        );
    }
    let wrong = site
        .ask(Method::DELETE, &format!("/api/traces/{TRACE}"), &[])
        .await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_page_has_a_policy_and_links_lead_into_it() {
    let site = site(0);
    let page = site.ask(Method::GET, "/", &[]).await;
    assert_eq!(
        page.headers[header::CONTENT_TYPE],
        "text/html; charset=utf-8"
    );
    let policy = page.headers[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'"),
        "{policy}"
    );
    let file = site.ask(Method::GET, "/app.js", &[]).await;
    assert_eq!(
        file.headers[header::CONTENT_TYPE],
        "text/javascript; charset=utf-8"
    );
    for path in ["/run/", "/trace/"] {
        let link = site
            .ask(Method::GET, &format!("{path}{TRACE}?span=7"), &[])
            .await;
        assert_eq!(link.status, StatusCode::FOUND);
        assert_eq!(
            link.headers[header::LOCATION],
            format!("/#/run/{TRACE}?span=7")
        );
    }
    assert_eq!(site.get("/run/xyz").await.0, 400);
    assert_eq!(site.get("/nothing.js").await.0, 404);
}

#[tokio::test]
async fn other_names_are_not_answered() {
    let site = site(0);
    for path in ["/", "/api/services", "/api/dagger/runs", "/nothing"] {
        let request = Request::get(path).header(header::HOST, "evil.example");
        let request = request.body(Body::empty()).unwrap();
        let response = site.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn runs_are_filtered_as_they_are_asked_for() {
    let site = site(std::process::id());
    let (_, all) = site.get("/api/dagger/runs").await;
    assert_eq!(all["runs"][0]["name"], "dagger up");
    assert_eq!(all["more"], false);
    for (query, found) in [
        ("q=PROJECT+push", 1),
        ("q=project+pull", 0),
        ("state=running,failed", 1),
        ("state=done", 0),
        ("name=dagger+up&directory=/srv/project&service=dagger", 1),
        ("since_ms=9999999999999", 0),
        ("until_ms=9999999999999", 1),
        ("min_ms=1", 0),
        ("limit=1", 1),
    ] {
        let (status, answer) = site.get(&format!("/api/dagger/runs?{query}")).await;
        assert_eq!(status, 200, "{query}: {answer}");
        assert_eq!(answer["runs"].as_array().unwrap().len(), found, "{query}");
    }
    for query in [
        "state=new",
        "limit=0",
        "limit=501",
        "since_ms=x",
        "what=1",
        "q=a&q=b",
    ] {
        let (status, answer) = site.get(&format!("/api/dagger/runs?{query}")).await;
        assert!(status == 400 && answer["error"].is_string(), "{query}");
    }
}

#[tokio::test]
async fn a_runs_document_has_a_tag_that_changes_with_it() {
    let site = site(0);
    let path = format!("/api/dagger/runs/{TRACE}");
    let first = site.ask(Method::GET, &path, &[]).await;
    let tag = first.headers[header::ETAG].to_str().unwrap().to_owned();
    let again = site
        .ask(Method::GET, &path, &[("if-none-match", &tag)])
        .await;
    assert_eq!(
        (again.status, again.body.len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
    let mut more = sample().remove(0);
    more.id.0 ^= 1;
    site.store.append(site.run, &[more]).unwrap();
    let changed = site
        .ask(Method::GET, &path, &[("if-none-match", &tag)])
        .await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_eq!(site.get("/api/dagger/runs/abc").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_of_runs_while_they_happen() {
    let site = site(std::process::id());
    let request = Request::get("/api/dagger/events").header(header::HOST, "localhost");
    let request = request.body(Body::empty()).unwrap();
    let response = site.router.clone().oneshot(request).await.unwrap();
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/event-stream"
    );
    let mut frames = response.into_body().into_data_stream();
    let hello = String::from_utf8(frames.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(hello.contains("event: hello"), "{hello}");
    // The watcher takes down what is there when it looks for the first time; grow until it tells.
    let (store, run) = (site.store.reopened().unwrap(), site.run);
    let grower = tokio::spawn(async move {
        let span = sample().remove(0);
        for id in 1.. {
            let mut more = span.clone();
            more.id.0 = id;
            store.append(run, &[more]).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    let frame = frames.next().await.unwrap().unwrap();
    grower.abort();
    let text = String::from_utf8(frame.to_vec()).unwrap();
    let data = text
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap();
    let told: Json = serde_json::from_str(data).unwrap();
    assert!(text.contains("event: run"), "{text}");
    assert_eq!(told["change"], "grew");
    assert_eq!(
        (&told["trace"], &told["state"]),
        (&json!(TRACE), &json!("running"))
    );
    site.ended.cancel();
    while let Some(frame) = frames.next().await {
        frame.unwrap();
    }
}
