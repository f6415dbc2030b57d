//! Jaeger's variables: the collector wins over the agent.

use reqwest::Url;

use super::destination::Destination;
use super::error::SettingsError;

/// Port of the agent's compact thrift protocol.
pub(super) const AGENT_PORT: u16 = 6831;

/// Where these variables send spans: `OTEL_EXPORTER_JAEGER_ENDPOINT`, then `JAEGER_TRACE`, then
/// `OTEL_EXPORTER_JAEGER_AGENT_HOST` and `_PORT`.
pub(super) fn destination(
    var: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Destination>, SettingsError> {
    if let Some(value) = var("OTEL_EXPORTER_JAEGER_ENDPOINT") {
        return collector("OTEL_EXPORTER_JAEGER_ENDPOINT", &value, var).map(Some);
    }
    if let Some(value) = var("JAEGER_TRACE") {
        if value.contains("://") {
            return collector("JAEGER_TRACE", &value, var).map(Some);
        }
        let agent = agent(&value)?;
        return contradicted(&agent, var).map_or(Ok(Some(agent)), Err);
    }
    let first =
        |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, var(name)?)));
    let host = first([
        "OTEL_EXPORTER_JAEGER_AGENT_HOST",
        "OTEL_EXPORTER_JAEGER_HOST",
    ]);
    let port = first([
        "OTEL_EXPORTER_JAEGER_AGENT_PORT",
        "OTEL_EXPORTER_JAEGER_PORT",
    ]);
    if host.is_none() && port.is_none() {
        return Ok(None);
    }
    let port = match port {
        None => AGENT_PORT,
        Some((variable, value)) => {
            value
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| SettingsError {
                    variable,
                    problem: format!("`{value}` is not a port"),
                    help: "write a number from 1 to 65535",
                })?
        }
    };
    let host = host.map_or_else(|| "localhost".to_owned(), |(_, host)| host);
    Ok(Some(Destination::Agent { host, port }))
}

fn collector(
    variable: &'static str,
    value: &str,
    var: &dyn Fn(&str) -> Option<String>,
) -> Result<Destination, SettingsError> {
    let bad = |problem: String| SettingsError {
        variable,
        problem,
        help: "write the collector's address, e.g. `http://localhost:14268/api/traces`",
    };
    // What cannot be read is not shown: it may hold a password.
    let mut url = Url::parse(value).map_err(|error| bad(format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad(format!(
            "has the scheme `{}`, not http or https",
            url.scheme()
        )));
    }
    let name = Some(url.username())
        .filter(|name| !name.is_empty())
        .map(str::to_owned);
    let name = var("OTEL_EXPORTER_JAEGER_USER").or(name);
    let password = var("OTEL_EXPORTER_JAEGER_PASSWORD").or(url.password().map(str::to_owned));
    // These fail only for URLs without a host, which http has not.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    Ok(Destination::Collector {
        url,
        credentials: name.map(|name| (name, password.unwrap_or_default())),
    })
}

fn agent(value: &str) -> Result<Destination, SettingsError> {
    let bad = |problem: &str| SettingsError {
        variable: "JAEGER_TRACE",
        problem: format!("`{value}` {problem}"),
        help: "write the agent as `HOST:PORT`, e.g. `localhost:6831`, or the collector as `http://HOST:14268/api/traces`",
    };
    let (host, port) = value.rsplit_once(':').ok_or_else(|| bad("has no port"))?;
    let port = port
        .parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| bad("needs a port from 1 to 65535"))?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    if host.is_empty() || host.contains(['/', '@', ' ']) || (bare.is_none() && host.contains(':')) {
        return Err(bad("has no host that can be read"));
    }
    Ok(Destination::Agent {
        host: host.to_owned(),
        port,
    })
}

/// The exporter crate reads the agent's variables by itself, and believes them more than us: two
/// different agents cannot be told apart for it, so they are refused.
fn contradicted(
    agent: &Destination,
    var: &dyn Fn(&str) -> Option<String>,
) -> Option<SettingsError> {
    let Destination::Agent { host, port } = agent else {
        return None;
    };
    let (other_host, other_port) = (
        var("OTEL_EXPORTER_JAEGER_AGENT_HOST"),
        var("OTEL_EXPORTER_JAEGER_AGENT_PORT"),
    );
    if other_host.is_none() && other_port.is_none() {
        return None;
    }
    let same = other_host.as_deref().unwrap_or("127.0.0.1") == host
        && other_port.as_deref().unwrap_or("6831") == port.to_string();
    (!same).then(|| SettingsError {
        variable: "JAEGER_TRACE",
        problem: "and OTEL_EXPORTER_JAEGER_AGENT_HOST or _PORT name different agents".to_owned(),
        help: "unset one of them",
    })
}
