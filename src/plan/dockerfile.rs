//! A bare Dockerfile and its context.

use std::path::{Path, PathBuf};

use super::error::PlanError;

/// A Dockerfile and the directory it builds from, both absolute and there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The build context.
    pub context: PathBuf,
    /// The directory that holds the Dockerfile.
    pub directory: PathBuf,
    /// The Dockerfile's name in that directory.
    pub filename: String,
}

impl Dockerfile {
    /// Finds the Dockerfile of `context`, or `file` if one is named.
    ///
    /// Relative paths are seen from `cwd`; a `file` that is not there is also looked for in the
    /// context, as `docker build -f` does.
    ///
    /// # Errors
    /// When the context is no readable directory, or there is no such file.
    pub fn find(cwd: &Path, context: &Path, file: Option<&Path>) -> Result<Self, PlanError> {
        let named = cwd.join(context);
        let meta = named.metadata().map_err(|source| PlanError::Context {
            path: named.clone(),
            source,
        })?;
        if !meta.is_dir() {
            return Err(PlanError::NotADirectory {
                path: context.to_owned(),
            });
        }
        let context = named.canonicalize().map_err(|source| PlanError::Context {
            path: named.clone(),
            source,
        })?;
        let path = match file {
            None => context.join("Dockerfile"),
            Some(file) => {
                let (here, inside) = (cwd.join(file), context.join(file));
                if !here.is_file() && inside.is_file() {
                    inside
                } else {
                    here
                }
            }
        };
        if !path.is_file() {
            let near = file.is_none().then(|| near(&context)).flatten();
            return Err(PlanError::NoDockerfile { path, near });
        }
        let filename = path.file_name().and_then(|name| name.to_str());
        let filename = filename
            .ok_or_else(|| PlanError::Name { path: path.clone() })?
            .to_owned();
        let parent = path.parent().unwrap_or(&context);
        let directory = parent.canonicalize().map_err(|source| PlanError::Context {
            path: parent.to_owned(),
            source,
        })?;
        Ok(Self {
            context,
            directory,
            filename,
        })
    }
}

/// A file of the context that looks like a Dockerfile.
fn near(context: &Path) -> Option<String> {
    let mut names: Vec<String> = std::fs::read_dir(context)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let lower = name.to_ascii_lowercase();
            (lower.contains("dockerfile") && !lower.ends_with(".dockerignore"))
                || lower == "containerfile"
        })
        .collect();
    names.sort();
    names.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contexts_own_dockerfile_is_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("Dockerfile"), "FROM scratch").unwrap();
        let found = Dockerfile::find(dir.path(), Path::new("."), None).unwrap();
        let real = dir.path().canonicalize().unwrap();
        assert_eq!(
            found,
            Dockerfile {
                context: real.clone(),
                directory: real,
                filename: "Dockerfile".into()
            }
        );
    }

    #[test]
    fn a_named_file_is_seen_from_here_then_from_the_context() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("app")).unwrap();
        std::fs::write(dir.path().join("app/one"), "").unwrap();
        let find =
            |file: &str| Dockerfile::find(dir.path(), Path::new("app"), Some(Path::new(file)));
        assert_eq!(find("app/one").unwrap(), find("one").unwrap());
        assert!(matches!(
            find("two"),
            Err(PlanError::NoDockerfile { near: None, .. })
        ));
    }

    #[test]
    fn a_file_with_a_near_name_is_offered() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("Containerfile"), "").unwrap();
        let error = Dockerfile::find(dir.path(), Path::new("."), None).unwrap_err();
        assert_eq!(error.help(), "did you mean `--file Containerfile`?");
    }
}
