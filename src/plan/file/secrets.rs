//! The secrets that a plan's actions use: where they come from, and whether they are there.

use std::collections::BTreeMap;

use super::check::SecretFrom;
use super::load::PlanFile;
use super::values::Env;
use crate::document::Fault;
use crate::plan::PlanError;

impl PlanFile {
    /// The secrets that these actions use; all of them are there.
    ///
    /// # Errors
    /// When a variable is not set or a file not there.
    pub fn secrets_of(
        &self,
        actions: &[usize],
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<String, SecretFrom>, PlanError> {
        let mut used = BTreeMap::new();
        for action in actions.iter().filter_map(|index| self.actions.get(*index)) {
            for (name, optional) in action.action.secrets() {
                let Some((_, from)) = self.secrets.get(&name.value) else {
                    continue;
                };
                match missing(from, env) {
                    Some(_) if optional => {}
                    Some(why) => {
                        let message = format!("the secret `{}` is missing: {why}", name.value);
                        let fault = Fault::new(name.at, message).help(
                            "set it; or write `optional: true` into the mount, or use `--force`, if it can be done without",
                        );
                        return Err(PlanError::File(Box::new(
                            fault.within(&self.file, &self.text),
                        )));
                    }
                    None => {
                        used.insert(name.value.clone(), from.clone());
                    }
                }
            }
        }
        Ok(used)
    }

    /// Makes these actions do without the secrets that are not there, and gives their names.
    pub fn do_without_missing(
        &mut self,
        actions: &[usize],
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Vec<String> {
        let gone: Vec<_> = self
            .secrets
            .iter()
            .filter(|(_, (_, from))| missing(from, env).is_some())
            .map(|(name, _)| name.clone())
            .collect();
        let mut named = Vec::new();
        for index in actions {
            let Some(planned) = self.actions.get_mut(*index) else {
                continue;
            };
            let needed = planned.action.secrets().into_iter();
            named.extend(
                needed
                    .filter(|(name, optional)| !optional && gone.contains(&name.value))
                    .map(|(name, _)| name.value.clone()),
            );
            planned.action.do_without(&gone);
        }
        named.sort_unstable();
        named.dedup();
        named
    }
}

/// Why the secret is not there, if it is not.
fn missing(from: &SecretFrom, env: Env<'_>) -> Option<String> {
    match from {
        SecretFrom::Env(variable) => env(variable)
            .is_none()
            .then(|| format!("the variable `{variable}` is not set")),
        SecretFrom::File(path) => {
            (!path.is_file()).then(|| format!("there is no file `{}`", path.display()))
        }
    }
}
