//! `dagger plan`: a plan as it is understood, its graph, its faults, its schema.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::diagnostic::Failure;
use super::env::Env;
use super::pipes;
use crate::plan::PlanError;
use crate::plan::file::{Given, GraphFormat, PlanFile, json_schema};

/// How long `cue` may take for a plan.
const CUE_DEADLINE: Duration = Duration::from_secs(30);

/// Which plan, and with which values.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct PlanArgs {
    /// The plan file [default: dagger.yaml, .yml, .json, .toml or .cue in the project]
    #[arg(short, long, value_name = "FILE")]
    pub(super) plan: Option<PathBuf>,

    /// Where the plan's paths begin [default: the directory of the plan file]
    #[arg(long, value_name = "DIR")]
    pub(super) project: Option<PathBuf>,

    /// Set a value of the plan's `args`
    #[arg(short, long = "with", value_name = "NAME=VALUE")]
    pub(super) with: Vec<String>,
}

/// Ways to look at a plan.
#[derive(Debug, Subcommand)]
pub(super) enum PlanCommand {
    /// Show the plan as it is understood: values put in, matrices taken apart, in order
    Show {
        #[command(flatten)]
        plan: PlanArgs,
    },
    /// Show which action needs which
    Graph {
        /// How the graph is written
        #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
        format: Format,
        #[command(flatten)]
        plan: PlanArgs,
    },
    /// Check the plan, the secrets that it uses included
    Validate {
        #[command(flatten)]
        plan: PlanArgs,
    },
    /// Print the JSON schema of plan files
    Schema,
}

/// How a graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A line an action
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown
    Mermaid,
}

/// Runs the command and gives the exit code.
///
/// # Errors
/// When there is no plan, or something in it is wrong.
pub(super) fn run(command: &PlanCommand, env: &Env) -> Result<u8, Failure> {
    let text = match command {
        PlanCommand::Show { plan } => show(&plan.required(env)?),
        PlanCommand::Graph { format, plan } => plan.required(env)?.graph(match format {
            Format::Text => GraphFormat::Text,
            Format::Dot => GraphFormat::Dot,
            Format::Mermaid => GraphFormat::Mermaid,
        }),
        PlanCommand::Validate { plan } => {
            let plan = plan.required(env)?;
            let all = plan.select(&[])?;
            plan.secrets_of(&all, &*env.var)?;
            let count = plan.actions.len();
            let actions = if count == 1 { "action" } else { "actions" };
            format!("{}: {count} {actions}, no faults\n", plan.file.display())
        }
        PlanCommand::Schema => pretty(&json_schema()),
    };
    pipes::print(text.as_bytes())?;
    Ok(0)
}

fn show(plan: &PlanFile) -> String {
    let actions = plan.actions.iter().map(|action| {
        let needs = action
            .needs
            .iter()
            .filter_map(|need| plan.actions.get(*need));
        json!({
            "name": action.name,
            "line": action.at.line,
            "kind": action.kind.name(),
            "needs": needs.map(|need| need.name.as_str()).collect::<Vec<_>>(),
            "action": serde_json::to_value(&action.action).unwrap_or_default(),
        })
    });
    pretty(&json!({
        "plan": plan.file.display().to_string(),
        "project": plan.project.display().to_string(),
        "actions": actions.collect::<Vec<_>>(),
    }))
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

impl PlanArgs {
    /// The plan; `None`: there is no plan file.
    ///
    /// # Errors
    /// When a value makes no sense, or something in the plan is wrong.
    pub(super) fn load(&self, env: &Env) -> Result<Option<PlanFile>, Failure> {
        let with = self.values()?;
        Ok(PlanFile::load(self.given(env, &with))?)
    }

    /// Is there a plan file?
    ///
    /// # Errors
    /// When there are two.
    pub(super) fn is_there(&self, env: &Env) -> Result<bool, Failure> {
        Ok(PlanFile::find(self.given(env, &[]))?.is_some())
    }

    /// Has the plan an action of this name? A plan with a fault is told when it is run.
    pub(super) fn has_action(&self, env: &Env, name: &str) -> bool {
        self.load(env)
            .is_ok_and(|plan| plan.is_some_and(|plan| plan.select(&[name.to_owned()]).is_ok()))
    }

    fn given<'a>(&'a self, env: &'a Env, with: &'a [(String, String)]) -> Given<'a> {
        Given {
            cwd: &env.cwd,
            plan: self.plan.as_deref(),
            project: self.project.as_deref(),
            with,
            env: &*env.var,
            cue: &export_cue,
        }
    }

    /// The plan.
    ///
    /// # Errors
    /// As [`load`](Self::load), and when there is no plan file.
    pub(super) fn required(&self, env: &Env) -> Result<PlanFile, Failure> {
        let directory = self.project.as_deref().unwrap_or(Path::new("."));
        let path = env.cwd.join(directory).join("dagger.yaml");
        self.load(env)?
            .ok_or_else(|| PlanError::NoPlan { path }.into())
    }

    fn values(&self) -> Result<Vec<(String, String)>, Failure> {
        let one = |text: &String| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Failure::Usage {
                message: format!("--with `{text}` has no name or no value"),
                help: "write `--with NAME=VALUE`".into(),
            }),
        };
        self.with.iter().map(one).collect()
    }
}

/// A CUE file as JSON, by the `cue` command.
fn export_cue(file: &Path) -> Result<String, String> {
    let child = Command::new("cue")
        .args(["export", "--out", "json"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| {
        format!("a CUE plan needs the `cue` command, which cannot be started ({error}); `cue export --out json` makes a dagger.json of it")
    })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (sender, receiver) = mpsc::channel();
    let read = |stream: Option<Box<dyn Read + Send>>| {
        let mut text = String::new();
        stream.map(|mut stream| stream.read_to_string(&mut text));
        text
    };
    let errors = stderr.map(|stream| Box::new(stream) as Box<dyn Read + Send>);
    let errors = std::thread::spawn(move || read(errors));
    let output = stdout.map(|stream| Box::new(stream) as Box<dyn Read + Send>);
    std::thread::spawn(move || sender.send(read(output)));
    let Ok(text) = receiver.recv_timeout(CUE_DEADLINE) else {
        // It may have ended just now; then there is nothing to end.
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("`cue` gave nothing in {CUE_DEADLINE:?}"));
    };
    match child.wait() {
        Ok(status) if status.success() => Ok(text),
        _ => {
            let errors = errors.join().unwrap_or_default();
            Err(format!("`cue` refuses the plan: {}", refusal(&errors)))
        }
    }
}
/// The first thing that `cue` says, with the places that it names in the lines below.
fn refusal(errors: &str) -> String {
    let mut lines = errors.lines();
    let first = lines.next().unwrap_or("no reason was given");
    let places: Vec<_> = lines
        .take_while(|line| line.starts_with(' '))
        .map(|line| line.trim().trim_start_matches("./"))
        .collect();
    match places.as_slice() {
        [] => first.to_owned(),
        places => format!("{} ({})", first.trim_end_matches(':'), places.join(", ")),
    }
}
