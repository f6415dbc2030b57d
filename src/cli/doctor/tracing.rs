//! Do the tracing variables make sense, and does what they name answer?

use std::time::Duration;

use tokio::net::UdpSocket;

use super::{Check, Verdict};
use crate::cli::env::Env;
use crate::telemetry::{Destination, Settings};
use crate::trace::jaeger::{DEFAULT_QUERY_URL, QueryUrl};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Starts all that the variables name.
const COMPOSE: &str =
    "start Jaeger (`docker-compose -f tracing.compose.yaml up -d`), or correct the variable";

/// The variables, the place where spans go, the place where they are read.
pub(super) async fn check(env: &Env) -> Vec<Check> {
    let settings = match Settings::read(&|key| env.get(key)) {
        Ok(settings) => settings,
        Err(error) => {
            return vec![Check::broken("tracing", error.to_string(), error.help())];
        }
    };
    if settings.destinations.is_empty() {
        let nowhere = "spans go nowhere: no variable says where";
        let fix = "set OTEL_EXPORTER_JAEGER_ENDPOINT=http://localhost:14268/api/traces or JAEGER_TRACE=localhost:6831";
        let asked = env.get("JAEGER_QUERY_URL").is_some();
        let query = if asked {
            query(env).await
        } else {
            Check::skipped("query", "spans go nowhere")
        };
        return vec![Check::warning("tracing", nowhere, fix), query];
    }
    let mut checks = Vec::new();
    for destination in &settings.destinations {
        checks.push(exporter(destination).await);
    }
    checks.push(query(env).await);
    checks
}

async fn exporter(destination: &Destination) -> Check {
    match destination {
        Destination::Collector { url, credentials } => collector(url.as_str(), credentials).await,
        Destination::Otlp { url, headers, .. } => otlp(url.as_str(), headers).await,
        Destination::Agent { host, port } => agent(host, *port).await,
    }
}

/// An empty batch is refused by a collector, but only a collector refuses it so.
async fn collector(url: &str, credentials: &Option<(String, String)>) -> Check {
    let client = match reqwest::Client::builder().timeout(ANSWER).build() {
        Ok(client) => client,
        Err(error) => return Check::broken("tracing", error.to_string(), "report this as a bug"),
    };
    let mut request = client
        .post(url)
        .header("content-type", "application/x-thrift");
    if let Some((user, password)) = credentials {
        request = request.basic_auth(user, Some(password));
    }
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => {
            return Check::broken(
                "tracing",
                format!("the collector {url} does not answer: {}", innermost(&error)),
                COMPOSE,
            );
        }
    };
    let status = response.status();
    match status.as_u16() {
        200..=299 | 400 => Check::ok("tracing", format!("spans go to the collector {url}")),
        401 | 403 => Check::broken(
            "tracing",
            format!("the collector {url} answers {status}"),
            "set OTEL_EXPORTER_JAEGER_USER and OTEL_EXPORTER_JAEGER_PASSWORD",
        ),
        _ => Check::broken(
            "tracing",
            format!("{url} answers {status}, as no collector does"),
            "a collector is mostly at http://HOST:14268/api/traces",
        ),
    }
}

/// An empty request is taken by every receiver.
async fn otlp(url: &str, headers: &[(String, String)]) -> Check {
    let client = match reqwest::Client::builder().timeout(ANSWER).build() {
        Ok(client) => client,
        Err(error) => return Check::broken("tracing", error.to_string(), "report this as a bug"),
    };
    let mut request = client
        .post(url)
        .header("content-type", "application/x-protobuf");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    match request.body(Vec::new()).send().await {
        Ok(answer) if answer.status().is_success() => {
            Check::ok("tracing", format!("spans go to the OTLP receiver {url}"))
        }
        Ok(answer) => Check::broken(
            "tracing",
            format!("the OTLP receiver {url} answers {}", answer.status()),
            "a receiver is mostly at http://HOST:4318; correct OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        Err(error) => Check::broken(
            "tracing",
            format!(
                "the OTLP receiver {url} does not answer: {}",
                innermost(&error)
            ),
            COMPOSE,
        ),
    }
}

/// UDP tells of nobody there only on the same machine, and only after a first packet.
async fn agent(host: &str, port: u16) -> Check {
    let name = format!("{host}:{port}");
    let sent = async {
        let addresses = tokio::net::lookup_host((host, port)).await?;
        let address = addresses.into_iter().next();
        let address = address.ok_or_else(|| std::io::Error::other("it has no address"))?;
        let any = if address.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        socket.send(&[]).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        socket.send(&[]).await?;
        std::io::Result::Ok(())
    };
    match tokio::time::timeout(ANSWER, sent).await {
        Ok(Ok(())) => Check::new(
            "tracing",
            Verdict::Ok,
            format!("spans go to the agent {name}; UDP does not say whether they arrive"),
        ),
        Ok(Err(error)) => Check::broken(
            "tracing",
            format!("the agent {name} is not there: {error}"),
            COMPOSE,
        ),
        Err(_) => Check::broken("tracing", format!("`{host}` cannot be resolved"), COMPOSE),
    }
}

/// The query API: any of Jaeger's families may answer.
async fn query(env: &Env) -> Check {
    let text = env
        .get("JAEGER_QUERY_URL")
        .unwrap_or_else(|| DEFAULT_QUERY_URL.to_owned());
    if let Err(error) = text.parse::<QueryUrl>() {
        return Check::broken("query", error.to_string(), error.help());
    }
    let Ok(client) = reqwest::Client::builder().timeout(ANSWER).build() else {
        return Check::skipped("query", "no HTTP client");
    };
    let base = text.trim_end_matches('/');
    let mut last = String::new();
    for path in ["/api/services", "/api/v3/services"] {
        match client.get(format!("{base}{path}")).send().await {
            Ok(response) if response.status().is_success() => {
                let body = response.text().await.unwrap_or_default();
                if body.starts_with('{') {
                    let known = ["dagger", "buildkitd"].map(|name| {
                        let quoted = format!("\"{name}\"");
                        format!(
                            "{name} {}",
                            if body.contains(&quoted) {
                                "known"
                            } else {
                                "not yet known"
                            }
                        )
                    });
                    return Check::ok(
                        "query",
                        format!("{} answers; services: {}", shown(base), known.join(", ")),
                    );
                }
                last = "it answers with a page, not with the API".to_owned();
            }
            Ok(response) => last = format!("it answers {}", response.status()),
            Err(error) => {
                last = innermost(&error);
                break;
            }
        }
    }
    Check::broken(
        "query",
        format!("Jaeger's query API at {}: {last}", shown(base)),
        "start Jaeger (`docker-compose -f tracing.compose.yaml up -d`), or set JAEGER_QUERY_URL",
    )
}

/// An address without the credentials in it.
fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        assert_eq!(shown("http://me:secret@jaeger:1/x"), "http://jaeger:1/x");
        assert_eq!(shown("http://jaeger:1"), "http://jaeger:1");
    }
}
