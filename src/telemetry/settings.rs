//! What the environment says of tracing. Read once; a flag of the command line would win over it.

mod choose;
mod destination;
mod error;
mod jaeger;
mod otlp;
mod resource;
#[cfg(test)]
mod tests;

pub use destination::Destination;
pub use error::SettingsError;

use super::sampler::Sampler;
use crate::trace::model::{Attributes, Resource};

/// Where spans go, and who they say made them.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where spans go, the first first; none: nowhere.
    pub destinations: Vec<Destination>,
    /// Which traces are exported.
    pub sampler: Sampler,
    /// Who makes them.
    pub resource: Resource,
    /// What was set and is not followed, one line each.
    pub ignored: Vec<String>,
}

impl Settings {
    /// Reads the variables. An empty variable counts as unset.
    ///
    /// Variables that name several ways to one Jaeger are usual; a span leaves by one of them, or it would
    /// stand there twice. Several are used if `OTEL_TRACES_EXPORTER` says so.
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
        let destinations = if off {
            Vec::new()
        } else {
            choose::chosen(&var, &mut ignored)?
        };
        Ok(Self {
            destinations,
            sampler: sampler(&var)?,
            resource: resource::resource(&var)?,
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
