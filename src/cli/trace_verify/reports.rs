//! `--report FORMAT[=FILE]`: which reports are written, and where.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{VerifyContext, VerifyError};
use crate::cli::whole_file;
use crate::verify::report::{Report, Style, github, json, junit, markdown, sarif, text};

/// A report to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReportTo {
    format: Format,
    /// `None`: standard output.
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    Junit,
    Github,
    Markdown,
    Sarif,
}

const FORMATS: [(&str, Format); 6] = [
    ("text", Format::Text),
    ("json", Format::Json),
    ("junit", Format::Junit),
    ("github", Format::Github),
    ("markdown", Format::Markdown),
    ("sarif", Format::Sarif),
];

impl FromStr for ReportTo {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let (name, file) = match given.split_once('=') {
            Some((_, "")) => return Err("the file's name is missing after `=`".into()),
            Some((name, file)) => (name, Some(PathBuf::from(file))),
            None => (given, None),
        };
        let format = FORMATS.iter().find(|(known, _)| *known == name);
        let Some((_, format)) = format else {
            let known: Vec<&str> = FORMATS.iter().map(|(name, _)| *name).collect();
            return Err(format!("`{name}` is none of {}", known.join(", ")));
        };
        Ok(Self {
            format: *format,
            file,
        })
    }
}

/// Writes the reports that were asked for.
pub(super) fn write(
    wanted: &[ReportTo],
    report: &Report,
    context: &mut VerifyContext<'_>,
) -> Result<(), VerifyError> {
    for one in wanted {
        let printed = printed(one.format, report)?;
        match &one.file {
            Some(file) => {
                whole_file::write(file, &printed).map_err(|source| at(file, source))?;
            }
            None => context.stdout.write_all(printed.as_bytes())?,
        }
        let summary = (context.var)("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty());
        if let (Format::Github, Some(file)) = (one.format, summary) {
            let file = PathBuf::from(file);
            let opened = OpenOptions::new().create(true).append(true).open(&file);
            opened
                .and_then(|mut opened| opened.write_all(markdown(report).as_bytes()))
                .map_err(|source| at(&file, source))?;
        }
    }
    Ok(())
}

fn at(file: &Path, source: std::io::Error) -> VerifyError {
    VerifyError::ReportFile {
        file: file.to_owned(),
        source,
    }
}

fn printed(format: Format, report: &Report) -> Result<String, VerifyError> {
    Ok(match format {
        Format::Text => text(
            report,
            Style {
                colour: false,
                verbose: true,
            },
        ),
        Format::Json => json(report)?,
        Format::Junit => junit(report).map_err(std::io::Error::other)?,
        Format::Github => github(report),
        Format::Markdown => markdown(report),
        Format::Sarif => sarif(report)?,
    })
}
