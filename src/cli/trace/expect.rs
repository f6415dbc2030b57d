//! `dagger trace expect`: expectation files.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{pick, print, print_json};
use crate::cli::diagnostic::Failure;
use crate::cli::env::Env;
use crate::cli::trace_verify::{VerifyError, expected};
use crate::cli::whole_file;
use crate::verify::expect::{Expectations, NAME, first, json_schema};

/// Commands of `dagger trace expect`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ExpectCommand {
    /// Write a first expectation file, which the trace of a run keeps
    Init(InitArgs),
    /// Check an expectation file without a trace
    Validate(ValidateArgs),
    /// Print the JSON schema of expectation files
    Schema,
}

/// Arguments of `dagger trace expect init`.
#[derive(Debug, Args)]
pub(in crate::cli) struct InitArgs {
    /// The run: its number, its trace's id or how that begins, or `latest`
    /// [default: the last run in this directory]
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Where it is written; `-`: standard output
    #[arg(short, long, value_name = "FILE", default_value = NAME)]
    output: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// Arguments of `dagger trace expect validate`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ValidateArgs {
    /// The file
    #[arg(value_name = "FILE", default_value = NAME)]
    file: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// When there is no such run, or a file cannot be read, is wrong, or cannot be written.
pub(super) fn run(command: &ExpectCommand, env: &Env) -> Result<(), Failure> {
    match command {
        ExpectCommand::Init(args) => init(args, env),
        ExpectCommand::Validate(args) => validate(&args.file, env),
        ExpectCommand::Schema => print_json(&json_schema()),
    }
}

fn init(args: &InitArgs, env: &Env) -> Result<(), Failure> {
    let picked = pick::picked(&pick::store(env)?, args.id.as_deref(), env)?;
    let Some(text) = first(&picked.spans) else {
        return Err(Failure::NothingFound {
            what: "span of a whole command".to_owned(),
            among: picked.spans.len(),
        });
    };
    if args.output == Path::new("-") {
        return print(&text);
    }
    let file = env.cwd.join(&args.output);
    if file.exists() && !args.force {
        return Err(Failure::Usage {
            message: format!("`{}` is there already", args.output.display()),
            help: "`--force` replaces it, `--output` names another".to_owned(),
        });
    }
    whole_file::write(&file, &text)?;
    print(&format!(
        "wrote {}; `dagger trace verify` reads it\n",
        args.output.display()
    ))
}

fn validate(shown: &Path, env: &Env) -> Result<(), Failure> {
    let file = env.cwd.join(shown);
    let repository = expected::repository(&file, &env.cwd);
    let found = Expectations::load(&file, shown, repository)
        .map_err(|fault| VerifyError::Expect(Box::new(fault)))?;
    let number = found.checks.len();
    let things = if number == 1 {
        "expectation"
    } else {
        "expectations"
    };
    print(&format!(
        "{}: {number} {things}, no faults\n",
        shown.display()
    ))
}
