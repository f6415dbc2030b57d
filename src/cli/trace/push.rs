//! `dagger trace push`: sends the spans that wait because a destination did not take them.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;

use super::{pick, print};
use crate::cli::diagnostic::Failure;
use crate::cli::duration;
use crate::cli::env::Env;
use crate::cli::traced::query_url;
use crate::progress::clean;
use crate::telemetry::{Push, Pushed, Settings};
use crate::trace::ns;
use crate::trace::report::RouteReport;
use crate::trace::store::{Run, RunId, SpoolRoute, State, Store, Waiting, Wanted};

/// How often it is looked whether another process has done what it had begun.
const LOOK: Duration = Duration::from_millis(100);

/// Arguments of `dagger trace push`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PushArgs {
    /// The runs that are sent, also if they were never exported: their numbers, their traces' ids or how
    /// those begin, or `latest` [default: what waits of all runs]
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Send also what waits for other addresses, to the one that the variables name now
    #[arg(long)]
    all: bool,
    /// How long it may take
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = duration::parse)]
    timeout: Duration,
}

pub(super) fn run(args: &PushArgs, env: &Env) -> Result<(), Failure> {
    let settings = Settings::read(&|key| env.get(key))?;
    let routes: Vec<_> = settings
        .destinations
        .iter()
        .map(|destination| destination.route())
        .collect();
    let Some(store) = pick::existing(env)? else {
        return print("nothing waits\n");
    };
    let mut runs = Vec::new();
    for id in &args.ids {
        let run = pick::run(&store, Some(id), env)?;
        first_time(&store, &run, &routes)?;
        runs.push(Some(run.id));
    }
    if runs.is_empty() {
        runs.push(None);
    }
    let task = Task {
        args,
        env,
        store: &store,
        settings: &settings,
        routes: &routes,
        until: Instant::now() + args.timeout,
    };
    let mut pushed = Pushed::default();
    let mut left = task.left(&runs)?;
    while !routes.is_empty() && !left.is_empty() && pushed.errors.is_empty() {
        // What becomes due from here on may not have been sent.
        let begun_ns = ns::now();
        task.push(&runs, &mut pushed)?;
        left = task.left(&runs)?;
        let in_hand: u64 = left.iter().map(|waiting| waiting.in_hand).sum();
        let later = left
            .iter()
            .any(|waiting| waiting.due_ns > begun_ns && routes.contains(&waiting.route));
        // What others are sending may come back, and the daemon may still send its spans itself.
        if (in_hand == 0 && !later) || Instant::now() >= task.until {
            break;
        }
        std::thread::sleep(LOOK);
    }
    print(&told(&pushed, left.is_empty()))?;
    match remains(&left, &routes, &pushed) {
        None => Ok(()),
        Some(message) => Err(Failure::Waiting {
            message,
            help: help(&left, &routes).to_owned(),
        }),
    }
}

/// A run that is named is sent also to a destination that it was not exported to when it was made.
fn first_time(store: &Store, run: &Run, routes: &[SpoolRoute]) -> Result<(), Failure> {
    if run.state == State::Running {
        return Err(Failure::Usage {
            message: format!("run {} is not over", run.id.0),
            help: "it sends its spans itself; push what is left afterwards".into(),
        });
    }
    let record = run.record.as_ref();
    let sent = record.map_or(&[][..], |record| &record.export.routes);
    for route in routes {
        let known = |sent: &RouteReport| sent.route == route.route && sent.address == route.address;
        if !sent.iter().any(known) {
            let own = record.map(|record| record.service.as_str());
            store.spool_run(run.id, route, own, ns::now())?;
        }
    }
    Ok(())
}

/// What all tries have in common.
struct Task<'a> {
    args: &'a PushArgs,
    env: &'a Env,
    store: &'a Store,
    settings: &'a Settings,
    routes: &'a [SpoolRoute],
    until: Instant,
}

impl Task<'_> {
    fn push(&self, runs: &[Option<RunId>], sum: &mut Pushed) -> Result<(), Failure> {
        let query_url = query_url(self.env);
        let failed = AtomicBool::new(false);
        for run in runs {
            if let (true, Some(to)) = (self.args.all, self.routes.first()) {
                self.store.readdress(self.routes, to, *run, ns::now())?;
            }
            let push = Push {
                store: self.store,
                destinations: &self.settings.destinations,
                resource: &self.settings.resource,
                query_url: query_url.as_ref(),
                of: Wanted {
                    run: *run,
                    ..Wanted::default()
                },
                until: self.until,
                stop: &|| failed.load(Ordering::Relaxed),
            };
            let pushed = push.run()?;
            failed.store(!pushed.errors.is_empty(), Ordering::Relaxed);
            sum.add(pushed);
        }
        Ok(())
    }

    /// What still waits of these runs.
    fn left(&self, runs: &[Option<RunId>]) -> Result<Vec<Waiting>, Failure> {
        let mut left = self.store.waiting(ns::now())?;
        left.retain(|waiting| {
            runs.iter()
                .any(|run| run.is_none_or(|run| run == waiting.run))
        });
        Ok(left)
    }
}

fn told(pushed: &Pushed, all_gone: bool) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (route, spans) in &pushed.delivered {
        let traces = count(pushed.traces.len() as u64, "trace");
        let _ = writeln!(
            text,
            "{} of {traces} went to {}",
            count(*spans, "span"),
            route.address
        );
    }
    if pushed.known > 0 {
        let _ = writeln!(text, "{} had arrived before", count(pushed.known, "span"));
    }
    if pushed.gone > 0 {
        let _ = writeln!(
            text,
            "{} are no longer in the local store",
            count(pushed.gone, "span")
        );
    }
    if text.is_empty() && all_gone {
        text.push_str("nothing waits\n");
    }
    text
}

/// What waits still, where and why; `None` if nothing does.
fn remains(left: &[Waiting], routes: &[SpoolRoute], pushed: &Pushed) -> Option<String> {
    let mut by_route: Vec<(&SpoolRoute, u64, u64)> = Vec::new();
    for waiting in left {
        match by_route
            .iter_mut()
            .find(|(route, ..)| *route == &waiting.route)
        {
            Some((_, spans, in_hand)) => {
                *spans += waiting.spans;
                *in_hand += waiting.in_hand;
            }
            None => by_route.push((&waiting.route, waiting.spans, waiting.in_hand)),
        }
    }
    let parts = by_route.iter().map(|(route, spans, in_hand)| {
        let error = pushed.errors.iter().find(|(failed, _)| failed == *route);
        let why = match error {
            Some((_, why)) => clean(why),
            None if *in_hand > 0 => "another process is sending them".to_owned(),
            None if routes.contains(route) => "there was no time left".to_owned(),
            None => "no variable names it now".to_owned(),
        };
        format!(
            "{} still wait for {} {}: {why}",
            count(*spans, "span"),
            route.route.word(),
            clean(&route.address)
        )
    });
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn help(left: &[Waiting], routes: &[SpoolRoute]) -> &'static str {
    let elsewhere = left.iter().any(|waiting| !routes.contains(&waiting.route));
    if routes.is_empty() {
        "set OTEL_EXPORTER_JAEGER_ENDPOINT, JAEGER_TRACE or OTEL_EXPORTER_OTLP_ENDPOINT, and with another address than before give `--all`"
    } else if elsewhere {
        "`--all` sends them to the address that the variables name now"
    } else {
        "they are kept: run `dagger trace push` again when it answers"
    }
}

fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
