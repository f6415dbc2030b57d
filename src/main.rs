//! The binary: reads the world once and hands it to the command line.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use dagger::cli::{self, Env};
use dagger::engine::leash;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    if args.nth(1).is_some_and(|first| first == leash::WORD) {
        let error = leash::become_helper(args);
        // The caller reads it as the helper's words.
        let _ = writeln!(std::io::stderr(), "dagger: cannot run the helper: {error}");
        return ExitCode::from(127);
    }
    let env = Env {
        var: Box::new(variable),
        program: std::env::current_exe().ok(),
        cwd: std::env::current_dir().unwrap_or_else(|_| "/".into()),
        stderr_is_terminal: std::io::stderr().is_terminal(),
        stdout_is_terminal: std::io::stdout().is_terminal(),
        terminal_size,
    };
    ExitCode::from(cli::run(std::env::args_os(), &env))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge: the environment is read here and nowhere else"
)]
fn variable(key: &str) -> Option<String> {
    std::env::var(key).ok()
}

fn terminal_size() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}
