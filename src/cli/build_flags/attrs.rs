//! The flags that are attributes of the frontend: how steps run, labels, attestations.

use std::collections::BTreeMap;

use super::{BuildFlags, pair, usage};
use crate::cli::diagnostic::Failure;
use crate::cli::fields::{Fields, boolean, suggest};
use crate::cli::sizes;

impl BuildFlags {
    /// The flags that are one attribute of the frontend each.
    pub(super) fn plain_attrs(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut attrs = BTreeMap::new();
        for label in &self.labels {
            let (name, value) = pair("--label", label, '=', "NAME=VALUE")?;
            attrs.insert(format!("label:{name}"), value.to_owned());
        }
        let hosts = self.hosts.iter().map(|host| {
            let (name, ip) = host
                .split_once('=')
                .map_or_else(|| pair("--add-host", host, ':', "HOST:IP"), Ok)?;
            let plain = ip.trim_start_matches('[').trim_end_matches(']');
            if plain.parse::<std::net::IpAddr>().is_err() {
                return Err(usage(
                    format!("--add-host `{host}`: `{ip}` is no address"),
                    "write `HOST:IP`",
                ));
            }
            Ok(format!("{name}={plain}"))
        });
        let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
        if !hosts.is_empty() {
            attrs.insert("add-hosts".into(), hosts.join(","));
        }
        match self.network.as_deref() {
            None | Some("default" | "sandbox") => {}
            Some(mode @ ("host" | "none")) => {
                attrs.insert("force-network-mode".into(), mode.into());
            }
            Some(other) => {
                return Err(Failure::Usage {
                    message: format!("--network `{other}` is no network of steps"),
                    help: suggest(other, &["default", "host", "none"]),
                });
            }
        }
        if let Some(size) = &self.shm_size {
            let bytes = sizes::bytes(size).ok_or_else(|| {
                usage(
                    format!("--shm-size `{size}` is no size"),
                    "write bytes, or a number with b, k, m or g",
                )
            })?;
            attrs.insert("shm-size".into(), bytes.to_string());
        }
        let limits = self.ulimit.iter().map(|limit| {
            let wrong = || {
                usage(
                    format!("--ulimit `{limit}` is no limit"),
                    "write `NAME=SOFT[:HARD]`",
                )
            };
            let (name, values) = limit.split_once('=').ok_or_else(wrong)?;
            let (soft, hard) = values.split_once(':').unwrap_or((values, values));
            let number = |text: &str| text.parse::<i64>().is_ok();
            if name.is_empty() || !number(soft) || !number(hard) {
                return Err(wrong());
            }
            Ok(format!("{name}={soft}:{hard}"))
        });
        let limits = limits.collect::<Result<Vec<_>, _>>()?;
        if !limits.is_empty() {
            attrs.insert("ulimit".into(), limits.join(","));
        }
        if let Some(parent) = &self.cgroup_parent {
            attrs.insert("cgroup-parent".into(), parent.clone());
        }
        if self.pull {
            attrs.insert("image-resolve-mode".into(), "pull".into());
        }
        if self.platform.len() > 1 {
            attrs.insert("multi-platform".into(), "true".into());
        }
        Ok(attrs)
    }

    pub(super) fn attests(&self, attrs: &mut BTreeMap<String, String>) -> Result<(), Failure> {
        let short = |kind: &str, value: &Option<String>| {
            value.as_ref().map(|value| match boolean(value) {
                Some(true) => format!("type={kind}"),
                Some(false) => format!("type={kind},disabled=true"),
                None => format!("type={kind},{value}"),
            })
        };
        let all = self
            .attests
            .iter()
            .cloned()
            .chain(short("sbom", &self.sbom))
            .chain(short("provenance", &self.provenance));
        for text in all {
            let mut fields = Fields::read("--attest", &text, "type")?;
            let kind = fields.need("type")?;
            let known: &[&str] = match &*kind {
                "sbom" => &["generator"],
                "provenance" => &[
                    "mode",
                    "builder-id",
                    "filename",
                    "reproducible",
                    "inline-only",
                    "version",
                ],
                other => {
                    return Err(Failure::Usage {
                        message: format!("--attest `{text}`: unknown type `{other}`"),
                        help: suggest(other, &["sbom", "provenance"]),
                    });
                }
            };
            if fields.flag("disabled")? == Some(true) {
                attrs.remove(&format!("attest:{kind}"));
                continue;
            }
            let rest = fields.rest(known, &["generator-"])?;
            let value: Vec<_> = rest.iter().map(|(key, value)| quoted(key, value)).collect();
            attrs.insert(format!("attest:{kind}"), value.join(","));
        }
        Ok(())
    }
}

/// A field as CSV has it.
fn quoted(key: &str, value: &str) -> String {
    let field = format!("{key}={value}");
    if field.contains([',', '"']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}
