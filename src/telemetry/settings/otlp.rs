//! OTLP's variables.

use reqwest::Url;

use super::destination::Destination;
use super::error::SettingsError;
use super::resource::percent_decoded;

/// The variable that says where OTLP goes, and its value.
pub(super) fn endpoint(var: &dyn Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
    [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ]
    .into_iter()
    .find_map(|name| Some((name, var(name)?)))
}

/// OTLP over HTTP; over gRPC or a unix socket, as BuildKit offers it inside of a step, nothing is sent.
pub(super) fn destination(
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
    let (variable, value) = endpoint(var).unwrap_or((
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
