//! `--call` and `--check`: asking the frontend in place of building, and what is printed then.

use clap::Args;
use serde_json::Value;

use super::diagnostic::Failure;
use super::fields::suggest;
use super::pipes;
use crate::solve::Answer;

/// The short names of what BuildKit's Dockerfile frontend answers.
const METHODS: [(&str, &str); 4] = [
    ("check", "frontend.lint"),
    ("lint", "frontend.lint"),
    ("outline", "frontend.outline"),
    ("targets", "frontend.targets"),
];

/// Flags that ask in place of building.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Build (of a Dockerfile)")]
pub(super) struct CallFlags {
    /// Ask the frontend in place of building: check, outline, targets or a name of its own; `,format=json` for programs
    #[arg(long, value_name = "METHOD[,format=FORMAT]")]
    call: Option<String>,

    /// Check the Dockerfile in place of building it; short for --call=check
    #[arg(long, conflicts_with = "call")]
    check: bool,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The frontend's own name of it.
    pub(super) question: String,
    json: bool,
}

impl CallFlags {
    /// Was one of the flags given?
    pub(super) fn is_given(&self) -> bool {
        self.check || self.call.is_some()
    }

    /// What the flags ask for; nothing: a build.
    pub(super) fn read(&self) -> Result<Option<Call>, Failure> {
        let text = match &self.call {
            None if self.check => "check",
            None => return Ok(None),
            Some(text) => text,
        };
        let mut method = None;
        let mut json = false;
        for field in text.split(',') {
            match field.split_once('=') {
                None => method = Some(field),
                Some(("method", value)) => method = Some(value),
                Some(("format", "json")) => json = true,
                Some(("format", "text")) => json = false,
                Some(_) => return Err(wrong(text, field, &["format=json", "format=text"])),
            }
        }
        let method = method.unwrap_or_default();
        if method == "build" {
            return Ok(None);
        }
        let known = METHODS.iter().find(|(name, _)| *name == method);
        let question = match known {
            Some((_, question)) => *question,
            // Frontends may have more, each with a dot in its name.
            None if method.contains('.') => method,
            None => return Err(wrong(text, method, &METHODS.map(|(name, _)| name))),
        };
        Ok(Some(Call {
            question: question.to_owned(),
            json,
        }))
    }
}

fn wrong(text: &str, word: &str, known: &[&str]) -> Failure {
    Failure::Usage {
        message: format!("--call `{text}`: `{word}` is nothing that can be asked"),
        help: suggest(word, known),
    }
}

impl Call {
    /// Prints the answer.
    ///
    /// # Errors
    /// When it asks for an exit code other than 0, or cannot be printed.
    pub(super) fn print(&self, answer: &Answer) -> Result<(), Failure> {
        pipes::print(&self.shown(answer))?;
        if answer.status() == 0 {
            return Ok(());
        }
        Err(Failure::Exited {
            program: self.question.clone(),
            // Other codes have a meaning of their own here.
            code: 1,
        })
    }

    /// The answer as it is printed.
    fn shown(&self, answer: &Answer) -> Vec<u8> {
        let json = answer.json().unwrap_or_default();
        let mut text = if self.json {
            json.to_vec()
        } else {
            answer.text().unwrap_or(json).to_vec()
        };
        if !self.json && self.question == "frontend.lint" {
            text = [checked(json).as_bytes(), text.trim_ascii_start()].concat();
        }
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text
    }
}

/// What the checks came to; the frontend's text has but the findings.
fn checked(json: &[u8]) -> String {
    let result: Value = serde_json::from_slice(json).unwrap_or_default();
    let warnings = result.get("warnings").and_then(Value::as_array);
    let mut text = match warnings.map_or(0, Vec::len) {
        0 => "Check complete, no warnings found.\n".to_owned(),
        1 => "Check complete, 1 warning has been found!\n\n".to_owned(),
        count => format!("Check complete, {count} warnings have been found!\n\n"),
    };
    let error = result
        .pointer("/buildError/message")
        .and_then(Value::as_str);
    if let Some(error) = error {
        // It would stop a build, so that the checks did not see all.
        text = format!("The Dockerfile cannot be built: {error}\n{text}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(call: &str) -> Result<Option<Call>, Failure> {
        let flags = CallFlags {
            call: Some(call.to_owned()),
            check: false,
        };
        flags.read()
    }

    #[test]
    fn methods_have_short_names_and_a_format() {
        let call = |question: &str, json| {
            Some(Call {
                question: question.to_owned(),
                json,
            })
        };
        let asked = |text: &str| read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(asked("check"), call("frontend.lint", false));
        assert_eq!(asked("outline,format=json"), call("frontend.outline", true));
        assert_eq!(asked("method=targets"), call("frontend.targets", false));
        assert_eq!(
            asked("subrequests.describe"),
            call("subrequests.describe", false)
        );
        assert_eq!(asked("build"), None);
        assert_eq!(CallFlags::default().read().ok(), Some(None));
    }

    #[test]
    fn what_cannot_be_asked_is_told_with_a_hint() {
        let error = read("outlin").err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("--call `outlin`: `outlin` is nothing that can be asked")
        );
        assert!(read("check,format=xml").is_err());
    }
}
