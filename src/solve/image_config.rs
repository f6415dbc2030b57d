//! An image's configuration: what later commands take over from it.

use serde_json::{Map, Value, json};

use crate::llb::Platform;

/// An image's configuration (OCI image specification, `config.md`), changed as a build goes on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ImageConfig(Value);

impl ImageConfig {
    /// That of nothing.
    pub(super) fn empty(platform: &Platform) -> Self {
        let mut config = json!({
            "architecture": platform.architecture,
            "os": platform.os,
            "rootfs": { "type": "layers", "diff_ids": [] },
            "config": {},
        });
        if !platform.variant.is_empty() {
            let variant = platform.variant.clone().into();
            if let Some(config) = config.as_object_mut() {
                config.insert("variant".to_owned(), variant);
            }
        }
        Self(config)
    }

    /// Reads one; `None` if it is not of that form.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(json).ok()?;
        value.is_object().then_some(Self(value))
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get("config")?.get(key)
    }

    fn inner(&mut self) -> Option<&mut Map<String, Value>> {
        let config = self
            .0
            .as_object_mut()?
            .entry("config")
            .or_insert(Value::Null);
        if !config.is_object() {
            *config = json!({});
        }
        config.as_object_mut()
    }

    /// Variables, as `NAME=VALUE`.
    pub(super) fn env(&self) -> Vec<String> {
        let list = self.get("Env").and_then(Value::as_array);
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    /// Sets a variable, in its old place if it has one.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        let mut env = self.env();
        let entry = format!("{name}={value}");
        let known = env
            .iter_mut()
            .find(|known| known.split('=').next() == Some(name));
        match known {
            Some(known) => *known = entry,
            None => env.push(entry),
        }
        if let Some(config) = self.inner() {
            config.insert("Env".into(), env.into());
        }
    }

    /// The directory of commands, absolute.
    pub(super) fn directory(&self) -> String {
        let directory = self.get("WorkingDir").and_then(Value::as_str).unwrap_or("");
        crate::llb::clean(&format!("/{directory}"))
    }

    /// Changes the directory, as seen from the one before.
    pub(super) fn enter(&mut self, directory: &str) {
        let path = if directory.starts_with('/') {
            crate::llb::clean(directory)
        } else {
            crate::llb::clean(&format!("{}/{directory}", self.directory()))
        };
        if let Some(config) = self.inner() {
            config.insert("WorkingDir".into(), path.into());
        }
    }

    /// Who runs commands; empty: root.
    pub(super) fn user(&self) -> &str {
        self.get("User").and_then(Value::as_str).unwrap_or("")
    }

    pub(super) fn set_user(&mut self, user: &str) {
        if let Some(config) = self.inner() {
            config.insert("User".into(), user.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_base_says_holds_until_it_is_changed() {
        let mut config = ImageConfig::read(
            br#"{"config": {"Env": ["PATH=/bin", "A=1"], "WorkingDir": "/srv", "User": "app", "Cmd": ["x"]}}"#,
        )
        .unwrap();
        assert_eq!(
            (config.directory().as_str(), config.user()),
            ("/srv", "app")
        );
        config.set_env("A", "2");
        config.set_env("B", "3");
        config.enter("www/../x");
        config.set_user("root");
        assert_eq!(config.env(), ["PATH=/bin", "A=2", "B=3"]);
        assert_eq!(
            (config.directory().as_str(), config.user()),
            ("/srv/x", "root")
        );
        let json: Value = serde_json::from_slice(&config.to_json()).unwrap();
        assert_eq!(json["config"]["Cmd"][0], "x");
    }

    #[test]
    fn a_strange_config_is_no_harm() {
        assert_eq!(ImageConfig::read(b"[1]"), None);
        let mut config = ImageConfig::read(br#"{"config": [1]}"#).unwrap();
        assert!(config.env().is_empty());
        config.set_env("A", "1");
        assert_eq!(config.env(), ["A=1"]);
    }
}
