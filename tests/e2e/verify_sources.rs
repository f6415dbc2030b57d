//! `dagger trace verify`: which Jaeger is asked, how, and what is taken where none is.

use std::process::Command;

use crate::support::{Bed, Context, Dagger, Engine, Gate, bed, bed_dir, gate};

#[test]
fn a_jaeger_2_without_the_old_routes_is_asked_through_v3() {
    let jaeger2 = Bed::up(&bed_dir("-v3"), &["jaeger2"]);
    let context = Context::three_stages("verify-v3");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .env(
            "OTEL_EXPORTER_JAEGER_ENDPOINT",
            &jaeger2.fact("/jaeger2/collector_url"),
        )
        .env("OTEL_SERVICE_NAME", "verify-v3")
        .run()
        .expect(0);
    let trace = run.trace();
    let query_url = jaeger2.fact("/jaeger2/query_url");
    let strict = format!("http://{}", gate(&query_url, Gate::OnlyV3));
    let state = run.state.path().display().to_string();
    let verify = |url: &str, args: &[&str]| {
        let all = [
            &["trace", "verify", "--format=json", "--jaeger-url", url],
            args,
        ]
        .concat();
        let verify = Dagger::new(context.path(), &all).env("XDG_STATE_HOME", &state);
        let report = verify.run().expect(0).json();
        (
            report["trace"]["id"].clone(),
            report["trace"]["spans"].clone(),
            report["summary"].clone(),
        )
    };
    let old = verify(&query_url, &[&trace]);
    assert_eq!(verify(&strict, &[&trace]), old);
    let latest = ["--latest", "--service=verify-v3"];
    assert_eq!(verify(&query_url, &latest), old);
    assert_eq!(verify(&strict, &latest), old);
}

#[test]
fn a_login_below_a_base_path_is_passed_and_never_printed() {
    let context = Context::three_stages("verify-login");
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .with_collector()
        .run()
        .expect(0);
    let trace = run.trace();
    // `us@er:tops3cret`
    let basic = "Basic dXNAZXI6dG9wczNjcmV0";
    for (user_info, header) in [
        ("us%40er:tops3cret", basic),
        ("bearer:tops3cret", "Bearer tops3cret"),
    ] {
        let at = gate(&bed().query_url(), Gate::Login(header));
        let verify = |user_info: &str| {
            let url = format!("http://{user_info}@{at}/jaeger/");
            Dagger::new(
                context.path(),
                &["trace", "verify", "-v", &trace, "--log-level=trace"],
            )
            .env("JAEGER_QUERY_URL", &url)
            .env("XDG_STATE_HOME", &run.state.path().display().to_string())
            .run()
        };
        let good = verify(user_info).expect(0);
        let bad = verify("us%40er:tops3cret-not").expect(4);
        for printed in [good.stdout, good.stderr, bad.stdout, bad.stderr] {
            assert!(
                !printed.contains("tops3cret") && !printed.contains("dXNA"),
                "{printed}"
            );
        }
    }
}

#[test]
fn the_local_store_is_taken_where_no_jaeger_is() {
    let context = Context::three_stages("verify-local");
    // No Jaeger is named to the build either.
    let run = Dagger::up(context.path(), Engine::Mute, &[])
        .env("JAEGER_QUERY_URL", "")
        .run()
        .expect(0);
    let trace = run.trace();
    // In a network of its own nobody listens at Jaeger's usual address.
    let verify = |url: Option<&str>| {
        let mut command = Command::new("unshare");
        command
            .args([
                "--net",
                env!("CARGO_BIN_EXE_dagger"),
                "trace",
                "verify",
                "--timeout=1s",
                &trace,
            ])
            .current_dir(context.path())
            .env_clear()
            .env("XDG_STATE_HOME", run.state.path());
        if let Some(url) = url {
            command.env("JAEGER_QUERY_URL", url);
        }
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, stderr) = verify(None);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains("the trace is read from the local store"),
        "{stderr}"
    );
    let (code, stderr) = verify(Some("http://127.0.0.1:16686"));
    assert_eq!(code, Some(4), "{stderr}");
}
