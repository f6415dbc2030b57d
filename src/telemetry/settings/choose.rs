//! Which of the places that are named get spans.

use super::destination::Destination;
use super::error::SettingsError;
use super::{jaeger, otlp};

/// Without `OTEL_TRACES_EXPORTER` spans leave by one way: Jaeger's variables come before OTLP's. With it they
/// leave by each that it names; but two on one host lead, as good as always, to the same Jaeger, where every
/// span would stand twice.
pub(super) fn chosen(
    var: &dyn Fn(&str) -> Option<String>,
    ignored: &mut Vec<String>,
) -> Result<Vec<Destination>, SettingsError> {
    let Some(names) = var("OTEL_TRACES_EXPORTER") else {
        let chosen = match jaeger::destination(var)? {
            None if otlp::endpoint(var).is_some() => otlp::destination(var, ignored)?,
            chosen => chosen,
        };
        return Ok(chosen.into_iter().collect());
    };
    let mut chosen: Vec<Destination> = Vec::new();
    for name in names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let destination = match name {
            // It says that nothing else is meant.
            "none" => return Ok(Vec::new()),
            "jaeger" => Some(
                jaeger::destination(var)?.unwrap_or_else(|| Destination::Agent {
                    host: "localhost".to_owned(),
                    port: jaeger::AGENT_PORT,
                }),
            ),
            "otlp" => otlp::destination(var, ignored)?,
            _ => {
                ignored.push(format!(
                    "OTEL_TRACES_EXPORTER: `{name}` is not jaeger, otlp or none"
                ));
                None
            }
        };
        let Some(destination) = destination else {
            continue;
        };
        match chosen.iter().find(|known| known.host() == destination.host()) {
            None => chosen.push(destination),
            Some(known) if *known == destination => {}
            Some(known) => ignored.push(format!(
                "OTEL_TRACES_EXPORTER: `{name}`, as {known} is on the same host, and spans would stand in it twice"
            )),
        }
    }
    Ok(chosen)
}
