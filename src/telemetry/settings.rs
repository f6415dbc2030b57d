//! What the environment says of tracing. Read once; a flag of the command line would win over it.

use std::fmt;

use reqwest::Url;
use thiserror::Error;

use super::sampler::Sampler;
use crate::trace::model::{Attributes, Resource, Value};

/// Port of the agent's compact thrift protocol.
const AGENT_PORT: u16 = 6831;

/// Where spans go, and who they say made them.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where spans go; `None`: nowhere.
    pub destination: Option<Destination>,
    /// Which traces are exported.
    pub sampler: Sampler,
    /// Who makes them.
    pub resource: Resource,
    /// What was set and is not followed, one line each.
    pub ignored: Vec<String>,
}

/// One place where spans go.
#[derive(Clone, PartialEq, Eq)]
pub enum Destination {
    /// Jaeger's collector: thrift over HTTP.
    Collector {
        /// Without user-info.
        url: Url,
        /// Name and password for basic authentication.
        credentials: Option<(String, String)>,
    },
    /// An OTLP receiver over HTTP.
    Otlp {
        /// Without user-info.
        url: Url,
        /// Headers of each request; they may be secret.
        headers: Vec<(String, String)>,
        /// As JSON instead of protobuf?
        json: bool,
    },
    /// Jaeger's agent: compact thrift over UDP.
    Agent {
        /// Name or address; IPv6 without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collector { url, .. } | Self::Otlp { url, .. } => {
                // A query may hold a token.
                let mut shown = url.clone();
                shown.set_query(None);
                shown.set_fragment(None);
                shown.fmt(f)
            }
            Self::Agent { host, port } if host.contains(':') => write!(f, "udp://[{host}]:{port}"),
            Self::Agent { host, port } => write!(f, "udp://{host}:{port}"),
        }
    }
}

impl fmt::Debug for Destination {
    /// As it is displayed: never with credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A variable whose value makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{variable} {problem}")]
pub struct SettingsError {
    variable: &'static str,
    problem: String,
    help: &'static str,
}

impl SettingsError {
    /// What to write instead.
    pub fn help(&self) -> String {
        self.help.to_owned()
    }
}

impl Settings {
    /// Reads the variables. An empty variable counts as unset.
    ///
    /// The collector (`OTEL_EXPORTER_JAEGER_ENDPOINT`) wins over the agent (`JAEGER_TRACE`, then
    /// `OTEL_EXPORTER_JAEGER_AGENT_HOST` and `_PORT`): a span leaves by one way, or it would stand in
    /// Jaeger twice.
    ///
    /// # Errors
    /// When a variable that counts cannot be read.
    pub fn read(var: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let var = |name: &str| {
            var(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let off = var("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let mut ignored = Vec::new();
        let destination = if off {
            None
        } else {
            chosen(&var, &mut ignored)?
        };
        Ok(Self {
            destination,
            sampler: sampler(&var)?,
            resource: resource(&var)?,
            ignored,
        })
    }

    /// Adds attributes of the resource; those that were set win.
    pub fn add_attributes(&mut self, attributes: Attributes) {
        for (key, value) in attributes {
            let known = &mut self.resource.attributes;
            if !known.iter().any(|(name, _)| *name == key) {
                known.push((key, value));
            }
        }
    }

    /// The `service.name` that spans carry.
    pub fn service(&self) -> &str {
        &self.resource.service
    }
}

/// `OTEL_TRACES_EXPORTER` chooses; without it, Jaeger's variables come before OTLP's. A list's first name
/// counts: a span leaves by one way.
fn chosen(
    var: &dyn Fn(&str) -> Option<String>,
    ignored: &mut Vec<String>,
) -> Result<Option<Destination>, SettingsError> {
    let Some(names) = var("OTEL_TRACES_EXPORTER") else {
        return match destination(var)? {
            Some(destination) => Ok(Some(destination)),
            None if otlp_endpoint(var).is_some() => otlp(var, ignored),
            None => Ok(None),
        };
    };
    let mut names = names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let known = ["none", "jaeger", "otlp"];
    let mut found = None;
    for name in names.by_ref() {
        if known.contains(&name) && found.is_none() {
            found = Some(name);
        } else if known.contains(&name) {
            ignored.push(format!(
                "OTEL_TRACES_EXPORTER: `{name}`, as spans leave by one way, the first"
            ));
        } else {
            ignored.push(format!(
                "OTEL_TRACES_EXPORTER: `{name}` is not jaeger, otlp or none"
            ));
        }
    }
    match found {
        Some("jaeger") => Ok(Some(destination(var)?.unwrap_or_else(|| {
            Destination::Agent {
                host: "localhost".to_owned(),
                port: AGENT_PORT,
            }
        }))),
        Some("otlp") => otlp(var, ignored),
        _ => Ok(None),
    }
}

/// The variable that says where OTLP goes, and its value.
fn otlp_endpoint(var: &dyn Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
    [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ]
    .into_iter()
    .find_map(|name| Some((name, var(name)?)))
}

/// OTLP over HTTP; over gRPC or a unix socket, as BuildKit offers it inside of a step, nothing is sent.
fn otlp(
    var: &dyn Fn(&str) -> Option<String>,
    ignored: &mut Vec<String>,
) -> Result<Option<Destination>, SettingsError> {
    let own = |traces: &str, general: &str| var(traces).or_else(|| var(general));
    let protocol = own(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    );
    let json = match protocol.as_deref() {
        None | Some("http/protobuf") => false,
        Some("http/json") => true,
        Some(other) => {
            ignored.push(format!(
                "OTLP over `{other}`: spans are not exported; http/protobuf and http/json are known"
            ));
            return Ok(None);
        }
    };
    let (variable, value) = otlp_endpoint(var).unwrap_or((
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "http://localhost:4318".to_owned(),
    ));
    if value.starts_with("unix:") {
        ignored.push(format!(
            "{variable}: spans are not exported to a unix socket"
        ));
        return Ok(None);
    }
    let help = "write the receiver's address, e.g. `http://localhost:4318`";
    let bad = |problem: String| SettingsError {
        variable,
        problem,
        help,
    };
    // What cannot be read is not shown: it may hold a password.
    let mut url = Url::parse(&value).map_err(|error| bad(format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad(format!(
            "has the scheme `{}`, not http or https",
            url.scheme()
        )));
    }
    if variable == "OTEL_EXPORTER_OTLP_ENDPOINT" {
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    let mut headers = Vec::new();
    if !url.username().is_empty() || url.password().is_some() {
        let pair = format!("{}:{}", url.username(), url.password().unwrap_or_default());
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair);
        headers.push(("authorization".to_owned(), format!("Basic {text}")));
        // These fail only for URLs without a host, which http has not.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
    }
    let listed = own(
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "OTEL_EXPORTER_OTLP_HEADERS",
    );
    for pair in listed
        .unwrap_or_default()
        .split(',')
        .filter(|pair| !pair.trim().is_empty())
    {
        let read = pair.split_once('=').and_then(|(name, value)| {
            let (name, value) = (name.trim(), percent_decoded(value.trim()));
            let fits = http::HeaderName::try_from(name).is_ok()
                && http::HeaderValue::try_from(&value).is_ok();
            fits.then(|| (name.to_owned(), value))
        });
        headers.push(read.ok_or_else(|| SettingsError {
            variable: "OTEL_EXPORTER_OTLP_HEADERS",
            problem: "holds a part that is no header".to_owned(),
            help: "write `name=value,name=value`",
        })?);
    }
    Ok(Some(Destination::Otlp { url, headers, json }))
}

fn sampler(var: &dyn Fn(&str) -> Option<String>) -> Result<Sampler, SettingsError> {
    let Some(name) = var("OTEL_TRACES_SAMPLER") else {
        return Ok(Sampler::default());
    };
    let argument = var("OTEL_TRACES_SAMPLER_ARG");
    Sampler::parse(&name, argument.as_deref()).ok_or_else(|| SettingsError {
        variable: "OTEL_TRACES_SAMPLER",
        problem: format!("`{name}` with OTEL_TRACES_SAMPLER_ARG `{}` is no sampler", argument.unwrap_or_default()),
        help: "write always_on, always_off or traceidratio with a number from 0 to 1, each also with `parentbased_` in front",
    })
}

fn destination(var: &dyn Fn(&str) -> Option<String>) -> Result<Option<Destination>, SettingsError> {
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

fn resource(var: &dyn Fn(&str) -> Option<String>) -> Result<Resource, SettingsError> {
    let mut service = None;
    let text = |value: &str| Value::Str(value.to_owned());
    let mut attributes = vec![
        (
            "service.version".to_owned(),
            text(env!("CARGO_PKG_VERSION")),
        ),
        ("host.name".to_owned(), Value::Str(host_name())),
        (
            "process.pid".to_owned(),
            Value::Int(i64::from(std::process::id())),
        ),
        ("telemetry.sdk.name".to_owned(), text("dagger")),
        ("telemetry.sdk.language".to_owned(), text("rust")),
        (
            "telemetry.sdk.version".to_owned(),
            text(env!("CARGO_PKG_VERSION")),
        ),
    ];
    for pair in var("OTEL_RESOURCE_ATTRIBUTES")
        .unwrap_or_default()
        .split(',')
    {
        if pair.trim().is_empty() {
            continue;
        }
        let bad = || SettingsError {
            variable: "OTEL_RESOURCE_ATTRIBUTES",
            problem: "holds a part that is no `key=value`".to_owned(),
            help: "write `key=value,key=value`, with commas and equals signs in values as %2C and %3D",
        };
        let (key, value) = pair.split_once('=').ok_or_else(bad)?;
        let (key, value) = (key.trim().to_owned(), percent_decoded(value.trim()));
        if key.is_empty() {
            return Err(bad());
        }
        if key == "service.name" {
            service = Some(value);
        } else {
            attributes.retain(|(name, _)| *name != key);
            attributes.push((key, Value::Str(value)));
        }
    }
    let service = var("OTEL_SERVICE_NAME")
        .or(service)
        .unwrap_or_else(|| "dagger".to_owned());
    Ok(Resource {
        service,
        attributes,
    })
}

fn host_name() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}

/// The text with every `%XX` undone.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() {
            tail.get(2..).unwrap_or_default()
        } else {
            tail
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(&|name| {
            vars.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    fn goes_to(vars: &[(&str, &str)]) -> String {
        match read(vars) {
            Ok(settings) => settings
                .destination
                .map_or("nowhere".into(), |destination| destination.to_string()),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn the_collector_wins_over_the_agent_and_off_over_both() {
        let endpoint = (
            "OTEL_EXPORTER_JAEGER_ENDPOINT",
            "http://localhost:14268/api/traces",
        );
        let trace = ("JAEGER_TRACE", "localhost:6831");
        let host = ("OTEL_EXPORTER_JAEGER_AGENT_HOST", "jaeger");
        assert_eq!(
            goes_to(&[endpoint, trace, host]),
            "http://localhost:14268/api/traces"
        );
        assert_eq!(goes_to(&[trace]), "udp://localhost:6831");
        assert!(goes_to(&[trace, host]).starts_with("error: JAEGER_TRACE and"));
        assert_eq!(goes_to(&[host]), "udp://jaeger:6831");
        assert_eq!(
            goes_to(&[("OTEL_EXPORTER_JAEGER_AGENT_PORT", "7000")]),
            "udp://localhost:7000"
        );
        assert_eq!(
            goes_to(&[("JAEGER_TRACE", "https://jaeger/api/traces")]),
            "https://jaeger/api/traces"
        );
        assert_eq!(
            goes_to(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]),
            "nowhere"
        );
        assert_eq!(
            goes_to(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]),
            "nowhere"
        );
        assert_eq!(goes_to(&[("JAEGER_TRACE", " ")]), "nowhere");
    }

    #[test]
    fn each_mistake_names_its_variable() {
        insta::assert_snapshot!(
            [
                goes_to(&[("JAEGER_TRACE", "localhost")]),
                goes_to(&[("JAEGER_TRACE", "localhost:notaport")]),
                goes_to(&[("JAEGER_TRACE", ":1")]),
                goes_to(&[("JAEGER_TRACE", "::1:6831")]),
                goes_to(&[("JAEGER_TRACE", "ftp://x")]),
                goes_to(&[("OTEL_EXPORTER_JAEGER_ENDPOINT", "localhost:14268")]),
                goes_to(&[("OTEL_EXPORTER_JAEGER_ENDPOINT", "http://me:secret@:x")]),
                goes_to(&[("OTEL_EXPORTER_JAEGER_AGENT_PORT", "0")]),
                goes_to(&[("OTEL_RESOURCE_ATTRIBUTES", "a")]),
            ]
            .join("\n")
        );
    }

    #[test]
    fn credentials_are_used_and_never_shown() {
        let settings =
            read(&[("OTEL_EXPORTER_JAEGER_ENDPOINT", "http://me:secret@h:1/x")]).unwrap();
        let shown = format!("{settings:?}");
        assert!(!shown.contains("secret"), "{shown}");
        let Some(Destination::Collector { credentials, .. }) = settings.destination else {
            panic!()
        };
        assert_eq!(credentials, Some(("me".into(), "secret".into())));
    }

    #[test]
    fn the_resource_says_what_it_was_told() {
        let vars = [
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "a=1%2C2,service.name=x,host.name=h",
            ),
            ("OTEL_SERVICE_NAME", "y"),
        ];
        let resource = read(&vars).unwrap().resource;
        assert_eq!(resource.service, "y");
        let value = |key: &str| {
            resource
                .attributes
                .iter()
                .filter(|(name, _)| name == key)
                .map(|(_, value)| value.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (value("a"), value("host.name")),
            (vec!["1,2".into()], vec!["h".into()])
        );
    }

    proptest::proptest! {
        #[test]
        fn no_value_panics(value in "\\PC*") {
            for name in ["JAEGER_TRACE", "OTEL_EXPORTER_JAEGER_ENDPOINT", "OTEL_RESOURCE_ATTRIBUTES"] {
                let _ = read(&[(name, &value)]);
            }
        }
    }
}
