//! The grammar of `--output`, and what `--push`, `--load` and `--tag` make of it.

use std::collections::BTreeMap;
use std::path::Path;

use super::diagnostic::Failure;
use super::fields::Fields;
use super::pipes;
use crate::session::{Output, Pipe};
use crate::solve::Export;

/// The flags that say where the result goes.
#[derive(Debug)]
pub(super) struct Exports<'a> {
    pub(super) outputs: &'a [String],
    pub(super) push: bool,
    pub(super) load: bool,
    pub(super) tags: &'a [String],
}

/// Fields of all exporters that make images.
const IMAGE: [&str; 14] = [
    "name",
    "oci-mediatypes",
    "oci-artifact",
    "compression",
    "compression-level",
    "force-compression",
    "rewrite-timestamp",
    "source-date-epoch",
    "attestation-inline",
    "prefer-nondist-layers",
    "dangling-name-prefix",
    "name-canonical",
    "buildinfo",
    "buildinfo-attrs",
];

const TYPES: [&str; 8] = [
    "local",
    "tar",
    "image",
    "registry",
    "oci",
    "docker",
    "none",
    "cacheonly",
];

/// Reads the flags. Relative paths are seen from `cwd`.
pub(super) fn parse(
    flags: &Exports<'_>,
    cwd: &Path,
    terminal: bool,
) -> Result<Vec<Export>, Failure> {
    let mut exports = Vec::new();
    let mut stdout = false;
    for value in flags.outputs {
        let Some(export) = one(value, cwd)? else {
            if flags.outputs.len() > 1 || flags.push || flags.load {
                return Err(usage(format!(
                    "--output `{value}` stands beside other outputs"
                )));
            }
            continue;
        };
        if matches!(&export.to, Some(Output::Pipe(_))) && export.kind != "docker" {
            if terminal {
                return Err(usage(format!(
                    "--output `{value}` would write to a terminal"
                )));
            }
            if std::mem::replace(&mut stdout, true) {
                return Err(usage("two outputs go to standard output".into()));
            }
        }
        exports.push(export);
    }
    if flags.push {
        let mut images = exports
            .iter_mut()
            .filter(|export| export.kind == "image")
            .peekable();
        if images.peek().is_none() {
            exports.push(plain("image", &[("push", "true")]));
        } else {
            for image in images {
                image.attrs.insert("push".into(), "true".into());
            }
        }
    }
    if flags.load && !exports.iter().any(|export| export.kind == "docker") {
        exports.push(Export {
            to: Some(Output::Pipe(Pipe::new(pipes::DockerLoad::default()))),
            ..plain("docker", &[])
        });
    }
    if !flags.tags.is_empty() && exports.is_empty() {
        exports.push(plain("image", &[]));
    }
    let names = flags.tags.join(",");
    for export in &mut exports {
        let named = matches!(&*export.kind, "image" | "oci" | "docker");
        if named && !names.is_empty() {
            export
                .attrs
                .entry("name".into())
                .or_insert_with(|| names.clone());
        }
        let pushed = export.attrs.get("push").is_some_and(|push| push == "true");
        if pushed && !export.attrs.contains_key("name") {
            return Err(Failure::Usage {
                message: "an image that is pushed needs a name".into(),
                help: "add `--tag REGISTRY/NAME`, or `name=REGISTRY/NAME` to --output".into(),
            });
        }
    }
    Ok(exports)
}

fn usage(message: String) -> Failure {
    Failure::Usage {
        message,
        help: "write `local:DIR`, `tar:FILE`, `none`, or `type=image|registry|local|tar|oci|docker,...`"
            .into(),
    }
}

fn plain(kind: &str, attrs: &[(&str, &str)]) -> Export {
    let attrs = attrs
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()));
    Export {
        kind: kind.into(),
        attrs: attrs.collect(),
        to: None,
    }
}

/// One value; `None` for `none`.
fn one(value: &str, cwd: &Path) -> Result<Option<Export>, Failure> {
    if value == "none" {
        return Ok(None);
    }
    let unread = || usage(format!("--output `{value}` cannot be read"));
    if !value.contains("type=") {
        let (kind, path) = value.split_once(':').ok_or_else(unread)?;
        return match (kind, path) {
            (_, "") => Err(unread()),
            ("local", path) => Ok(Some(Export::local(cwd.join(path)))),
            ("tar", path) => Ok(Some(Export::tar(cwd.join(path)))),
            _ => Err(unread()),
        };
    }
    let mut fields = Fields::read("--output", value, "")?;
    let kind = fields.need("type")?;
    match &*kind {
        "none" | "cacheonly" => fields.rest(&[], &[]).map(|_| None),
        "local" => local(fields, cwd).map(Some),
        "tar" => {
            let to = file(&fields.need("dest")?, cwd);
            let attrs = fields.rest(&["attestation-prefix", "platform-split"], &[])?;
            Ok(Some(sent("tar", attrs, to)))
        }
        "image" | "registry" => {
            let mut attrs = image(
                fields,
                &[
                    "push",
                    "push-by-digest",
                    "registry.insecure",
                    "unpack",
                    "store",
                ],
            )?;
            if kind == "registry" {
                attrs.insert("push".into(), "true".into());
            }
            Ok(Some(Export {
                kind: "image".into(),
                attrs,
                to: None,
            }))
        }
        "oci" | "docker" => {
            let dest = fields.take("dest").filter(|dest| !dest.is_empty());
            let tar = fields.flag("tar")?.unwrap_or(true);
            let context = fields.take("context");
            let to = match (dest, tar) {
                (Some(dest), true) => file(&dest, cwd),
                (Some(dest), false) => Output::Layout(cwd.join(dest)),
                (None, true) if kind == "docker" => {
                    Output::Pipe(Pipe::new(pipes::DockerLoad::in_context(context)))
                }
                (None, _) => return Err(fields.wrong("the field `dest` is missing")),
            };
            let mut attrs = image(fields, &[])?;
            attrs.insert("tar".into(), tar.to_string());
            Ok(Some(sent(&kind, attrs, to)))
        }
        other => Err(Failure::Usage {
            message: format!("--output `{value}`: unknown type `{other}`"),
            help: super::fields::suggest(other, &TYPES),
        }),
    }
}

fn local(mut fields: Fields<'_>, cwd: &Path) -> Result<Export, Failure> {
    let path = cwd.join(fields.need("dest")?);
    let to = match fields.take("mode").as_deref() {
        None | Some("copy") => Output::Dir(path),
        Some("delete") => Output::Mirror(path),
        Some(other) => {
            return Err(fields.wrong(&format!(
                "the field `mode` is copy or delete, not `{other}`"
            )));
        }
    };
    let mirror = matches!(to, Output::Mirror(_));
    let mut attrs = fields.rest(&["attestation-prefix", "platform-split"], &[])?;
    if mirror {
        attrs.insert("mode".into(), "delete".into());
    }
    Ok(sent("local", attrs, to))
}

/// The fields of an exporter that makes images.
fn image(fields: Fields<'_>, more: &[&str]) -> Result<BTreeMap<String, String>, Failure> {
    let known: Vec<_> = IMAGE.iter().chain(more).copied().collect();
    fields.rest(&known, &["annotation.", "annotation-", "annotation["])
}

fn file(dest: &str, cwd: &Path) -> Output {
    if dest == "-" {
        Output::Pipe(Pipe::new(pipes::Stdout))
    } else {
        Output::File(cwd.join(dest))
    }
}

fn sent(kind: &str, attrs: BTreeMap<String, String>, to: Output) -> Export {
    Export {
        kind: kind.into(),
        attrs,
        to: Some(to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(values: &[&str], push: bool, tags: &[&str]) -> Result<Vec<Export>, String> {
        let own =
            |texts: &[&str]| -> Vec<String> { texts.iter().map(|&text| text.into()).collect() };
        let flags = Exports {
            outputs: &own(values),
            push,
            load: false,
            tags: &own(tags),
        };
        parse(&flags, Path::new("/w"), true).map_err(|failure| failure.to_string())
    }

    fn read(values: &[&str]) -> Result<Vec<Export>, String> {
        with(values, false, &[])
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
            "type=oci",
            "type=tar,dest=x,y=z",
            "type=local,dest=x,mode=move",
            "type=tar,dest=-",
            "type=image,push=true",
        ] {
            assert!(read(&[value]).is_err(), "{value}");
        }
        assert_eq!(
            read(&["none", "tar:x"]),
            Err("--output `none` stands beside other outputs".into())
        );
        assert_eq!(
            read(&["type=regstry,name=x"]),
            Err("--output `type=regstry,name=x`: unknown type `regstry`".into())
        );
    }

    #[test]
    fn images_are_named_and_pushed() {
        let pushed = with(&[], true, &["r/a", "r/b"]).unwrap();
        assert_eq!(pushed[0].kind, "image");
        assert_eq!(pushed[0].attrs["name"], "r/a,r/b");
        assert_eq!(pushed[0].attrs["push"], "true");
        let registry = read(&["type=registry,name=r/a,compression=zstd,annotation.x=y"]).unwrap();
        assert_eq!(registry[0].attrs["push"], "true");
        assert_eq!(registry[0].attrs["annotation.x"], "y");
        let several = with(&["tar:/x", "type=image"], true, &["r/a"]).unwrap();
        assert_eq!((several.len(), &*several[1].attrs["push"]), (2, "true"));
    }

    #[test]
    fn an_image_may_be_laid_out() {
        let layout = read(&["type=oci,dest=l,tar=false"]).unwrap();
        assert_eq!(layout[0].to, Some(Output::Layout("/w/l".into())));
        assert_eq!(layout[0].attrs["tar"], "false");
    }
}
