//! A plan's actions, run as wide as their graph allows: each in a span and a solve of its own, all in
//! one session but for the files that several Dockerfiles are built from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::Empty, info_span};

use super::actions::{self, Action, Made, Making};
use super::by_gateway;
use super::error::SolveError;
use super::record::Totals;
use super::request::{CacheEntry, Export, Solve, What};
use super::run::Solved;
use super::session::{SessionHandle, random_id};
use super::shared::Shared;
use super::together::Together;
use crate::buildkit::{Gateway, PartResult};
use crate::llb::Platform;
use crate::plan::file::{Kind, Output as PlanOutput, PlanFile, Planned};
use crate::progress::event::BuildEvent;
use crate::session::{Output, Services};

/// A plan's actions that are to be run, and how.
pub struct Schedule<'a> {
    /// The plan.
    pub plan: &'a PlanFile,
    /// Makes what the session of a Dockerfile's build serves beside its directories.
    pub services: &'a (dyn Fn() -> Services + Sync),
    /// The actions, each after what it needs, with all that they need.
    pub wanted: Vec<usize>,
    /// How many run at the same time at most.
    pub parallel: usize,
    /// Whether what does not need a failed action goes on.
    pub keep_going: bool,
    /// Actions that are made anew; all if one is empty.
    pub no_cache: Vec<String>,
    /// Caches that are read.
    pub cache_from: Vec<CacheEntry>,
    /// Caches that are written, by the action's place in the plan.
    pub cache_to: BTreeMap<usize, Vec<CacheEntry>>,
    /// The platform of actions that name none.
    pub platform: Platform,
}

/// How a plan ended.
#[derive(Debug, Default)]
pub struct Ran {
    /// Actions that were done.
    pub done: usize,
    /// Steps that were looked at, and those whose result was there already.
    pub steps: (u64, u64),
    /// Failed actions with why, in the order of their ends.
    pub failed: Vec<(String, SolveError)>,
    /// Actions that did not begin, or were stopped.
    pub left: Vec<String>,
}

impl Ran {
    fn count(&mut self, solved: &Solved) {
        self.steps.0 += solved.steps;
        self.steps.1 += solved.cached;
    }

    /// The build itself failed, and none of its actions.
    fn failed_without_action(&mut self, error: SolveError) {
        let name = self.left.first().cloned().unwrap_or_default();
        self.failed.push((name, error));
    }
}

enum End {
    Done(Solved, Option<Made>),
    Failed(SolveError),
}

/// What a Dockerfile is built from: its context, where it is, and the action that has them for itself.
type Files = (PathBuf, PathBuf, Option<usize>);

/// Hears of an action's result before its build has ended.
type Known<'a> = &'a (dyn Fn(&Option<Made>) + Sync);

/// What an action runs in, is told by, and tells.
#[derive(Clone, Copy)]
struct Around<'a> {
    session: &'a SessionHandle,
    together: Option<&'a Together<'a>>,
    events: &'a mpsc::Sender<Vec<BuildEvent>>,
    stop: &'a CancellationToken,
    known: Known<'a>,
}

impl Schedule<'_> {
    /// Runs the actions; what happens is sent to `events`.
    pub async fn run(
        &self,
        session: &SessionHandle,
        events: mpsc::Sender<Vec<BuildEvent>>,
        cancel: &CancellationToken,
    ) -> Ran {
        let together = self.together(session);
        let Some(together) = together else {
            return self.run_all(session, None, &events, cancel).await;
        };
        let all = async {
            let ran = self
                .run_all(session, Some(&together), &events, cancel)
                .await;
            together.end();
            ran
        };
        let (mut ran, ()) = tokio::join!(all, together.run(events.clone(), cancel));
        match together.ended() {
            Some(Ok(solved)) => ran.count(&solved),
            Some(Err(error @ SolveError::Lost { .. })) => {
                // It tells more than those of the actions, which are all of this.
                ran.failed.truncate(1);
                match ran.failed.first_mut() {
                    Some((_, first)) => *first = error,
                    None => ran.failed_without_action(error),
                }
            }
            Some(Err(SolveError::Cancelled)) | None => {}
            Some(Err(error)) if ran.failed.is_empty() => ran.failed_without_action(error),
            // The build was given up because of what failed in it.
            Some(Err(_)) => {}
        }
        ran
    }

    /// The build that actions share, if there is to be one. An engine whose builds overlap does not find in
    /// a cache from elsewhere all that is in it: with such caches each has a build of its own.
    fn together<'s>(&self, session: &'s SessionHandle) -> Option<Together<'s>> {
        if self.has_caches() {
            return None;
        }
        let shared = Shared::of(self.plan, &self.wanted);
        let mut solve = Solve::new(What::Gateway);
        let actions = shared.places.iter();
        let actions = actions.filter_map(|place| self.plan.actions.get(*place));
        let needed = actions.flat_map(|planned| actions::entitlements(&planned.action));
        solve.entitlements = needed.collect::<BTreeSet<_>>().into_iter().collect();
        let result = shared.result.and_then(|place| self.plan.actions.get(place));
        solve.exports = result
            .map(|planned| self.exports(planned))
            .unwrap_or_default();
        (!shared.places.is_empty()).then(|| Together::new(session, shared, solve))
    }

    fn has_caches(&self) -> bool {
        !(self.cache_from.is_empty() && self.cache_to.values().all(Vec::is_empty))
    }

    async fn run_all(
        &self,
        session: &SessionHandle,
        together: Option<&Together<'_>>,
        events: &mpsc::Sender<Vec<BuildEvent>>,
        cancel: &CancellationToken,
    ) -> Ran {
        let unique = random_id();
        let others = self.dockerfile_sessions(session, together);
        let stop = cancel.child_token();
        let mut ran = Ran::default();
        let mut made: BTreeMap<usize, Option<Made>> = BTreeMap::new();
        let mut waiting: BTreeSet<usize> = self.wanted.iter().copied().collect();
        let mut running = FuturesUnordered::new();
        // Each action is heard of once: it is never full.
        let (early, mut known) = mpsc::channel(self.wanted.len().max(1));
        loop {
            while running.len() < self.parallel.max(1) && !stop.is_cancelled() {
                let Some((index, planned)) = self.ready(&waiting, &made) else {
                    break;
                };
                waiting.remove(&index);
                let before = self.before(planned, &made);
                let other = self.files(index).and_then(|key| others.get(&key));
                let (unique, stop) = (&unique, &stop);
                let early = early.clone();
                running.push(async move {
                    // Whoever would hear of it has ended: then nobody waits for it.
                    let known = |made: &Option<Made>| drop(early.try_send((index, made.clone())));
                    let around = Around {
                        session: other.unwrap_or(session),
                        together: together.filter(|together| together.has(index)),
                        events,
                        stop,
                        known: &known,
                    };
                    let end = self.action((index, planned), before, unique, around).await;
                    (index, planned, end)
                });
            }
            let ended = tokio::select! {
                biased;
                ended = running.next() => ended,
                Some((index, result)) = known.recv() => {
                    made.insert(index, result);
                    continue;
                }
            };
            let Some((index, planned, end)) = ended else {
                break;
            };
            match end {
                End::Done(solved, result) => {
                    ran.done += 1;
                    ran.count(&solved);
                    made.insert(index, result);
                }
                End::Failed(SolveError::Cancelled) => ran.left.push(planned.name.clone()),
                End::Failed(error) => {
                    ran.failed.push((planned.name.clone(), error));
                    if !self.keep_going {
                        stop.cancel();
                    }
                }
            }
        }
        let left = waiting
            .iter()
            .filter_map(|index| self.plan.actions.get(*index));
        ran.left.extend(left.map(|planned| planned.name.clone()));
        drop(running);
        for other in others.into_values() {
            other.close().await;
        }
        ran
    }

    /// A session for each Dockerfile that has a build of its own: its frontend asks for directories by fixed
    /// names, and graphs that come of it name their session, so that it stays open until the end.
    fn dockerfile_sessions(
        &self,
        session: &SessionHandle,
        together: Option<&Together<'_>>,
    ) -> BTreeMap<Files, SessionHandle> {
        let shared = |place: &usize| together.is_some_and(|together| together.has(*place));
        let wanted = self.wanted.iter().copied();
        let files = wanted
            .filter(|place| !shared(place))
            .filter_map(|place| self.files(place));
        let mut sessions = BTreeMap::new();
        for files in files {
            let open = |(context, ..): &Files| {
                SessionHandle::open(session.client(), (self.services)(), context)
            };
            sessions.entry(files).or_insert_with_key(open);
        }
        sessions
    }

    /// The files that the Dockerfile at `place` is built from.
    fn files(&self, place: usize) -> Option<Files> {
        let planned = self.plan.actions.get(place)?;
        let build = planned.action.build.as_ref()?;
        let [context, dockerfile] = actions::directories(&self.plan.project, build);
        // The engine leaves out of a cache what it has found by its session alone.
        let alone = self.cache_to.contains_key(&place).then_some(place);
        Some((context, dockerfile, alone))
    }

    /// The first action whose needs are all done.
    fn ready(
        &self,
        waiting: &BTreeSet<usize>,
        made: &BTreeMap<usize, Option<Made>>,
    ) -> Option<(usize, &Planned)> {
        waiting.iter().find_map(|index| {
            let planned = self.plan.actions.get(*index)?;
            let all = planned.needs.iter().all(|need| made.contains_key(need));
            all.then_some((*index, planned))
        })
    }

    /// What the actions before gave, by their names and by those of matrices of one.
    fn before(
        &self,
        planned: &Planned,
        made: &BTreeMap<usize, Option<Made>>,
    ) -> BTreeMap<String, Made> {
        let results = planned.needs.iter().filter_map(|need| {
            let name = &self.plan.actions.get(*need)?.name;
            Some((name, made.get(need)?.as_ref()?))
        });
        let both = results.flat_map(|(name, made)| {
            let group = name.split('[').next().unwrap_or(name);
            [
                (group.to_owned(), made.clone()),
                (name.clone(), made.clone()),
            ]
        });
        both.collect()
    }

    async fn action(
        &self,
        (place, planned): (usize, &Planned),
        before: BTreeMap<String, Made>,
        unique: &str,
        around: Around<'_>,
    ) -> End {
        let needs = planned
            .needs
            .iter()
            .filter_map(|need| self.plan.actions.get(*need));
        let needs: Vec<_> = needs.map(|need| need.name.as_str()).collect();
        let span = info_span!(
            "action",
            otel.name = format!("action {}", planned.name),
            dagger.action = planned.name,
            dagger.action.kind = planned.kind.name(),
            dagger.plan.source = format!(
                "{}:{}:{}",
                self.plan.file.display(),
                planned.at.line,
                planned.at.column
            ),
            dagger.action.needs = needs.join(","),
            dagger.cancelled = Empty,
            otel.status = Empty,
            otel.status_message = Empty,
        );
        let making = Making {
            plan: self.plan,
            platform: &self.platform,
            unique,
            no_cache: self
                .no_cache
                .iter()
                .any(|name| name.is_empty() || *name == planned.name),
            cached_as: self.cache_to.get(&place).map(|_| place.to_string()),
        };
        let before = before
            .iter()
            .map(|(name, made)| (name.as_str(), made))
            .collect();
        let action = Action::new(&making, planned, before);
        let end = match around.together {
            Some(together) => {
                let making = together.make(place, &action, around.stop);
                match Box::pin(making).instrument(span.clone()).await {
                    Ok(made) => {
                        // It is made; what is left is the build's.
                        drop(span);
                        return self.made_together(together, place, made).await;
                    }
                    Err(error) => End::Failed(error),
                }
            }
            None => {
                let working = self.solve((place, planned), &action, around);
                Box::pin(working).instrument(span.clone()).await
            }
        };
        match &end {
            End::Done(..) => {}
            End::Failed(SolveError::Cancelled) => {
                span.record("dagger.cancelled", true);
            }
            End::Failed(error) => {
                span.record("otel.status", "error");
                span.record("otel.status_message", error.to_string());
            }
        }
        end
    }

    async fn solve(
        &self,
        (place, planned): (usize, &Planned),
        action: &Action<'_>,
        around: Around<'_>,
    ) -> End {
        let mut solve = Solve::new(What::Gateway);
        solve.locals = action.locals();
        solve.entitlements = actions::entitlements(&planned.action).collect();
        solve.cache_from.clone_from(&self.cache_from);
        solve.cache_to = self.cache_to.get(&place).cloned().unwrap_or_default();
        let exports = self.exports(planned);
        // The graph of a Dockerfile names the session that it was made in. One that others go on with
        // has to be that of the run, which an action with outputs may not get.
        let sent = exports.iter().any(|export| export.to.is_some());
        let apart = planned.kind == Kind::Build && sent && self.is_needed(place);
        let mut first = None;
        if apart {
            match one(&solve, action, around, &|_| ()).await {
                End::Done(solved, made) => first = Some((solved, made)),
                failed @ End::Failed(_) => return failed,
            }
        }
        solve.exports = exports;
        // The engine takes as long again to record a build as to find it in its cache: what goes on with
        // a result need not wait for that. What is written somewhere has to be there, though; and an engine
        // whose builds overlap does not find in a cache from elsewhere all that is in it.
        let whole = self.has_caches() || !solve.exports.is_empty();
        let known: Known<'_> = if whole { &|_| () } else { around.known };
        match one(&solve, action, around, known).await {
            End::Done(solved, made) => {
                let (solved, made) = first.unwrap_or((solved, made));
                End::Done(solved, made)
            }
            failed @ End::Failed(_) => failed,
        }
    }

    /// How an action ended that was made in the shared build. If the build's result is that of the action,
    /// it ends with the build.
    async fn made_together(
        &self,
        together: &Together<'_>,
        place: usize,
        (result, made, totals): (PartResult, Option<Made>, Totals),
    ) -> End {
        let mut solved = Solved {
            steps: totals.total,
            cached: totals.cached,
            ..Solved::default()
        };
        if together.is_result(place) {
            match together.give(result).await {
                Ok(build) => {
                    solved.steps += build.steps;
                    solved.cached += build.cached;
                }
                Err(error) => return End::Failed(error),
            }
        }
        End::Done(solved, made)
    }

    /// Does another action go on with the result of the one at `place`?
    fn is_needed(&self, place: usize) -> bool {
        let others = self
            .wanted
            .iter()
            .filter_map(|index| self.plan.actions.get(*index));
        others
            .flat_map(|other| &other.needs)
            .any(|need| *need == place)
    }

    fn exports(&self, planned: &Planned) -> Vec<Export> {
        let outputs = planned.action.outputs.iter();
        outputs
            .filter_map(|output| self.export(&output.value))
            .collect()
    }

    fn export(&self, output: &PlanOutput) -> Option<Export> {
        let project = &self.plan.project;
        if let Some(path) = &output.local {
            return Some(Export::local(project.join(path)));
        }
        if let Some(path) = &output.tar {
            return Some(Export::tar(project.join(path)));
        }
        let file = |kind: &str, path: &String| Export {
            kind: kind.to_owned(),
            attrs: BTreeMap::new(),
            to: Some(Output::File(project.join(path))),
        };
        if let Some(path) = &output.oci {
            return Some(file("oci", path));
        }
        if let Some(path) = &output.docker {
            return Some(file("docker", path));
        }
        let mut attrs = BTreeMap::from([("name".to_owned(), output.image.clone()?)]);
        if output.push {
            attrs.insert("push".to_owned(), "true".to_owned());
        }
        Some(Export {
            kind: "image".to_owned(),
            attrs,
            to: None,
        })
    }
}

/// One build of an action.
async fn one(solve: &Solve, action: &Action<'_>, around: Around<'_>, known: Known<'_>) -> End {
    let Around {
        session,
        events,
        stop,
        ..
    } = around;
    let make =
        async |gateway: &Gateway<'_>, caches: Vec<_>| action.make(gateway, &caches, |_| ()).await;
    match by_gateway::build(solve, session, events, stop, make, known).await {
        Ok((solved, made)) => End::Done(solved, made),
        Err(error) => End::Failed(error),
    }
}
