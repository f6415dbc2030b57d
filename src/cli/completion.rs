//! `dagger completion` and `dagger man`: what a shell and `man` want to know of the command line.
//!
//! Both are made from the same definition that parses the arguments, so that neither can be behind it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Env, Failure, pipes};

#[derive(Debug, Args)]
pub(super) struct CompletionArgs {
    /// The shell to complete in
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write one page a command into DIR; without it the page of `dagger` goes to standard output
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the completion script of a shell.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn complete(args: &CompletionArgs) -> Result<u8, Failure> {
    // Into memory first: the generator panics on a pipe that closes, as that of `| head` does.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "dagger", &mut script);
    pipes::print(&script)?;
    Ok(0)
}

/// Prints or writes the manual pages.
///
/// # Errors
/// When a page cannot be written; those before it stand.
pub(super) fn man(args: &ManArgs, env: &Env) -> Result<u8, Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(dir) = &args.dir else {
        pipes::print(&page(&command)?)?;
        return Ok(0);
    };
    let dir = env.cwd.join(dir);
    std::fs::create_dir_all(&dir)?;
    pages(&command, &dir)?;
    Ok(0)
}

/// The page of one command, in roff.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    Ok(text)
}

/// The pages of a command and of all below it: `dagger-trace-verify.1`, as `git` names its own.
fn pages(command: &Command, dir: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut file = std::fs::File::create(dir.join(format!("{name}.1")))?;
    file.write_all(&page(command)?)?;
    for below in command.get_subcommands() {
        if !below.is_hide_set() && below.get_name() != "help" {
            pages(below, dir)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_that_names_its_flags() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Cli::command();
        command.build();
        pages(&command, dir.path()).unwrap();
        let verify = std::fs::read_to_string(dir.path().join("dagger-trace-verify.1")).unwrap();
        assert!(verify.contains(r"\-\-strict"), "{verify}");
        assert!(dir.path().join("dagger-up.1").exists());
        assert!(!dir.path().join("dagger-help.1").exists());
    }
}
