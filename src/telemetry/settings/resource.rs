//! Who makes the spans.

use super::error::SettingsError;
use crate::trace::model::{Resource, Value};

/// What `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` say, and what is known without.
pub(super) fn resource(var: &dyn Fn(&str) -> Option<String>) -> Result<Resource, SettingsError> {
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
pub(super) fn percent_decoded(text: &str) -> String {
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
