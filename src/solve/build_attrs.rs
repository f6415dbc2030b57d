//! A plan's `build` as attributes of the Dockerfile frontend.

use std::collections::BTreeMap;

use crate::plan::file::{Action, Build, NetworkMode, ulimit};

/// The attributes that depend neither on where the Dockerfile is nor on other actions.
pub(super) fn of(action: &Action, build: &Build) -> BTreeMap<String, String> {
    let platforms = action.platforms.iter().map(|one| one.value.as_str());
    let hosts = action.hosts.iter();
    let hosts = hosts.map(|(name, address)| format!("{name}={}", address.value));
    let limits = limits(action).map(|(name, (soft, hard))| format!("{name}={soft}:{hard}"));
    let network = action.network.as_ref().map(|network| network.value);
    let several = action.platforms.len() > 1;
    let single = [
        ("target", build.target.clone()),
        ("platform", list(platforms.map(str::to_owned))),
        ("multi-platform", several.then(|| "true".to_owned())),
        ("add-hosts", list(hosts)),
        ("ulimit", list(limits)),
        (
            "force-network-mode",
            match network {
                None | Some(NetworkMode::Sandbox) => None,
                Some(NetworkMode::Host) => Some("host".to_owned()),
                Some(NetworkMode::None) => Some("none".to_owned()),
            },
        ),
        ("shm-size", build.shm_size.map(|bytes| bytes.to_string())),
        ("cgroup-parent", build.cgroup_parent.clone()),
        ("image-resolve-mode", build.pull.then(|| "pull".to_owned())),
    ];
    let single = single.into_iter();
    let mut attrs: BTreeMap<String, String> = single
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    for (prefix, entries) in [("build-arg", &build.args), ("label", &build.labels)] {
        let entries = entries.iter();
        attrs.extend(entries.map(|(name, value)| (format!("{prefix}:{name}"), value.0.clone())));
    }
    attrs
}

/// The action's limits; that they can be read was seen when the plan was loaded.
pub(super) fn limits(action: &Action) -> impl Iterator<Item = (&str, (i64, i64))> {
    let limits = action.ulimits.iter();
    limits.filter_map(|(name, limit)| Some((name.as_str(), ulimit(&limit.value.0)?)))
}

fn list(items: impl Iterator<Item = String>) -> Option<String> {
    let items: Vec<_> = items.collect();
    (!items.is_empty()).then(|| items.join(","))
}
