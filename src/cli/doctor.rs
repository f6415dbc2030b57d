//! `dagger doctor`: everything that a traced build needs, checked, a line each with the way to mend it.
//!
//! Lives here: the command, the report. Elsewhere: the checks (`engine`, `tracing`).

mod engine;
mod tracing;

use std::io::Write;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::diagnostic::Failure;
use super::engine::Format;
use super::engine_settings::ConnectionArgs;
use super::env::Env;
use super::traced::Start;

/// Arguments of `dagger doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but something will surprise.
    Warning,
    /// It does not work.
    Broken,
    /// There is nothing to check.
    Skipped,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    /// What was found, one line.
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    fn new(name: &'static str, verdict: Verdict, found: impl Into<String>) -> Self {
        let found = found.into();
        Self {
            name,
            verdict,
            // A report is a line a check.
            found: found.lines().map(str::trim).collect::<Vec<_>>().join("; "),
            fix: None,
        }
    }

    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, found)
    }

    fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self::new(name, Verdict::Skipped, why)
    }

    fn warning(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..Self::new(name, Verdict::Warning, found)
        }
    }

    fn broken(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..Self::new(name, Verdict::Broken, found)
        }
    }
}

/// Runs the checks and gives the exit code: 1 if something is broken.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn run(args: &DoctorArgs, start: Start<'_>) -> Result<u8, Failure> {
    let env = start.env;
    start.untraced(async |_| {
        let checks = checks(args, env).await;
        let out = &mut std::io::stdout();
        match args.format {
            Format::Text => write_text(&checks, env.colour_of(env.stdout_is_terminal), out)?,
            Format::Json => {
                let report =
                    serde_json::json!({"schema": 1, "ok": !broken(&checks), "checks": checks});
                writeln!(out, "{report:#}")?;
            }
        }
        Ok(u8::from(broken(&checks)))
    })
}

async fn checks(args: &DoctorArgs, env: &Env) -> Vec<Check> {
    let mut checks = vec![Check::ok("dagger", env!("CARGO_PKG_VERSION"))];
    match args.connection.settings(env) {
        Ok(mut settings) => {
            // A check changes nothing: no container is made, no daemon started.
            settings.may_start = false;
            let settings = Arc::new(settings);
            let (found, docker) =
                tokio::join!(engine::check(settings.clone()), engine::docker(&settings));
            checks.extend(found);
            checks.push(docker);
        }
        Err(failure) => checks.push(Check::broken(
            "engine",
            failure.to_string(),
            failure.help().unwrap_or_default(),
        )),
    }
    checks.extend(tracing::check(env).await);
    checks.push(state(env));
    checks
}

/// Can what is remembered between runs be kept?
fn state(env: &Env) -> Check {
    let Some(dir) = env.state_dir() else {
        return Check::warning(
            "state",
            "HOME is not set, so no run is remembered",
            "set HOME or XDG_STATE_HOME",
        );
    };
    let probe = dir.join(format!(".doctor-{}", std::process::id()));
    let written = std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(&probe, ""));
    // It is empty and ours; what could not be written cannot be removed either.
    let _ = std::fs::remove_file(&probe);
    match written {
        Ok(()) => Check::ok("state", dir.display().to_string()),
        Err(error) => Check::warning(
            "state",
            format!("{} cannot be written: {error}", dir.display()),
            "let this user write there, or set XDG_STATE_HOME",
        ),
    }
}

fn broken(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.verdict == Verdict::Broken)
}

fn write_text(checks: &[Check], colour: bool, out: &mut impl Write) -> std::io::Result<()> {
    for Check {
        name,
        verdict,
        found,
        fix,
    } in checks
    {
        let (mark, code) = match verdict {
            Verdict::Ok => ("ok", "32"),
            Verdict::Warning => ("warning", "33"),
            Verdict::Broken => ("broken", "31"),
            Verdict::Skipped => ("-", "2"),
        };
        let mark = format!("{mark:<7}");
        let mark = if colour {
            format!("\x1b[{code}m{mark}\x1b[0m")
        } else {
            mark
        };
        let fix = fix
            .as_ref()
            .map_or_else(String::new, |fix| format!(" -- {fix}"));
        writeln!(out, "{mark}  {name:<9}  {found}{fix}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_check_with_the_way_to_mend_it() {
        let checks = [
            Check::ok("dagger", "1.2.3"),
            Check::warning("state", "HOME is not set", "set HOME"),
            Check::broken("engine", "cannot connect\n  said: no", "start it"),
            Check::skipped("clocks", "no engine"),
        ];
        let mut out = Vec::new();
        write_text(&checks, false, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
        assert!(broken(&checks));
    }
}
