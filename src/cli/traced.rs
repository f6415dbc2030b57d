//! A command inside its trace: set up, root span, exit code, export, record, the line at the end.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, field::Empty, info_span, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::diagnostic::Failure;
use super::env::Env;
use super::logging::Level;
use super::{interrupt, redact, retain, trace_line};
use crate::buildkit::Propagate;
use crate::session::{Origin, Services};
use crate::telemetry::{self, Handle, LocalRun, RemoteParent, Settings, ci};
use crate::trace::jaeger::QueryUrl;
use crate::trace::model::TraceId;
use crate::trace::report::{DeclaredSecret, RunRecord, SecretFrom};
use crate::trace::store::NewRun;

/// How long a dead, slow or wrong collector may delay the exit.
const EXPORT_DEADLINE: Duration = Duration::from_secs(5);

/// Threads that drive connections and timers; files are read on others.
const WORKER_THREADS: usize = 2;

/// What a command starts with.
pub(super) struct Start<'a> {
    /// The surroundings.
    pub(super) env: &'a Env,
    /// The arguments, with the program's name.
    pub(super) args: &'a [String],
    /// What is logged.
    pub(super) log_level: Level,
}

/// What a traced command works with.
pub(super) struct Traced {
    /// Gives the trace context to calls.
    pub(super) propagate: Arc<dyn Propagate>,
    /// Cancelled by Ctrl-C.
    pub(super) cancel: CancellationToken,
    /// Takes spans that others have made.
    pub(super) telemetry: Handle,
    secrets: Arc<Mutex<Vec<DeclaredSecret>>>,
}

impl Traced {
    /// Takes down where the run's secrets came from, so that `verify` can look for them in its trace.
    pub(super) fn declare(&self, services: &Services) {
        let declared = services
            .origins()
            .into_iter()
            .map(|(id, origin)| DeclaredSecret {
                id,
                from: match origin {
                    Origin::Variable(name) => SecretFrom::Variable(name),
                    Origin::File(path) => SecretFrom::File(path.display().to_string()),
                    Origin::Command => SecretFrom::Command,
                },
            });
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.extend(declared);
    }
}

/// What SIGINT and SIGTERM do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interrupts {
    /// Cancel the command.
    Cancel,
    /// What the command makes of them.
    Own,
}

struct Context(Handle);

impl Propagate for Context {
    fn traceparent(&self, span: &Span) -> Option<String> {
        self.0.traceparent_of(span)
    }

    fn tracestate(&self) -> Option<String> {
        self.0.tracestate()
    }
}

impl Start<'_> {
    /// Runs `work` in the root span of a trace, exports it, and gives the exit code.
    ///
    /// # Errors
    /// When the settings make no sense or the process cannot be set up; a failure of `work` is told
    /// on standard error.
    pub(super) fn traced(
        &self,
        command: &'static str,
        quiet: bool,
        json: bool,
        work: impl AsyncFnOnce(Traced) -> Result<(), Failure>,
    ) -> Result<u8, Failure> {
        self.traced_with(command, quiet, json, Interrupts::Cancel, work)
    }

    /// The same, with a say in what signals do.
    ///
    /// # Errors
    /// As [`traced`](Self::traced).
    pub(super) fn traced_with(
        &self,
        command: &'static str,
        quiet: bool,
        json: bool,
        interrupts: Interrupts,
        work: impl AsyncFnOnce(Traced) -> Result<(), Failure>,
    ) -> Result<u8, Failure> {
        let env = self.env;
        let mut settings = Settings::read(&|key| env.get(key))?;
        settings.add_attributes(ci::attributes(&|key| env.get(key), &env.cwd));
        let parent = env
            .get("TRACEPARENT")
            .map(|text| RemoteParent::parse(&text, env.get("TRACESTATE").as_deref()));
        let (parent, malformed) = match parent {
            Some(Ok(parent)) => (Some(parent), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        let remote_parent = parent.as_ref().map(|parent| parent.span.to_string());
        let started = SystemTime::now();
        let args = redact::command_line(self.args.iter().skip(1).map(String::as_str));
        let local = self.local(command, &settings, &args, started);
        let (layer, telemetry) = telemetry::start(&settings, parent, local);
        let level = self.log_level;
        let log = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(env.colour())
            .with_filter(filter_fn(move |metadata| level.wants(metadata)));
        tracing_subscriber::registry().with(layer).with(log).init();
        if let Some(error) = malformed {
            warn!(%error, "TRACEPARENT is ignored");
        }
        for ignored in &settings.ignored {
            warn!("ignored: {ignored}");
        }

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .enable_all()
            .build()?;
        let cancel = CancellationToken::new();
        let secrets = Arc::<Mutex<Vec<DeclaredSecret>>>::default();
        let traced = Traced {
            secrets: secrets.clone(),
            propagate: Arc::new(Context(telemetry.handle())),
            cancel: cancel.clone(),
            telemetry: telemetry.handle(),
        };
        let (code, root) = runtime.block_on(async {
            if interrupts == Interrupts::Cancel {
                interrupt::watch(cancel)?;
            }
            let root = info_span!(
                "command",
                otel.name = format!("dagger {command}"),
                dagger.version = env!("CARGO_PKG_VERSION"),
                dagger.command = command,
                dagger.args = args,
                dagger.exit_code = Empty,
                dagger.cancelled = Empty,
                otel.status = Empty,
                otel.status_message = Empty,
            );
            let id = telemetry.handle().span_id_of(&root);
            let result = work(traced).instrument(root.clone()).await;
            Ok::<_, Failure>((end(&root, &result, env), id))
        })?;
        let trace = telemetry.trace_id();
        let (export, kept) = telemetry.shutdown(EXPORT_DEADLINE);
        let mut record = RunRecord {
            schema: 1,
            trace: trace.to_string(),
            root: root.map(|id| id.to_string()).unwrap_or_default(),
            remote_parent,
            service: settings.service().to_owned(),
            command: command.to_owned(),
            directory: env.cwd.display().to_string(),
            started_ms: millis(started),
            exit_code: i32::from(code),
            // Without the credentials that may be in it.
            query_url: query_url(env).map(|url| url.to_string()),
            secrets: std::mem::take(&mut *secrets.lock().unwrap_or_else(PoisonError::into_inner)),
            export,
        };
        retain::keep(kept, &mut record, env);
        self.summarize(&record);
        trace_line::print(&mut std::io::stderr(), &record, quiet, json, env.colour())?;
        runtime.shutdown_background();
        Ok(code)
    }

    /// The run as the local store takes it down; `None` if there is no place for it.
    fn local(
        &self,
        command: &str,
        settings: &Settings,
        args: &str,
        started: SystemTime,
    ) -> Option<LocalRun> {
        Some(LocalRun {
            state_dir: self.env.state_dir()?,
            run: NewRun {
                // Set when recording starts.
                trace: TraceId(0),
                root: None,
                remote_parent: None,
                service: settings.service().to_owned(),
                command: command.to_owned(),
                args: args.to_owned(),
                directory: self.env.cwd.clone(),
                started_ns: millis(started).saturating_mul(1_000_000),
                pid: std::process::id(),
                plan_digest: None,
            },
            query_url: query_url(self.env),
        })
    }

    /// Puts a line into the summary that GitHub shows of a job (`GITHUB_STEP_SUMMARY`).
    fn summarize(&self, record: &RunRecord) {
        let Some(path) = self.env.get("GITHUB_STEP_SUMMARY") else {
            return;
        };
        let line = trace_line::markdown(record);
        let file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path);
        let written = file.and_then(|mut file| writeln!(file, "{line}"));
        if let Err(error) = written {
            warn!(%error, "GITHUB_STEP_SUMMARY was not written");
        }
    }
}

/// Tells a failure, ends the root span, and gives the exit code.
fn end(root: &Span, result: &Result<(), Failure>, env: &Env) -> u8 {
    let code = match result {
        Ok(()) => 0,
        Err(failure) => {
            let code = failure.exit_code();
            if code == 130 {
                root.record("dagger.cancelled", true);
            }
            root.record("otel.status", "error");
            root.record("otel.status_message", failure.to_string());
            code
        }
    };
    root.record("dagger.exit_code", i64::from(code));
    if let Err(failure) = result
        && !failure.is_told()
    {
        // A closed standard error leaves the exit code to tell it.
        let _ = failure.print(&mut std::io::stderr(), env.colour());
    }
    code
}

/// Where Jaeger can be asked, if that was said and can be read.
pub(super) fn query_url(env: &Env) -> Option<QueryUrl> {
    env.get("JAEGER_QUERY_URL")?.parse().ok()
}

fn millis(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
