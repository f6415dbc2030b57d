//! The secrets that a run was given, read again where the run read them, to be looked for in its trace (N002).
//!
//! Lives here: reading them. Elsewhere: where they came from (`trace::report`), the rule (`verify`).

use std::fs::File;
use std::io::Read as _;

use super::VerifyContext;
use crate::trace::report::{DeclaredSecret, SecretFrom};
use crate::verify::KnownSecret;

/// Shorter ones are in every trace by chance.
const LEAST_CHARS: usize = 6;

/// Lines of a key that are looked for one by one: a trace may hold some of them.
const LINE_CHARS: usize = 20;

/// Largest file that is read, in bytes: a secret's limit.
const SECRET_BYTES: u64 = 500 << 10;

/// The secrets that can be read again, and a warning for each that cannot.
pub(super) fn known(
    declared: &[DeclaredSecret],
    context: &VerifyContext<'_>,
) -> (Vec<KnownSecret>, Vec<String>) {
    let (mut known, mut warnings) = (Vec::new(), Vec::new());
    for secret in declared {
        let read = match &secret.from {
            SecretFrom::Variable(name) => {
                (context.var)(name).ok_or_else(|| format!("the variable `{name}` is not set"))
            }
            SecretFrom::File(path) => text(path).map_err(|error| format!("`{path}`: {error}")),
            SecretFrom::Command => Err("a command made it, which is not run again".into()),
        };
        let value = read.and_then(|value| match value.trim() {
            short if short.chars().count() < LEAST_CHARS => {
                Err(format!("it has fewer than {LEAST_CHARS} characters"))
            }
            value => Ok(value.to_owned()),
        });
        match value {
            Ok(value) => {
                let lines = value.lines().map(str::trim);
                let lines = lines.filter(|line| line.len() >= LINE_CHARS && *line != value);
                known.extend(lines.chain([value.as_str()]).map(|value| KnownSecret {
                    id: secret.id.clone(),
                    value: value.to_owned(),
                }));
            }
            Err(why) => warnings.push(format!(
                "the secret `{}` is not looked for in the trace (N002): {why}",
                secret.id
            )),
        }
    }
    (known, warnings)
}

fn text(path: &str) -> std::io::Result<String> {
    let mut value = Vec::new();
    File::open(path)?
        .take(SECRET_BYTES)
        .read_to_end(&mut value)?;
    Ok(String::from_utf8_lossy(&value).into_owned())
}
