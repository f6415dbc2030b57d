//! `--secret` and `--ssh`: what steps may use and never becomes part of the result.

use std::path::PathBuf;

use bytes::Bytes;
use tracing::warn;

use super::{BuildFlags, usage};
use crate::cli::diagnostic::Failure;
use crate::cli::env::Env;
use crate::cli::fields::Fields;
use crate::session::{Origin, Secret, Services, Ssh};

impl BuildFlags {
    pub(super) fn secrets(&self, env: &Env, services: &Services) -> Result<(), Failure> {
        for text in &self.secrets {
            let mut fields = Fields::read("--secret", text, "")?;
            let kind = fields.take("type");
            let id = fields.need("id")?;
            let file = fields.take("src").or_else(|| fields.take("source"));
            let (variable, command) = (fields.take("env"), fields.take("cmd"));
            let given = [&file, &variable, &command]
                .iter()
                .filter(|field| field.is_some())
                .count();
            if given > 1 {
                return Err(fields.wrong("src, env and cmd exclude each other"));
            }
            let absent = fields.wrong(&match (&file, &variable) {
                (None, Some(name)) => format!("the variable `{name}` is not set"),
                (Some(path), _) => format!("there is no file `{path}`"),
                (None, None) => format!("neither a variable nor a file is called `{id}`"),
            });
            fields.rest(&["id", "src", "source", "env", "cmd", "type"], &[])?;
            // As buildx: `type=env` makes `src` the variable's name.
            let (file, variable) = match kind.as_deref() {
                Some("env") => (None, variable.or(file)),
                _ => (file, variable),
            };
            let value = |name: &str| (env.var)(name).map(|value| Secret::Value(Bytes::from(value)));
            let path = |path: &str| {
                let path = env.cwd.join(path);
                path.is_file().then_some(Secret::File(path))
            };
            let secret = match (&file, &variable, &command) {
                (_, _, Some(command)) => Some(Secret::Command(command.clone())),
                (_, Some(name), _) => value(name),
                (Some(file), _, _) => path(file),
                (None, None, None) => value(&id).or_else(|| path(&id)),
            };
            match secret {
                Some(secret) => {
                    let origin = match &secret {
                        Secret::File(path) => Origin::File(path.clone()),
                        Secret::Command(_) => Origin::Command,
                        Secret::Value(_) => {
                            Origin::Variable(variable.unwrap_or_else(|| id.clone()))
                        }
                    };
                    services.add_secret_of(&id, secret, origin);
                }
                None if self.force => warn!(id, "the secret is not there: it is left out"),
                None => return Err(absent),
            }
        }
        Ok(())
    }

    pub(super) fn ssh(&self, env: &Env, services: &Services) -> Result<(), Failure> {
        for text in &self.ssh {
            let (id, paths) = match text.split_once('=') {
                Some((id, paths)) => (
                    id,
                    paths.split(',').map(|path| env.cwd.join(path)).collect(),
                ),
                None => (text.as_str(), Vec::new()),
            };
            let agent = || env.get("SSH_AUTH_SOCK").map(PathBuf::from);
            let wrong = |what: String| {
                usage(
                    format!("--ssh `{text}`: {what}"),
                    "write `default` with SSH_AUTH_SOCK set, `ID=SOCKET`, or `ID=KEY[,KEY]`",
                )
            };
            let found = match paths.as_slice() {
                [] => agent()
                    .map(Ssh::agent)
                    .ok_or_else(|| wrong("SSH_AUTH_SOCK is not set".into())),
                all => match all.iter().find(|path| !path.exists()) {
                    Some(missing) => Err(wrong(format!("there is no `{}`", missing.display()))),
                    None => Ok(match all {
                        [one] if is_socket(one) => Ssh::agent(one.clone()),
                        keys => Ssh::keys(keys.to_vec()),
                    }),
                },
            };
            match found {
                Ok(ssh) => services.add_ssh(if id.is_empty() { "default" } else { id }, ssh),
                Err(error) if self.force => warn!(%error, "it is left out"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn is_socket(path: &std::path::Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.metadata()
        .is_ok_and(|meta| meta.file_type().is_socket())
}
