//! Asking a frontend a question in place of building: its checks, outline and targets.
//!
//! BuildKit calls these subrequests (`frontend/subrequests` there): the frontend is solved with the
//! attribute `requestid`, and its answer is in the metadata of the result.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::by_gateway;
use super::error::SolveError;
use super::request::{CacheEntry, Solve, What};
use super::session::SessionHandle;
use crate::buildkit::{Gateway, Part};
use crate::progress::event::BuildEvent;

/// A frontend that does not know the capability says so; without it, it would just build.
const NEEDED: &str = "moby.buildkit.frontend.subrequests+forward";

/// A frontend's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer(BTreeMap<String, Bytes>);

impl Answer {
    /// As text for people, if the frontend gives one.
    pub fn text(&self) -> Option<&[u8]> {
        self.field("result.txt")
    }

    /// As JSON, in the schema of the question.
    pub fn json(&self) -> Option<&[u8]> {
        self.field("result.json")
    }

    /// The exit code that the frontend asks for, e.g. 1 when its checks found something.
    pub fn status(&self) -> u8 {
        let status = self.field("result.statuscode").unwrap_or_default();
        let status = std::str::from_utf8(status).ok();
        status.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn field(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(AsRef::as_ref)
    }
}

impl Solve {
    /// Asks the frontend `question`, e.g. `frontend.outline`. Nothing is exported.
    ///
    /// # Errors
    /// When the frontend does not answer it, or its sources cannot be read; was cancelled; or the
    /// engine was lost.
    pub async fn ask(
        &self,
        question: &str,
        session: &SessionHandle,
        events: &mpsc::Sender<Vec<BuildEvent>>,
        cancel: &CancellationToken,
    ) -> Result<Answer, SolveError> {
        let mut solve = self.clone();
        solve.exports.clear();
        solve.cache_to.clear();
        solve.what = What::Gateway;
        let mut part = Part::default();
        if let What::Frontend {
            name,
            attrs,
            inputs,
        } = &self.what
        {
            part.frontend.clone_from(name);
            part.attrs.clone_from(attrs);
            part.inputs.clone_from(inputs);
        }
        part.attrs.insert("requestid".into(), question.into());
        part.attrs.insert("frontend.caps".into(), NEEDED.into());
        let make = async |gateway: &Gateway<'_>, caches: Vec<CacheEntry>| {
            part.read(&caches);
            let result = gateway.solve(part).await?;
            let answer = Answer(result.metadata().clone());
            Ok((result, answer))
        };
        let built = by_gateway::build(&solve, session, events, cancel, make, |_| ()).await;
        built.map(|(_, answer)| answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_status_is_well() {
        assert_eq!(Answer::default().status(), 0);
        let odd = Answer(BTreeMap::from([("result.statuscode".into(), "x".into())]));
        assert_eq!(odd.status(), 0);
        let bad = Answer(BTreeMap::from([("result.statuscode".into(), "1".into())]));
        assert_eq!(bad.status(), 1);
    }
}
