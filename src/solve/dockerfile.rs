//! A Dockerfile as a solve: the attributes of `dockerfile.v0`.

use std::collections::BTreeMap;

use super::request::{Solve, What};
use crate::plan::Dockerfile;
use crate::session::LocalDir;

/// What the Dockerfile frontend is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerfileOptions {
    /// The stage to build; absent: the last.
    pub target: Option<String>,
    /// Build arguments by name.
    pub build_args: BTreeMap<String, String>,
    /// Platforms as `os/arch[/variant]`; none: the worker's own.
    pub platforms: Vec<String>,
    /// Run steps again: of all stages if none is named, `None`: of none.
    pub no_cache: Option<Vec<String>>,
    /// Set apart the names of this build's directories from those of others in the session.
    pub scope: Option<String>,
    /// Further attributes of the frontend, which win over those above.
    pub attrs: BTreeMap<String, String>,
}

impl DockerfileOptions {
    /// The solve that builds what the daemon reads from `url`, with the Dockerfile `file` in it; without
    /// exports.
    pub fn solve_remote(&self, url: &str, file: Option<&str>) -> Solve {
        let mut attrs = self.attrs_of(file);
        attrs.insert("context".into(), url.to_owned());
        attrs.extend(self.attrs.clone());
        Solve::new(What::Frontend {
            name: "dockerfile.v0".into(),
            attrs,
            inputs: BTreeMap::new(),
        })
    }

    /// The attributes that do not depend on where the context is.
    fn attrs_of(&self, file: Option<&str>) -> BTreeMap<String, String> {
        let mut attrs = BTreeMap::new();
        if let Some(file) = file {
            attrs.insert("filename".to_owned(), file.to_owned());
        }
        if let Some(target) = &self.target {
            attrs.insert("target".into(), target.clone());
        }
        if !self.platforms.is_empty() {
            attrs.insert("platform".into(), self.platforms.join(","));
        }
        if let Some(stages) = &self.no_cache {
            attrs.insert("no-cache".into(), stages.join(","));
        }
        let arguments = self.build_args.iter();
        attrs.extend(arguments.map(|(name, value)| (format!("build-arg:{name}"), value.clone())));
        attrs
    }

    /// The solve that builds `dockerfile`, without exports.
    pub fn solve(&self, dockerfile: &Dockerfile) -> Solve {
        let mut attrs = self.attrs_of(Some(&dockerfile.filename));
        let local = |key: &str| match &self.scope {
            Some(scope) => format!("{key}-{scope}"),
            None => key.to_owned(),
        };
        let (context, directory) = (local("context"), local("dockerfile"));
        if self.scope.is_some() {
            attrs.insert("contextkey".into(), context.clone());
            attrs.insert("dockerfilekey".into(), directory.clone());
        }
        attrs.extend(self.attrs.clone());
        let mut solve = Solve::new(What::Frontend {
            name: "dockerfile.v0".into(),
            attrs,
            inputs: BTreeMap::new(),
        });
        solve.locals = vec![
            LocalDir {
                name: context,
                root: dockerfile.context.clone(),
            },
            LocalDir {
                name: directory,
                root: dockerfile.directory.clone(),
            },
        ];
        solve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dockerfile() -> Dockerfile {
        Dockerfile {
            context: "/c".into(),
            directory: "/d".into(),
            filename: "F".into(),
        }
    }

    #[test]
    fn builds_of_one_session_read_each_their_own_directories() {
        let options = DockerfileOptions {
            scope: Some("api".into()),
            ..DockerfileOptions::default()
        };
        let solve = options.solve(&dockerfile());
        let What::Frontend { attrs, .. } = &solve.what else {
            panic!("a frontend")
        };
        assert_eq!(attrs["contextkey"], "context-api");
        let names: Vec<_> = solve.locals.iter().map(|local| &*local.name).collect();
        assert_eq!(names, ["context-api", "dockerfile-api"]);
    }

    #[test]
    fn a_given_attribute_wins() {
        let options = DockerfileOptions {
            target: Some("a".into()),
            attrs: BTreeMap::from([("target".to_owned(), "b".to_owned())]),
            ..DockerfileOptions::default()
        };
        let What::Frontend { attrs, .. } = options.solve(&dockerfile()).what else {
            panic!("a frontend")
        };
        assert_eq!(attrs["target"], "b");
    }
}
