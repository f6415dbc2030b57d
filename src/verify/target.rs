//! What is to be verified, and what is known of it beforehand.

use std::collections::HashSet;
use std::fmt;

use super::names;
use super::profile::Profile;
use crate::trace::model::{IdError, SpanId, TraceId};
use crate::trace::report::{ExportReport, RunRecord};

/// What is to be verified, and what is known of it beforehand.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The trace.
    pub trace: TraceId,
    /// The service whose spans are ours.
    pub service: String,
    /// Was it named, or said by the run? Else another client is looked for in the trace.
    pub service_is_known: bool,
    /// Whose build it is.
    pub profile: Profile,
    /// The span of another process under which ours hang (`TRACEPARENT`).
    pub remote_parent: Option<SpanId>,
    /// What the run said of itself, if its record is there.
    pub run: Option<Run>,
    /// The secrets of its build that could be read again.
    pub secrets: Vec<KnownSecret>,
}

/// A secret that must not be in the trace. Its debug form hides the value.
#[derive(Clone, PartialEq, Eq)]
pub struct KnownSecret {
    /// What the build calls it.
    pub id: String,
    /// What it is.
    pub value: String,
}

impl fmt::Debug for KnownSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KnownSecret").field(&self.id).finish()
    }
}

/// What a run said of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its entry span.
    pub root: SpanId,
    /// Its exit code.
    pub exit_code: i32,
    /// Its spans that ended.
    pub spans: Vec<SpanId>,
    /// Those of them that were handed over by no way: waiting for them is in vain.
    pub hopeless: HashSet<SpanId>,
    /// What became of them.
    pub export: ExportReport,
}

impl Target {
    /// A trace of which no run record is known.
    pub fn of_trace(
        trace: TraceId,
        service: Option<String>,
        remote_parent: Option<SpanId>,
    ) -> Self {
        Self {
            trace,
            service_is_known: service.is_some(),
            profile: Profile::Dagger,
            service: service.unwrap_or_else(|| names::SERVICE.to_owned()),
            remote_parent,
            run: None,
            secrets: Vec::new(),
        }
    }

    /// The trace of a run.
    ///
    /// # Errors
    /// When the record holds text that is no id.
    pub fn of_run(record: &RunRecord) -> Result<Self, IdError> {
        let export = &record.export;
        let spans = ids(&export.spans)?;
        let mut hopeless: HashSet<SpanId> = ids(&export.dropped)?.into_iter().collect();
        let mut lost_by_all: Option<HashSet<SpanId>> = None;
        for route in &export.routes {
            let lost: HashSet<SpanId> = ids(&route.lost)?.into_iter().collect();
            lost_by_all = Some(match lost_by_all {
                Some(others) => others.intersection(&lost).copied().collect(),
                None => lost,
            });
        }
        hopeless.extend(lost_by_all.unwrap_or_else(|| spans.iter().copied().collect()));
        Ok(Self {
            trace: record.trace.parse()?,
            service: record.service.clone(),
            service_is_known: true,
            secrets: Vec::new(),
            profile: Profile::Dagger,
            remote_parent: record
                .remote_parent
                .as_deref()
                .map(str::parse)
                .transpose()?,
            run: Some(Run {
                root: record.root.parse()?,
                exit_code: record.exit_code,
                spans,
                hopeless,
                export: export.clone(),
            }),
        })
    }

    /// The same trace as that of another client's build: without a run record, and with the service that
    /// is seen to be the client's unless it is known.
    #[must_use]
    pub fn of_other_client(self, service_is_known: bool) -> Self {
        Self {
            profile: Profile::Buildkit,
            service_is_known,
            run: None,
            ..self
        }
    }

    /// Is it known that the run exported nowhere?
    pub fn exported_nowhere(&self) -> bool {
        self.run
            .as_ref()
            .is_some_and(|run| run.export.routes.is_empty())
    }
}

fn ids(texts: &[String]) -> Result<Vec<SpanId>, IdError> {
    texts.iter().map(|text| text.parse()).collect()
}
