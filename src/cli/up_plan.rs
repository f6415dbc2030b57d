//! `dagger up` of a plan: which actions, and running them on an engine.

use std::sync::Arc;

use clap::Args;
use tokio::sync::mpsc;
use tracing::{field::Empty, info_span, warn};

use super::build_flags::docker_config;
use super::connecting::Connecting;
use super::context::is_no_directory;
use super::daemon_spans::Daemon;
use super::diagnostic::Failure;
use super::display::Display;
use super::env::Env;
use super::plan::PlanArgs;
use super::plan_caches::PlanCaches;
use super::plan_digest;
use super::traced::{Start, Traced};
use super::up::{LogFormat, UpArgs};
use crate::engine::{self, EngineSettings};
use crate::llb::Platform;
use crate::plan::PlanError;
use crate::plan::file::{PlanFile, SecretFrom};
use crate::progress::event::{BuildEvent, Outcome};
use crate::session::{Origin, Secret, Services, Ssh};
use crate::solve::{Ran, Schedule, SessionHandle, SolveError};

/// Arguments of `dagger up` that are about plans.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Plan")]
pub(super) struct PlanUpArgs {
    #[command(flatten)]
    pub(super) plan: PlanArgs,

    /// How many actions run at the same time at most
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,

    /// Go on with the actions that do not need a failed one
    #[arg(long)]
    keep_going: bool,
}

impl UpArgs {
    /// Is it a plan that is to be run? Else it is a Dockerfile.
    ///
    /// A plan it is when one is named, or there is a plan file and no single directory was named. A name
    /// that is both an action's and a directory's is the action's: `./NAME` is the directory.
    ///
    /// # Errors
    /// When there are two plans, or none where names of actions were given.
    pub(super) fn is_plan(&self, env: &Env) -> Result<bool, Failure> {
        let plan = &self.actions.plan;
        if plan.plan.is_some() || plan.project.is_some() || !plan.with.is_empty() {
            return Ok(true);
        }
        if self.file.is_some() {
            return Ok(false);
        }
        if !plan.is_there(env)? {
            return match self.what.as_slice() {
                [] | [_] => Ok(false),
                _ => Err(PlanError::NoPlan {
                    path: env.cwd.join("dagger.yaml"),
                }
                .into()),
            };
        }
        let [one] = self.what.as_slice() else {
            return Ok(true);
        };
        if is_no_directory(one) {
            return Ok(false);
        }
        let path = env.cwd.join(one);
        let is_path = one == "." || one.contains('/');
        if !path.is_dir() || (!is_path && plan.has_action(env, one)) {
            return Ok(true);
        }
        Ok(false)
    }

    fn plan_misuse(&self) -> Option<Failure> {
        let call = self.call.is_given().then_some(("--call", None));
        let (flag, instead) = call
            .or_else(|| self.results.of_one_build().map(|flag| (flag, None)))
            .or_else(|| self.build.of_a_dockerfile())?;
        Some(Failure::Usage {
            message: format!("{flag} is for a Dockerfile, and this is a plan"),
            help: match instead {
                Some(instead) => format!("write it into the action, as {instead}"),
                None => "to build a Dockerfile here, name it: `--file Dockerfile`".to_owned(),
            },
        })
    }
}

/// Runs the plan and gives the exit code.
///
/// # Errors
/// When arguments or settings make no sense. What goes wrong once the trace has begun is told here
/// and ends in the exit code.
pub(super) fn run(args: &UpArgs, start: Start<'_>) -> Result<u8, Failure> {
    let env = start.env;
    if let Some(failure) = args.plan_misuse() {
        return Err(failure);
    }
    let platform = match args.build.platform.as_slice() {
        [] => None,
        [one] => Some(Platform::parse(one).ok_or_else(|| Failure::Usage {
            message: format!("`{one}` is no platform"),
            help: "write OS/ARCH, e.g. `--platform linux/arm64`".into(),
        })?),
        _ => {
            return Err(Failure::Usage {
                message: "a plan has one platform by default".into(),
                help: "write several into the action, as its `platforms` or in a matrix".into(),
            });
        }
    };
    let caches = args.build.caches(env)?;
    let settings = Arc::new(args.connection.settings(env)?);
    let json = args.log_format == LogFormat::Json;
    start.traced("up", args.quiet, json, async |traced| {
        let (mut plan, wanted) = load(args, env)?;
        if args.build.is_forced() {
            for name in plan.do_without_missing(&wanted, &*env.var) {
                warn!(name, "the secret is not there: it is left out");
            }
        }
        plan_digest::note(&traced.telemetry, &plan.file);
        let caches = PlanCaches::of(caches, &plan, &wanted)?;
        let served = services(&plan, &wanted, env)?;
        traced.declare(&served);
        // That it can be made was seen just now.
        let more = || services(&plan, &wanted, env).unwrap_or_default();
        let display = Display::start(env, args.log_format, args.quiet);
        let (events, watched) = args.results.watch(display.events());
        let job = Job {
            args,
            plan: &plan,
            wanted: wanted.clone(),
            more: &more,
            platform,
            caches,
        };
        let ran = Box::pin(job.run(served, settings, &traced, events)).await;
        let result = ran.and_then(|ran| ended(ran, traced.cancel.is_cancelled()));
        let outcome = match &result {
            Ok(()) => Some(Outcome::Done),
            Err(Failure::Build(error)) => Some(error.outcome()),
            // Nothing was begun that could be drawn as ended.
            Err(_) => None,
        };
        let error = result.as_ref().err().map(ToString::to_string);
        let summary = args.results.write_summary(env, watched, error).await;
        display.finish(outcome).await;
        result?;
        summary
    })
}

fn load(args: &UpArgs, env: &Env) -> Result<(PlanFile, Vec<usize>), Failure> {
    let span = info_span!(
        "load plan",
        dagger.plan = Empty,
        dagger.plan.actions = Empty,
        otel.status = Empty,
        otel.status_message = Empty,
    );
    let loaded = span.in_scope(|| {
        let plan = args.actions.plan.required(env)?;
        let wanted = plan.select(&args.what)?;
        Ok((plan, wanted))
    });
    match &loaded {
        Ok((plan, wanted)) => {
            span.record("dagger.plan", plan.file.display().to_string());
            span.record("dagger.plan.actions", wanted.len());
        }
        Err(failure) => {
            let failure: &Failure = failure;
            span.record("otel.status", "error");
            span.record("otel.status_message", failure.to_string());
        }
    }
    loaded
}

/// What the daemon may ask for while the plan runs.
fn services(plan: &PlanFile, wanted: &[usize], env: &Env) -> Result<Services, Failure> {
    let services = Services::new(docker_config(env));
    for (name, from) in plan.secrets_of(wanted, &*env.var)? {
        let (secret, origin) = match from {
            SecretFrom::File(path) => (Secret::File(path.clone()), Origin::File(path)),
            SecretFrom::Env(variable) => match (env.var)(&variable) {
                Some(value) => (
                    Secret::Value(value.into_bytes().into()),
                    Origin::Variable(variable),
                ),
                None => continue,
            },
        };
        services.add_secret_of(&name, secret, origin);
    }
    if let Some(socket) = env.get("SSH_AUTH_SOCK") {
        let actions = wanted.iter().filter_map(|index| plan.actions.get(*index));
        for id in actions.flat_map(|planned| planned.action.agents()) {
            services.add_ssh(id, Ssh::agent(socket.clone().into()));
        }
    }
    Ok(services)
}

/// How the plan ended. Of several failures the first is told with its place, and the others beside it.
fn ended(ran: Ran, interrupted: bool) -> Result<(), Failure> {
    let mut failed = ran.failed.into_iter();
    let Some((action, error)) = failed.next() else {
        if interrupted || !ran.left.is_empty() {
            return Err(SolveError::Cancelled.into());
        }
        return Ok(());
    };
    Err(match error {
        SolveError::Failed(mut failure) => {
            failure.message = format!("action `{action}`: {}", failure.message);
            for (action, error) in failed {
                failure.message += &format!("\naction `{action}`: {error}");
                if let SolveError::Failed(other) = error {
                    failure.sources.extend(other.sources);
                }
            }
            SolveError::Failed(failure)
        }
        other => other,
    }
    .into())
}

struct Job<'a> {
    args: &'a UpArgs,
    plan: &'a PlanFile,
    wanted: Vec<usize>,
    more: &'a (dyn Fn() -> Services + Sync),
    platform: Option<Platform>,
    caches: PlanCaches,
}

impl Job<'_> {
    async fn run(
        self,
        services: Services,
        settings: Arc<EngineSettings>,
        traced: &Traced,
        events: mpsc::Sender<Vec<BuildEvent>>,
    ) -> Result<Ran, Failure> {
        let what = match &settings.address {
            Some(address) => format!("[internal] connecting to {address}"),
            None => "[internal] finding an engine".to_owned(),
        };
        let connecting = Connecting::start(events.clone(), what);
        let connection = tokio::select! {
            connection = engine::connect(settings.clone(), traced.propagate.clone(), connecting.watch()) => connection?,
            () = traced.cancel.cancelled() => return Err(SolveError::Cancelled.into()),
        };
        drop(connecting);
        let daemon = Daemon::watch(self.args.daemon_spans.into(), &connection, settings, traced);
        let client = &connection.client;
        let session = SessionHandle::open(client, services, &self.plan.project);
        let schedule = Schedule {
            plan: self.plan,
            services: self.more,
            wanted: self.wanted,
            parallel: self.args.actions.parallel.into(),
            keep_going: self.args.actions.keep_going,
            no_cache: self.args.no_cached_actions(),
            cache_from: self.caches.read,
            cache_to: self.caches.written,
            platform: self.platform.unwrap_or_else(Platform::here),
        };
        let ran = schedule.run(&session, events, &traced.cancel).await;
        session.close().await;
        daemon.take(client, traced).await;
        connection.close().await;
        Ok(ran)
    }
}
