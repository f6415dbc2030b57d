//! The grammar of `--output`.

use std::path::PathBuf;

use super::diagnostic::Failure;
use crate::solve::Export;

/// Reads the values of `--output`: `local:DIR`, `tar:FILE`, `none`, and buildx's
/// `type=local|tar,dest=PATH`. Relative paths are seen from `cwd`.
pub(super) fn parse(values: &[String], cwd: &std::path::Path) -> Result<Vec<Export>, Failure> {
    let mut exports = Vec::new();
    for value in values {
        match one(value) {
            Some(None) if values.len() > 1 => {
                return Err(usage(format!(
                    "--output `none` stands beside {} others",
                    values.len() - 1
                )));
            }
            Some(None) => {}
            Some(Some((kind, path))) => {
                let path = cwd.join(path);
                exports.push(if kind == "tar" {
                    Export::tar(path)
                } else {
                    Export::local(path)
                });
            }
            None => return Err(usage(format!("--output `{value}` cannot be read"))),
        }
    }
    Ok(exports)
}

fn usage(message: String) -> Failure {
    Failure::Usage {
        message,
        help: "write `local:DIR`, `tar:FILE` or `none`".into(),
    }
}

/// Kind and path; `Some(None)` for `none`; `None` if it is no output.
fn one(value: &str) -> Option<Option<(&str, PathBuf)>> {
    if value == "none" {
        return Some(None);
    }
    if value.contains("type=") {
        let (mut kind, mut dest) = (None, None);
        for field in value.split(',') {
            match field.split_once('=')? {
                ("type", text) => kind = Some(text),
                ("dest", text) => dest = Some(text),
                _ => return None,
            }
        }
        return known(kind?, dest?);
    }
    let (kind, path) = value.split_once(':')?;
    known(kind, path)
}

fn known<'a>(kind: &'a str, path: &str) -> Option<Option<(&'a str, PathBuf)>> {
    (matches!(kind, "local" | "tar") && !path.is_empty()).then(|| Some((kind, path.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(values: &[&str]) -> Result<Vec<Export>, String> {
        let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
        parse(&values, Path::new("/w")).map_err(|failure| failure.to_string())
    }

    #[test]
    fn both_grammars_mean_the_same() {
        assert_eq!(read(&["local:out"]), read(&["type=local,dest=out"]));
        assert_eq!(
            read(&["tar:/o.tar"]),
            Ok(vec![Export::tar("/o.tar".into())])
        );
        assert_eq!(read(&["none"]), Ok(vec![]));
    }

    #[test]
    fn what_is_no_output_is_refused() {
        for value in [
            "",
            "out",
            "local:",
            "docker:x",
            "type=local",
            "type=oci,dest=x",
            "type=tar,dest=x,y=z",
        ] {
            assert!(read(&[value]).is_err(), "{value}");
        }
        assert_eq!(
            read(&["none", "tar:x"]),
            Err("--output `none` stands beside 1 others".into())
        );
    }
}
