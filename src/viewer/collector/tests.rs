use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::proto::opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;
use crate::trace::model::{Span, TraceId};
use crate::trace::store::{Limits, Store};

const TRACE: u128 = 0x7;

struct Post {
    store: Store,
    intake: Intake,
    _state: tempfile::TempDir,
}

fn nothing_goes() -> Retention {
    Box::new(|| Limits {
        runs: None,
        since_ns: None,
        bytes: None,
    })
}

fn post() -> Post {
    let state = tempfile::tempdir().unwrap();
    let store = Store::open(state.path()).unwrap();
    Post {
        intake: Intake::start(&store, nothing_goes()).unwrap(),
        store,
        _state: state,
    }
}

async fn send(
    routes: Router,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (StatusCode, Vec<u8>) {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_vec())).unwrap();
    let response = routes.oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    (status, body.to_vec())
}

impl Post {
    fn stored(&self) -> Vec<Span> {
        self.store.trace(TraceId(TRACE)).unwrap()
    }
}

/// A batch of one span without a process, in binary thrift.
fn thrift_batch() -> Vec<u8> {
    let mut bytes = b"\x0f\0\x02\x0c\0\0\0\x01".to_vec();
    for (id, number) in [(1, TRACE as u64), (3, 5), (8, 1_000), (9, 20)] {
        bytes.extend([10, 0, id]);
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(b"\x0b\0\x05\0\0\0\x04work\0\0");
    bytes
}

#[tokio::test]
async fn a_collector_answers_as_jaegers_does() {
    let post = post();
    let good = thrift_batch();
    for (kind, body, status, words) in [
        (None, &good[..], 400, "Cannot parse content type\n"),
        (Some("thrift"), &good, 400, "Cannot parse content type\n"),
        (
            Some("text/plain"),
            &good,
            400,
            "Unsupported content type: text/plain\n",
        ),
        (
            Some("application/x-thrift"),
            b"\x0f",
            400,
            "Unable to process request body",
        ),
    ] {
        let headers: Vec<_> = kind
            .map(|kind| ("content-type", kind))
            .into_iter()
            .collect();
        let (is, said) = send(jaeger(post.intake.clone()), "/api/traces", &headers, body).await;
        let said = String::from_utf8(said).unwrap();
        assert_eq!(is.as_u16(), status, "{kind:?}");
        assert!(said.starts_with(words), "{kind:?}: {said}");
    }
    assert!(post.stored().is_empty());
    let headers = [(
        "content-type",
        "application/vnd.apache.thrift.binary; charset=x",
    )];
    let path = "/api/traces?format=jaeger.thrift";
    let (status, said) = send(jaeger(post.intake.clone()), path, &headers, &good).await;
    assert_eq!((status, said.len()), (StatusCode::ACCEPTED, 0));
    assert_eq!(post.stored()[0].name, "work");
    let from_page = [headers[0], ("origin", "https://evil.example")];
    let (status, _) = send(jaeger(post.intake.clone()), path, &from_page, &good).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn otlp_is_taken_in_both_forms_and_what_is_refused_is_counted() {
    let post = post();
    let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[
        {"traceId":"00000000000000000000000000000007","spanId":"0000000000000005","name":"work",
         "startTimeUnixNano":"1000","endTimeUnixNano":"2001"},
        {"traceId":"07","spanId":"","name":"none"}]}]}]}"#;
    let kind = [("content-type", "application/json")];
    let (status, said) = send(otlp(post.intake.clone()), "/v1/traces", &kind, json).await;
    let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(
        (status, &said["partialSuccess"]["rejectedSpans"]),
        (StatusCode::OK, &"1".into())
    );
    let spans = post.stored();
    assert_eq!((spans[0].name.as_str(), spans[0].end_ns), ("work", 2_001));

    let mut request = crate::trace::otlp::request(&spans);
    request.resource_spans[0].scope_spans[0].spans[0].span_id = vec![9; 8].into();
    let kind = [("content-type", "application/x-protobuf")];
    let body = request.encode_to_vec();
    let (status, said) = send(otlp(post.intake.clone()), "/v1/traces", &kind, &body).await;
    assert_eq!(status, StatusCode::OK);
    let said = ExportTraceServiceResponse::decode(&said[..]).unwrap();
    assert_eq!((said.partial_success, post.stored().len()), (None, 2));

    for (headers, body, status) in [
        (&[("content-type", "text/plain")][..], &body[..], 415),
        (&[], &body, 415),
        (&kind, b"\xff\xff", 400),
        (&[("content-type", "application/json")], b"{}", 400),
        (&[kind[0], ("content-encoding", "gzip")], &body, 415),
    ] {
        let (is, said) = send(otlp(post.intake.clone()), "/v1/traces", headers, body).await;
        assert_eq!(is.as_u16(), status, "{headers:?}");
        assert!(!said.is_empty());
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let post = post();
    let kind = [("content-type", "application/x-thrift")];
    let body = vec![0; (16 << 20) + 1];
    let (status, _) = send(jaeger(post.intake.clone()), "/api/traces", &kind, &body).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn nothing_is_acknowledged_that_is_not_stored() {
    let post = post();
    // Another writer holds the store for longer than a sender is patient: 5 s, SQLite's own patience.
    let path = post.store.path().to_owned();
    let holder = rusqlite::Connection::open(&path).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let kind = [("content-type", "application/x-thrift")];
    let (status, said) = send(
        jaeger(post.intake.clone()),
        "/api/traces",
        &kind,
        &thrift_batch(),
    )
    .await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        String::from_utf8(said)
            .unwrap()
            .starts_with("Cannot submit Jaeger batch")
    );
    holder.execute_batch("COMMIT").unwrap();
    assert!(post.stored().is_empty());
    let (status, _) = send(
        jaeger(post.intake.clone()),
        "/api/traces",
        &kind,
        &thrift_batch(),
    )
    .await;
    assert_eq!((status, post.stored().len()), (StatusCode::ACCEPTED, 1));
}

#[tokio::test]
async fn datagrams_are_taken_and_nonsense_among_them_does_no_harm() {
    let post = post();
    let ended = CancellationToken::new();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let here = receive(any, Encoding::Binary, post.intake.clone(), ended.clone()).unwrap();
    let sender = tokio::net::UdpSocket::bind(any).await.unwrap();
    let message = [
        b"\x80\x01\0\x04\0\0\0\x09emitBatch\0\0\0\x01\x0c\0\x01".as_slice(),
        &thrift_batch(),
        b"\0",
    ]
    .concat();
    sender.send_to(b"nonsense", here).await.unwrap();
    sender.send_to(&message, here).await.unwrap();
    while post.stored().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    ended.cancel();
}
