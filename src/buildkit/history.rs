//! The builds that the daemon remembers (`Control/ListenBuildHistory`, `Control/UpdateBuildHistory`), of
//! any client.
//!
//! These calls have no trace at the daemon: looking at a build adds nothing to the trace of it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use prost_types::Timestamp;
use tonic::Request;
use tracing::Instrument;

use super::call::{CallSpan, control};
use super::client::Client;
use super::content::Blob;
use super::error::BuildkitError;
use crate::proto::control::build_history_event::BuildHistoryEventType;
use crate::proto::control::{
    BuildHistoryEvent, BuildHistoryRecord, BuildHistoryRequest, UpdateBuildHistoryRequest,
    UpdateBuildHistoryResponse,
};

/// Records taken of one answer; a daemon keeps far fewer.
const RECORDS: usize = 100_000;

/// One build that the daemon remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildRecord {
    /// Its id: the `ref` of the solve.
    pub build: String,
    /// How it stands.
    pub state: BuildState,
    /// The frontend; empty for a build of LLB.
    pub frontend: String,
    /// What the frontend was told.
    pub attrs: BTreeMap<String, String>,
    /// Types of what was exported.
    pub exporters: Vec<String>,
    /// What the exporters answered, e.g. digests.
    pub response: BTreeMap<String, String>,
    /// Its start.
    pub created: Option<SystemTime>,
    /// Its end.
    pub completed: Option<SystemTime>,
    /// Its steps.
    pub steps: Steps,
    /// Warnings of its frontend.
    pub warnings: u32,
    /// Is it kept whatever its age?
    pub pinned: bool,
    /// Its recorded status messages.
    pub logs: Option<Blob>,
    /// The daemon's spans of it; stored some seconds after its end, or when it is finalized.
    pub trace: Option<Blob>,
}

/// How a build stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildState {
    /// It runs.
    Running,
    /// It ended well.
    Done,
    /// It was stopped.
    Cancelled,
    /// It failed, and why.
    Failed(String),
}

/// How many steps a build has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// In all.
    pub total: u32,
    /// That have ended.
    pub completed: u32,
    /// Whose result was there already.
    pub cached: u32,
}

/// Which builds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Only this one.
    pub build: Option<String>,
    /// Only those that run.
    pub running: bool,
    /// As the daemon understands them, e.g. `status=error`; one of them has to fit.
    pub filters: Vec<String>,
    /// At most so many, the newest.
    pub limit: Option<u16>,
}

impl Client {
    /// The builds that the daemon remembers, newest first.
    ///
    /// # Errors
    /// When the daemon keeps no history, does not understand a filter, or was lost.
    pub async fn history(&self, filter: &HistoryFilter) -> Result<Vec<BuildRecord>, BuildkitError> {
        let method = control!("ListenBuildHistory");
        let mut call = CallSpan::open(method, self.address());
        let span = call.span().clone();
        let request = Request::new(BuildHistoryRequest {
            active_only: filter.running,
            r#ref: filter.build.clone().unwrap_or_default(),
            early_exit: true,
            filter: filter.filters.clone(),
            limit: filter.limit.map_or(0, i32::from),
        });
        let mut events = self
            .open_untraced::<_, BuildHistoryEvent>(method, &mut call, request)
            .instrument(span)
            .await?;
        // A build that ends meanwhile comes twice; what came last counts.
        let mut found = BTreeMap::new();
        while found.len() < RECORDS {
            let result = events.message().await;
            if !matches!(result, Ok(Some(_))) {
                call.end(&result);
            }
            let event =
                result.map_err(|status| BuildkitError::new(self.address(), method.full, status))?;
            let Some(event) = event else { break };
            let running = event.r#type() == BuildHistoryEventType::Started;
            let deleted = event.r#type() == BuildHistoryEventType::Deleted;
            let Some(record) = event.record else { continue };
            if deleted {
                found.remove(&record.r#ref);
            } else {
                found.insert(record.r#ref.clone(), BuildRecord::new(record, running));
            }
        }
        let mut records: Vec<_> = found.into_values().collect();
        records.sort_by(|a, b| {
            b.created
                .cmp(&a.created)
                .then_with(|| a.build.cmp(&b.build))
        });
        Ok(records)
    }

    /// One build, if the daemon remembers it.
    ///
    /// # Errors
    /// When the daemon keeps no history, or was lost.
    pub async fn build_record(&self, build: &str) -> Result<Option<BuildRecord>, BuildkitError> {
        let filter = HistoryFilter {
            build: Some(build.to_owned()),
            ..HistoryFilter::default()
        };
        match self.history(&filter).await {
            Ok(records) => Ok(records.into_iter().find(|record| record.build == build)),
            // What was removed is refused, what never was is passed over.
            Err(error)
                if error
                    .status()
                    .is_some_and(|status| status.code() == tonic::Code::NotFound) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps a build whatever its age, or no longer.
    ///
    /// # Errors
    /// When the daemon does not remember it, or was lost.
    pub async fn pin_build(&self, build: &str, pinned: bool) -> Result<(), BuildkitError> {
        self.update(UpdateBuildHistoryRequest {
            r#ref: build.to_owned(),
            pinned,
            ..UpdateBuildHistoryRequest::default()
        })
        .await
    }

    /// Forgets a build, with its logs and its trace.
    ///
    /// # Errors
    /// When the daemon does not remember it, or was lost.
    pub async fn remove_build(&self, build: &str) -> Result<(), BuildkitError> {
        self.update(UpdateBuildHistoryRequest {
            r#ref: build.to_owned(),
            delete: true,
            ..UpdateBuildHistoryRequest::default()
        })
        .await
    }

    /// Has a build's trace stored now; returns when it is. A build that was finalized before, or is not
    /// known, is well too.
    ///
    /// # Errors
    /// When the daemon keeps no history, or was lost.
    pub async fn finalize_build(&self, build: &str) -> Result<(), BuildkitError> {
        self.update(UpdateBuildHistoryRequest {
            r#ref: build.to_owned(),
            finalize: true,
            ..UpdateBuildHistoryRequest::default()
        })
        .await
    }

    async fn update(&self, request: UpdateBuildHistoryRequest) -> Result<(), BuildkitError> {
        let method = control!("UpdateBuildHistory");
        let answer = self.unary_untraced(method, request).await;
        answer.map(|UpdateBuildHistoryResponse {}| ())
    }
}

impl BuildRecord {
    fn new(record: BuildHistoryRecord, running: bool) -> Self {
        let completed = record.completed_at.and_then(time);
        let count = |number: i32| u32::try_from(number).unwrap_or(0);
        let state = match record.error {
            Some(error) if error.code == tonic::Code::Cancelled as i32 => BuildState::Cancelled,
            Some(error) => BuildState::Failed(error.message),
            None if running || completed.is_none() => BuildState::Running,
            None => BuildState::Done,
        };
        Self {
            build: record.r#ref,
            state,
            frontend: record.frontend,
            attrs: record.frontend_attrs,
            exporters: record.exporters.into_iter().map(|one| one.r#type).collect(),
            response: record.exporter_response,
            created: record.created_at.and_then(time),
            completed,
            steps: Steps {
                total: count(record.num_total_steps),
                completed: count(record.num_completed_steps),
                cached: count(record.num_cached_steps),
            },
            warnings: count(record.num_warnings),
            pinned: record.pinned,
            logs: record.logs.map(Blob::from),
            trace: record.trace.map(Blob::from),
        }
    }
}

/// The end of the year 9999, in seconds since the epoch: later times are no times.
const LAST_SECOND: i64 = 253_402_300_799;

fn time(stamp: Timestamp) -> Option<SystemTime> {
    let sane = (0..=LAST_SECOND).contains(&stamp.seconds);
    sane.then(|| SystemTime::try_from(stamp).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::google::rpc::Status;

    fn state(code: Option<tonic::Code>, completed: bool, running: bool) -> BuildState {
        let record = BuildHistoryRecord {
            error: code.map(|code| Status {
                code: code as i32,
                message: "why".into(),
                ..Status::default()
            }),
            completed_at: completed.then(Timestamp::default),
            num_total_steps: -1,
            ..BuildHistoryRecord::default()
        };
        let record = BuildRecord::new(record, running);
        assert_eq!(record.steps.total, 0);
        record.state
    }

    #[test]
    fn a_record_says_how_its_build_stands() {
        use tonic::Code;
        assert_eq!(state(None, true, false), BuildState::Done);
        assert_eq!(state(None, false, true), BuildState::Running);
        assert_eq!(
            state(Some(Code::Cancelled), true, false),
            BuildState::Cancelled
        );
        assert_eq!(
            state(Some(Code::Unknown), true, false),
            BuildState::Failed("why".into())
        );
    }

    #[test]
    fn absurd_times_are_absent() {
        for seconds in [-1, i64::MAX] {
            assert_eq!(time(Timestamp { seconds, nanos: 0 }), None);
        }
    }
}
