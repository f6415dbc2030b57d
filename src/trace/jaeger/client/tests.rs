//! The client against a fake server: every status, and where credentials go.

use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::trace::error::Retry;

const SAMPLE: &str = include_str!("../../../../tests/fixtures/traces/buildctl-build.json");
const ID: &str = "9078779b6155c559f6ce1eea10bf1044";

fn id() -> TraceId {
    ID.parse().unwrap()
}

fn client(url: &str) -> JaegerClient {
    JaegerClient::new(url.parse().unwrap(), Duration::from_millis(500)).unwrap()
}

async fn answering(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(template)
        .mount(&server)
        .await;
    server
}

async fn ask(template: ResponseTemplate) -> Result<Option<Answer>, TraceError> {
    let server = answering(template).await;
    client(&server.uri()).trace(id()).await
}

#[tokio::test]
async fn trace_is_asked_raw_under_the_base_path() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path(format!("/jaeger/api/traces/{ID}")))
        .and(query_param("raw", "true"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(SAMPLE, "text/plain"))
        .mount(&server)
        .await;
    let answer = client(&format!("{}/jaeger/", server.uri()))
        .trace(id())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.spans.len(), 35);
}

#[tokio::test]
async fn unknown_trace_is_none_and_its_absence_no_error() {
    let body = r#"{"data":null,"total":0,"errors":[{"code":404,"msg":"trace not found"}]}"#;
    let answer = ask(ResponseTemplate::new(404).set_body_raw(body, "text/plain; charset=utf-8"));
    assert_eq!(answer.await.unwrap(), None);
    let answer = ask(ResponseTemplate::new(200).set_body_string(r#"{"data":[],"errors":null}"#));
    assert_eq!(answer.await.unwrap(), None);
}

#[tokio::test]
async fn statuses_say_whether_to_try_again() {
    let soon = Retry::After(None);
    let late = Retry::After(Some(Duration::from_secs(7)));
    for (status, body, retry, says) in [
        (200, "<!doctype html>", Retry::Never, "a web page came"),
        (200, "{\"data\":[{", soon, "cannot be read"),
        (200, "", soon, "it is empty"),
        (404, "404 page not found", soon, "has no trace API"),
        (
            400,
            r#"{"data":null,"errors":[{"msg":"bad\u001b id"}]}"#,
            Retry::Never,
            "status 400 (bad id)",
        ),
        (401, "", Retry::Never, "status 401"),
        (403, "<html>", Retry::Never, "status 403"),
        (429, "", late, "status 429"),
        (
            500,
            r#"{"data":null,"errors":[{"code":500,"msg":"store"}]}"#,
            late,
            "status 500 (store)",
        ),
        (502, "<html>", late, "status 502"),
        (503, "", late, "status 503"),
    ] {
        let template = ResponseTemplate::new(status)
            .set_body_string(body)
            .insert_header("retry-after", "7");
        let error = ask(template).await.unwrap_err();
        assert_eq!(error.retry(), retry, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(!error.help().is_empty());
    }
}

#[tokio::test]
async fn slow_answer_is_a_timeout_and_worth_another_try() {
    let template = ResponseTemplate::new(200).set_delay(Duration::from_secs(5));
    let error = ask(template).await.unwrap_err();
    assert!(matches!(error, TraceError::Timeout { .. }), "{error}");
    assert_eq!(error.retry(), Retry::After(None));
}

#[tokio::test]
async fn refused_connection_is_worth_another_try() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client(&format!("http://user:secret@{address}"))
        .trace(id())
        .await
        .unwrap_err();
    assert!(matches!(error, TraceError::Unreachable { .. }), "{error}");
    assert_eq!(error.retry(), Retry::After(None));
    assert!(!format!("{error:?} {error} {}", error.help()).contains("secret"));
}

#[tokio::test]
async fn credentials_of_the_url_are_sent() {
    for (user_info, value) in [
        ("us%40er:pass", "Basic dXNAZXI6cGFzcw=="),
        ("bearer:tok.en", "Bearer tok.en"),
    ] {
        let server = MockServer::start().await;
        Mock::given(header("authorization", value))
            .respond_with(ResponseTemplate::new(200).set_body_string(SAMPLE))
            .mount(&server)
            .await;
        let url = server
            .uri()
            .replace("http://", &format!("http://{user_info}@"));
        assert!(client(&url).trace(id()).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn redirect_to_another_host_drops_the_credentials() {
    let other = answering(ResponseTemplate::new(200).set_body_string(SAMPLE)).await;
    let target = format!("{}/elsewhere", other.uri());
    let first = answering(ResponseTemplate::new(302).insert_header("location", target)).await;
    let url = first.uri().replace("http://", "http://user:secret@");
    assert!(client(&url).trace(id()).await.unwrap().is_some());
    let authorized = |requests: Vec<wiremock::Request>| {
        requests
            .iter()
            .map(|request| request.headers.contains_key("authorization"))
            .collect::<Vec<_>>()
    };
    assert_eq!(authorized(first.received_requests().await.unwrap()), [true]);
    assert_eq!(
        authorized(other.received_requests().await.unwrap()),
        [false]
    );
}

#[tokio::test]
async fn redirects_in_circles_end() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(302).insert_header("location", "/again"))
        .mount(&server)
        .await;
    let error = client(&server.uri()).trace(id()).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Never, "{error:?}");
}

#[tokio::test]
async fn answer_over_the_limit_is_refused() {
    let body = vec![b' '; 4097];
    let server = answering(ResponseTemplate::new(200).set_body_bytes(body)).await;
    let mut client = client(&server.uri());
    client.answer_bytes = 4096;
    let error = client.trace(id()).await.unwrap_err();
    assert!(matches!(error, TraceError::TooLarge { .. }), "{error}");
}

/// OTLP with one span of the trace.
fn of_v3(trace: &str, start_ns: u64) -> String {
    format!(
        r#"{{"result":{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{trace}","spanId":"000000000000000b","startTimeUnixNano":"{start_ns}"}}]}}]}}]}}}}"#
    )
}

#[tokio::test]
async fn where_the_old_route_is_gone_the_new_one_is_asked_and_remembered() {
    for (status, page) in [
        (404, "404 page not found"),
        (405, ""),
        (410, ""),
        (200, "<html>"),
    ] {
        let server = MockServer::start().await;
        Mock::given(path(format!("/api/traces/{ID}")))
            .respond_with(ResponseTemplate::new(status).set_body_string(page))
            .expect(1)
            .mount(&server)
            .await;
        Mock::given(path(format!("/api/v3/traces/{ID}")))
            .and(query_param("rawTraces", "true"))
            .and(query_param("raw_traces", "true"))
            .respond_with(ResponseTemplate::new(200).set_body_string(of_v3(ID, 5)))
            .expect(2)
            .mount(&server)
            .await;
        let client = client(&server.uri());
        for _ in 0..2 {
            let answer = client.trace(id()).await.unwrap().unwrap();
            assert_eq!(answer.spans.len(), 1, "{status}");
        }
    }
}

#[tokio::test]
async fn the_last_trace_of_a_service_is_found_by_either_route() {
    let older = "0000000000000000000000000000000a";
    let both = format!("{}{}", of_v3(older, 5), of_v3(ID, 7));
    let old = format!(
        r#"{{"data":[{{"traceID":"{ID}","spans":[{{"startTime":7}}]}},{{"traceID":"a","spans":[{{"startTime":5}}]}}],"errors":null}}"#
    );
    for (status, v1) in [(200, old.as_str()), (404, "404 page not found")] {
        let server = MockServer::start().await;
        Mock::given(path("/api/traces"))
            .and(query_param("service", "a b"))
            .respond_with(ResponseTemplate::new(status).set_body_string(v1))
            .mount(&server)
            .await;
        Mock::given(path("/api/v3/traces"))
            .and(query_param("query.serviceName", "a b"))
            .and(query_param("query.startTimeMin", "1970-01-02T00:00:00Z"))
            .respond_with(ResponseTemplate::new(200).set_body_string(both.clone()))
            .mount(&server)
            .await;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(3 * 24 * 60 * 60);
        let found = client(&server.uri()).latest("a b", now).await.unwrap();
        assert_eq!(found, Some(id()), "{status}");
    }
    let body = r#"{"data":[],"errors":null}"#;
    let server = answering(ResponseTemplate::new(200).set_body_string(body)).await;
    let found = client(&server.uri()).latest("x", SystemTime::now()).await;
    assert_eq!(found.unwrap(), None);
}
