//! What is wrong with a variable.

use thiserror::Error;

/// A variable whose value makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{variable} {problem}")]
pub struct SettingsError {
    pub(super) variable: &'static str,
    pub(super) problem: String,
    pub(super) help: &'static str,
}

impl SettingsError {
    /// What to write instead.
    pub fn help(&self) -> String {
        self.help.to_owned()
    }
}
