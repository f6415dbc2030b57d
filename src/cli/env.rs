//! The world as the command line sees it: variables, directories, terminals. Read once, in `main.rs`.

use std::path::PathBuf;

/// Looks up an environment variable.
pub type Vars = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The process's surroundings.
pub struct Env {
    /// Looks up an environment variable; one that is not UTF-8 counts as unset.
    pub var: Vars,
    /// This program's file, to be started once more; `None` if that cannot be said.
    pub program: Option<PathBuf>,
    /// The working directory, absolute.
    pub cwd: PathBuf,
    /// Is standard error a terminal?
    pub stderr_is_terminal: bool,
    /// Is standard output a terminal?
    pub stdout_is_terminal: bool,
    /// Columns and rows of the terminal behind standard error, now.
    pub terminal_size: fn() -> Option<(u16, u16)>,
}

impl Env {
    /// A variable that is set and not empty.
    pub fn get(&self, key: &str) -> Option<String> {
        (self.var)(key).filter(|value| !value.is_empty())
    }

    /// Where `dagger` keeps what it remembers between runs (XDG Base Directory Specification).
    pub fn state_dir(&self) -> Option<PathBuf> {
        let state = self
            .get("XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let state = state.or_else(|| Some(PathBuf::from(self.get("HOME")?).join(".local/state")));
        state.map(|path| path.join("dagger"))
    }

    /// Where the user's configuration of `dagger` is (XDG Base Directory Specification).
    pub fn config_dir(&self) -> Option<PathBuf> {
        let config = self
            .get("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let config = config.or_else(|| Some(PathBuf::from(self.get("HOME")?).join(".config")));
        config.map(|path| path.join("dagger"))
    }

    /// May standard error be coloured?
    pub fn colour(&self) -> bool {
        self.colour_of(self.stderr_is_terminal)
    }

    /// May a stream be coloured? `NO_COLOR` wins, then `CLICOLOR_FORCE`, then the terminal.
    pub fn colour_of(&self, is_terminal: bool) -> bool {
        if self.get("NO_COLOR").is_some() {
            return false;
        }
        let forced = self.get("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        forced || (is_terminal && self.get("TERM").as_deref() != Some("dumb"))
    }

    /// Can rows be redrawn on standard error? Not in CI, where the log is kept.
    pub fn live(&self) -> bool {
        let ci = self
            .get("CI")
            .is_some_and(|value| value != "false" && value != "0");
        self.stderr_is_terminal && !ci && self.get("TERM").as_deref() != Some("dumb")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &'static [(&'static str, &'static str)], terminal: bool) -> Env {
        Env {
            var: Box::new(|key| {
                vars.iter()
                    .find(|(name, _)| *name == key)
                    .map(|(_, value)| (*value).to_owned())
            }),
            program: None,
            cwd: "/".into(),
            stderr_is_terminal: terminal,
            stdout_is_terminal: terminal,
            terminal_size: || None,
        }
    }

    #[test]
    fn state_is_kept_where_xdg_says() {
        assert_eq!(
            env(&[("XDG_STATE_HOME", "/s")], false).state_dir(),
            Some("/s/dagger".into())
        );
        assert_eq!(
            env(&[("XDG_STATE_HOME", "s"), ("HOME", "/h")], false).state_dir(),
            Some("/h/.local/state/dagger".into())
        );
        assert_eq!(env(&[], false).state_dir(), None);
    }

    #[test]
    fn no_color_wins_over_force_and_terminal() {
        assert!(env(&[], true).colour());
        assert!(env(&[("CLICOLOR_FORCE", "1")], false).colour());
        assert!(!env(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], true).colour());
        assert!(!env(&[("TERM", "dumb")], true).colour());
    }

    #[test]
    fn rows_are_not_redrawn_in_ci() {
        assert!(env(&[], true).live());
        assert!(env(&[("CI", "false")], true).live());
        assert!(!env(&[("CI", "true")], true).live());
    }
}
