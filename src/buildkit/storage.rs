//! What the daemon's cache holds, and freeing it (`Control/DiskUsage`, `Control/Prune`).

use std::time::Duration;

use tonic::Request;
use tracing::Instrument;

use super::call::{CallSpan, control};
use super::client::Client;
use super::error::BuildkitError;
use crate::proto::control::{DiskUsageRequest, DiskUsageResponse, PruneRequest, UsageRecord};

/// One record of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskUse {
    /// Its id.
    pub id: String,
    /// What it is of, e.g. the step that made it.
    pub description: String,
    /// Its kind: `regular`, `source.local`, `exec.cachemount`, ...
    pub kind: String,
    /// Its size.
    pub bytes: u64,
    /// Does a build use it now?
    pub in_use: bool,
    /// Is it shared with others, so that freeing it frees less?
    pub shared: bool,
}

/// What to free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruning {
    /// Internal records and the frontend's too.
    pub all: bool,
    /// Keep what was used within this time.
    pub keep_for: Duration,
    /// Keep this much, in bytes.
    pub keep_bytes: u64,
}

impl From<UsageRecord> for DiskUse {
    fn from(record: UsageRecord) -> Self {
        Self {
            id: record.id,
            description: record.description,
            kind: record.record_type,
            bytes: u64::try_from(record.size).unwrap_or(0),
            in_use: record.in_use,
            shared: record.shared,
        }
    }
}

impl Client {
    /// What the cache holds.
    ///
    /// # Errors
    /// When the daemon refuses, or was lost.
    pub async fn disk_usage(&self) -> Result<Vec<DiskUse>, BuildkitError> {
        let asked = DiskUsageRequest::default();
        let answer: DiskUsageResponse = self.unary(control!("DiskUsage"), asked).await?;
        Ok(answer.record.into_iter().map(DiskUse::from).collect())
    }

    /// Frees what no build uses; tells each record that is gone.
    ///
    /// # Errors
    /// When the daemon refuses, or was lost; what was told by then is gone.
    pub async fn prune(
        &self,
        pruning: Pruning,
        mut gone: impl FnMut(DiskUse),
    ) -> Result<(), BuildkitError> {
        let method = control!("Prune");
        let request = Request::new(PruneRequest {
            filter: Vec::new(),
            all: pruning.all,
            keep_duration: i64::try_from(pruning.keep_for.as_nanos()).unwrap_or(i64::MAX),
            reserved_space: i64::try_from(pruning.keep_bytes).unwrap_or(i64::MAX),
        });
        let mut call = CallSpan::open(method, self.address());
        let span = call.span().clone();
        let mut records = self
            .open::<_, UsageRecord>(method, &mut call, request)
            .instrument(span)
            .await?;
        loop {
            let result = records.message().await;
            if !matches!(result, Ok(Some(_))) {
                call.end(&result);
            }
            match result {
                Ok(Some(record)) => gone(record.into()),
                Ok(None) => return Ok(()),
                Err(status) => return Err(BuildkitError::new(self.address(), method.full, status)),
            }
        }
    }
}
