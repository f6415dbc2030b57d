//! The command against a fake Jaeger: what is chosen, what is printed, how it ends.

use std::collections::HashMap;

use clap::Parser;
use serde_json::{Value as Json, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::trace::model::{Kind, Span, SpanId, Status, Value};
use crate::trace::report::RunRecord;
use crate::trace::store::{NewRun, Store};
use crate::verify::testing::{Whole, build_of_a_job, failed_build, good_build};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    verify: VerifyArgs,
}

/// A run of the command to be made.
struct Verify {
    args: Vec<String>,
    vars: HashMap<&'static str, String>,
    home: tempfile::TempDir,
    directory: PathBuf,
}

/// What came of it.
#[derive(Debug)]
struct Done {
    result: Result<ExitStatus, VerifyError>,
    stdout: String,
    stderr: String,
}

fn verify(args: &[&str]) -> Verify {
    Verify {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        vars: HashMap::new(),
        home: tempfile::tempdir().unwrap(),
        directory: "/srv/project".into(),
    }
}

impl Verify {
    fn recorded(self, record: &RunRecord) -> Self {
        let store = Store::open(self.home.path()).unwrap();
        let run = store
            .begin(&NewRun {
                trace: record.trace.parse().unwrap(),
                root: record.root.parse().ok(),
                remote_parent: None,
                service: record.service.clone(),
                command: record.command.clone(),
                args: String::new(),
                directory: record.directory.clone().into(),
                started_ns: record.started_ms * 1_000_000,
                pid: 0,
                plan_digest: None,
            })
            .unwrap();
        store.finish(run, record, 1).unwrap();
        self
    }

    fn var(mut self, key: &'static str, value: &str) -> Self {
        self.vars.insert(key, value.into());
        self
    }

    fn at(self, jaeger: &MockServer) -> Self {
        let url = jaeger.uri();
        self.var("JAEGER_QUERY_URL", &url)
    }

    async fn run(self) -> Done {
        let args = std::iter::once("verify").chain(self.args.iter().map(String::as_str));
        let args = Cli::try_parse_from(args).unwrap().verify;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut context = VerifyContext {
            state_dir: Some(self.home.path().to_owned()),
            directory: self.directory,
            var: &|key| self.vars.get(key).cloned(),
            stdout: &mut stdout,
            stderr: &mut stderr,
            stdout_colour: false,
            stderr_live: false,
        };
        let result = run(&args, &mut context).await;
        Done {
            result,
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }
}

impl Done {
    #[track_caller]
    fn ends(self, status: ExitStatus) -> Self {
        assert_eq!(self.result.as_ref().ok(), Some(&status), "{self:#?}");
        self
    }
}

fn trace_id(whole: &Whole) -> String {
    whole.record.trace.clone()
}

/// A Jaeger that has this trace, and no other.
async fn jaeger(whole: &Whole) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_string(as_jaeger(&whole.spans).to_string());
    Mock::given(path(format!("/api/traces/{}", whole.record.trace)))
        .respond_with(answer)
        .mount(&server)
        .await;
    let absent = json!({"data": null, "errors": [{"code": 404, "msg": "trace not found"}]});
    Mock::given(wiremock::matchers::any())
        .respond_with(ResponseTemplate::new(404).set_body_string(absent.to_string()))
        .with_priority(9)
        .mount(&server)
        .await;
    server
}

/// Spans as Jaeger answers them.
fn as_jaeger(spans: &[Span]) -> Json {
    let mut processes = serde_json::Map::new();
    let spans: Vec<Json> = spans
        .iter()
        .map(|span| {
            let process = json!({"serviceName": span.service(), "tags": []});
            processes.insert(format!("p-{}", span.service()), process);
            let parent = span.parent.map(|parent| {
                json!({"refType": "CHILD_OF", "traceID": span.trace.to_string(), "spanID": parent.to_string()})
            });
            let logs = span.events.iter().map(|event| {
                json!({"timestamp": event.at_ns / 1_000, "fields": [{"key": "event", "type": "string", "value": event.name}]})
            });
            json!({
                "traceID": span.trace.to_string(),
                "spanID": span.id.to_string(),
                "operationName": span.name,
                "references": parent.into_iter().collect::<Vec<_>>(),
                "startTime": span.start_ns / 1_000,
                "duration": (span.end_ns - span.start_ns) / 1_000,
                "tags": tags(span),
                "logs": logs.collect::<Vec<_>>(),
                "processID": format!("p-{}", span.service()),
                "warnings": null,
            })
        })
        .collect();
    json!({"data": [{"traceID": "x", "spans": spans, "processes": processes}], "errors": null})
}

fn tags(span: &Span) -> Vec<Json> {
    let tag =
        |key: &str, kind: &str, value: Json| json!({"key": key, "type": kind, "value": value});
    let mut tags: Vec<Json> = span
        .attributes
        .iter()
        .map(|(key, value)| match value {
            Value::Str(text) => tag(key, "string", json!(text)),
            Value::Bool(truth) => tag(key, "bool", json!(truth)),
            Value::Int(number) => tag(key, "int64", json!(number)),
            Value::Float(number) => tag(key, "float64", json!(number)),
        })
        .collect();
    match span.kind {
        Kind::Client => tags.push(tag("span.kind", "string", json!("client"))),
        Kind::Server => tags.push(tag("span.kind", "string", json!("server"))),
        _ => {}
    }
    if let Status::Error(why) = &span.status {
        tags.push(tag("otel.status_code", "string", json!("ERROR")));
        tags.push(tag("otel.status_description", "string", json!(why)));
    }
    tags
}

/// Standard output with what changes from run to run struck out.
fn redacted(text: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let local = regex::Regex::new(r"127\.0\.0\.1:\d+").unwrap();
    let waited = regex::Regex::new(r#""waited_ms": \d+"#).unwrap();
    let text = local.replace_all(text, "127.0.0.1:PORT");
    let text = waited.replace_all(&text, r#""waited_ms": 0"#);
    let seconds = regex::Regex::new(r"(after |there \()[0-9.]+ m?s").unwrap();
    let text = seconds.replace_all(&text, "${1}TIME");
    text.replace(
        &format!("\"version\": \"{version}\""),
        "\"version\": \"VERSION\"",
    )
}

#[tokio::test]
async fn last_run_of_the_directory_passes() {
    let whole = good_build();
    let jaeger = jaeger(&whole).await;
    let done = verify(&[]).recorded(&whole.record).at(&jaeger).run().await;
    let done = done.ends(ExitStatus::Passed);
    assert_eq!(
        done.stderr,
        "verifying trace 4bf92f3577b34da6a3ce929d0e0e4736 (the last run of /srv/project: \
         `dagger up`, exit code 0)\n"
    );
    insta::assert_snapshot!(redacted(&done.stdout));
}

#[tokio::test]
async fn verbose_shows_what_passed() {
    let whole = failed_build();
    let jaeger = jaeger(&whole).await;
    let verify = verify(&["-v"]).recorded(&whole.record).at(&jaeger);
    let done = verify.run().await.ends(ExitStatus::Passed);
    insta::assert_snapshot!(redacted(&done.stdout));
}

#[tokio::test]
async fn findings_are_told_with_the_most_severe_last() {
    let mut whole = good_build();
    whole.remove(SpanId(31));
    whole.remove(SpanId(61));
    whole.get(SpanId(1)).name = "dagger up \u{1b}[31m".into();
    whole.get(SpanId(1)).end_ns -= 100_000_000;
    whole.spans.push(whole.spans[3].clone());
    let jaeger = jaeger(&whole).await;
    let args = ["--timeout", "300ms", "--interval", "100ms"];
    let verify = verify(&args).recorded(&whole.record).at(&jaeger);
    let done = verify.run().await.ends(ExitStatus::Failed);
    assert!(!done.stdout.contains('\u{1b}'));
    let text = redacted(&done.stdout);
    insta::assert_snapshot!(text);
    let lines: Vec<_> = done.stderr.lines().collect();
    assert!(
        lines[1].starts_with("waiting for trace 4bf9… 15/17 spans · root yes · 2 missing"),
        "{lines:?}"
    );
    assert!(lines[2].contains("is not complete after"), "{lines:?}");
}

#[tokio::test]
async fn json_has_the_documented_shape() {
    let mut whole = good_build();
    whole.remove(SpanId(61));
    let jaeger = jaeger(&whole).await;
    let args = ["--format", "json", "--no-wait"];
    let verify = verify(&args).recorded(&whole.record).at(&jaeger);
    let done = verify.run().await.ends(ExitStatus::Failed);
    insta::assert_snapshot!(redacted(&done.stdout));
}

#[tokio::test]
async fn id_of_another_machine_passes_by_settling() {
    let whole = good_build();
    let jaeger = jaeger(&whole).await;
    let id = trace_id(&whole);
    let args = [&id, "--settle", "0s", "--interval", "20ms"];
    let done = verify(&args).at(&jaeger).run().await;
    let done = done.ends(ExitStatus::Passed);
    assert!(done.stderr.contains("the id that was given; no run record"));
    insta::assert_snapshot!(redacted(&done.stdout));
}

#[tokio::test]
async fn skipped_rules_fail_when_strict_and_warnings_when_denied() {
    let mut whole = good_build();
    let jaeger_of_one = jaeger(&whole).await;
    let id = trace_id(&whole);
    let strict = verify(&[&id, "--no-wait", "--strict"]).at(&jaeger_of_one);
    let done = strict.run().await.ends(ExitStatus::Failed);
    assert!(done.stdout.contains("error[T007]"), "{}", done.stdout);

    whole.spans.push(whole.spans[2].clone());
    let jaeger = jaeger(&whole).await;
    for (args, status) in [
        (vec![id.as_str()], ExitStatus::Passed),
        (vec![id.as_str(), "--deny-warnings"], ExitStatus::Failed),
    ] {
        let verify = verify(&args).recorded(&whole.record).at(&jaeger);
        let done = verify.run().await.ends(status);
        assert!(done.stdout.contains("warn[T004]"), "{}", done.stdout);
    }
}

#[tokio::test]
async fn pasted_page_names_jaeger_and_the_flag_still_wins() {
    let whole = good_build();
    let jaeger = jaeger(&whole).await;
    let page = |base: &str| format!("{base}/trace/{}?uiFind=x", trace_id(&whole));
    let right = verify(&[&page(&jaeger.uri())])
        .recorded(&whole.record)
        .var("JAEGER_QUERY_URL", "http://127.0.0.1:1");
    right.run().await.ends(ExitStatus::Passed);
    let uri = jaeger.uri();
    let flag = verify(&[&page("http://127.0.0.1:1"), "--jaeger-url", &uri]);
    let flag = flag.recorded(&whole.record);
    flag.run().await.ends(ExitStatus::Passed);
}

#[tokio::test]
async fn of_several_runs_in_a_trace_that_of_this_directory_is_taken() {
    let whole = build_of_a_job();
    let jaeger = jaeger(&whole).await;
    let mut other = whole.record.clone();
    other.directory = "/elsewhere".into();
    other.root = SpanId(0x901).to_string();
    other.started_ms += 1_000;
    let verify = verify(&[&trace_id(&whole)])
        .recorded(&whole.record)
        .recorded(&other)
        .at(&jaeger);
    let done = verify.run().await.ends(ExitStatus::Passed);
    assert!(done.stderr.contains("in /srv/project"), "{}", done.stderr);
}

#[tokio::test]
async fn traceparent_is_used_only_where_no_run_is() {
    let mut whole = build_of_a_job();
    // Without a record, two builds of one job could not be told apart.
    whole
        .spans
        .retain(|span| ![0x901, 0x902].contains(&span.id.0));
    let parent = format!("00-{}-0000000000000900-01", trace_id(&whole));
    let server = jaeger(&whole).await;
    let alone = verify(&["--no-wait"])
        .at(&server)
        .var("TRACEPARENT", &parent);
    let done = alone.run().await.ends(ExitStatus::Passed);
    assert!(
        done.stderr
            .contains("TRACEPARENT, as no run of this directory is recorded")
    );

    let mut elsewhere = good_build();
    elsewhere.record.trace = "0af7651916cd43dd8448eb211c80319c".into();
    let with_run = verify(&["--no-wait"])
        .recorded(&elsewhere.record)
        .at(&server)
        .var("TRACEPARENT", &parent);
    let done = with_run.run().await.ends(ExitStatus::NotFound);
    assert!(done.stderr.contains("the last run of"), "{}", done.stderr);
}

#[tokio::test]
async fn wrong_usage_is_told_before_any_network_call() {
    let whole = good_build();
    let jaeger = jaeger(&whole).await;
    for (args, vars) in [
        (vec!["nonsense"], vec![]),
        (vec!["0"], vec![]),
        (vec!["http://h/search"], vec![]),
        (vec![], vec![("TRACEPARENT", "00-1-2-3")]),
        (
            vec![whole.record.trace.as_str(), "--jaeger-url", "h:1"],
            vec![],
        ),
        (
            vec![whole.record.trace.as_str()],
            vec![("JAEGER_QUERY_URL", "ftp://user:secret@h")],
        ),
    ] {
        let mut verify = verify(&args).at(&jaeger);
        verify.vars.extend(
            vars.into_iter()
                .map(|(key, value): (&str, &str)| (key, value.to_owned())),
        );
        let done = verify.run().await;
        let error = done.result.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(!error.help().is_empty());
        assert!(!format!("{error}{error:?}").contains("secret"));
        assert_eq!(done.stdout, "");
    }
    assert!(jaeger.received_requests().await.unwrap().is_empty());
    assert!(Cli::try_parse_from(["verify", "--timeout", "soon"]).is_err());
}

#[tokio::test]
async fn absent_trace_is_exit_4_with_a_report() {
    let whole = good_build();
    let jaeger = jaeger(&whole).await;
    let absent = "0af7651916cd43dd8448eb211c80319c";
    let args = [absent, "--timeout", "200ms"];
    let done = verify(&args).at(&jaeger).run().await;
    let done = done.ends(ExitStatus::NotFound);
    insta::assert_snapshot!(redacted(&done.stdout));
}

#[tokio::test]
async fn run_that_exported_nowhere_is_told_at_once() {
    let mut whole = good_build();
    whole.record.export.routes.clear();
    let jaeger = jaeger(&failed_build()).await;
    whole.record.trace = "0af7651916cd43dd8448eb211c80319c".into();
    let done = verify(&[]).recorded(&whole.record).at(&jaeger).run().await;
    let done = done.ends(ExitStatus::NotFound);
    assert!(done.stdout.contains("the run exported nothing"));
    assert_eq!(jaeger.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn unreachable_and_refusing_jaeger_are_exit_4() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://user:secret@{}", listener.local_addr().unwrap());
    drop(listener);
    let id = trace_id(&good_build());
    let args = [&id, "--timeout", "300ms", "--jaeger-url", &dead];
    let done = verify(&args).run().await.ends(ExitStatus::NotFound);
    assert!(!format!("{done:?}").contains("secret"));
    assert!(
        done.stdout.contains("error[T001] cannot reach Jaeger"),
        "{}",
        done.stdout
    );

    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::any())
        .respond_with(ResponseTemplate::new(403))
        .mount(&server)
        .await;
    let done = verify(&[&id]).at(&server).run().await;
    let done = done.ends(ExitStatus::NotFound);
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
    insta::assert_snapshot!(redacted(&done.stdout));
}

#[tokio::test]
async fn damaged_store_is_named_and_a_trace_is_verified_without_it() {
    let whole = good_build();
    let jaeger = jaeger(&whole).await;
    let id = whole.record.trace.clone();
    let verify = verify(&[&id]).at(&jaeger);
    std::fs::write(verify.home.path().join("traces.db"), vec![7; 8192]).unwrap();
    let done = verify.run().await.ends(ExitStatus::Passed);
    let warning = "warning: cannot open the trace store";
    assert!(done.stderr.starts_with(warning), "{}", done.stderr);
}

#[tokio::test]
async fn the_local_store_is_not_asked_where_a_jaeger_was_named_or_exported_to() {
    let whole = good_build();
    let id = trace_id(&whole);
    for (asked, exported) in [(true, false), (false, true)] {
        let mut record = whole.record.clone();
        record.query_url = None;
        if !exported {
            record.export.routes.clear();
        }
        let mut verify = verify(&[&id, "--timeout", "200ms"]).recorded(&record);
        if asked {
            verify = verify.var("JAEGER_QUERY_URL", "http://127.0.0.1:1");
        }
        let store = Store::open(verify.home.path()).unwrap();
        store.receive(&whole.spans).unwrap();
        let done = verify.run().await;
        assert!(!done.stderr.contains("local store"), "{done:?}");
    }
}

#[tokio::test]
async fn certificates_that_are_none_are_told_before_any_network_call() {
    let whole = good_build();
    let jaeger = jaeger(&whole).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, "no certificate").unwrap();
    let path = file.display().to_string();
    for given in [path.as_str(), "/nowhere/ca.pem"] {
        let id = trace_id(&whole);
        let done = verify(&[&id, "--query-ca", given]).at(&jaeger).run().await;
        let error = done.result.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        let verify = verify(&[&id]).at(&jaeger).var("JAEGER_QUERY_CA", given);
        let error = verify.run().await.result.unwrap_err();
        assert!(error.to_string().contains(given), "{error}");
    }
    assert!(jaeger.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_last_trace_of_a_service_that_has_none_is_exit_4() {
    let server = MockServer::start().await;
    Mock::given(path("/api/traces"))
        .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"data":[],"errors":null}"#))
        .mount(&server)
        .await;
    let done = verify(&["--latest", "--service", "x"])
        .at(&server)
        .run()
        .await;
    let error = done.result.unwrap_err();
    assert_eq!(error.exit_code(), 4, "{error}");
    assert!(Cli::try_parse_from(["verify", "--latest"]).is_err());
}
