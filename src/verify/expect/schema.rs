//! The expectation file as types; the JSON schema is made of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{At, Scalar};

/// What a trace is expected to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// The version of this format.
    #[expect(dead_code, reason = "it is looked at before all else")]
    pub(super) version: At<u32>,
    /// What it is about.
    #[serde(default)]
    pub(super) name: Option<String>,
    /// Another file that this one adds to, relative to this one; of two that have a name in common this
    /// one's counts.
    #[serde(default)]
    pub(super) extends: Option<At<String>>,
    /// How bad a rule's findings are, by its id.
    #[serde(default)]
    pub(super) rules: BTreeMap<String, At<Level>>,
    /// What has to hold.
    #[serde(default)]
    pub(super) expect: Vec<At<Check>>,
    /// How long it may take.
    #[serde(default)]
    pub(super) budgets: Vec<At<Check>>,
    /// How it may differ from former runs.
    #[serde(default)]
    pub(super) baseline: Option<At<Baseline>>,
    /// Findings that are known and let pass until a day.
    #[serde(default)]
    pub(super) waivers: Vec<At<Waiver>>,
}

/// How bad findings are.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// They fail the verification.
    Error,
    /// They are told.
    Warn,
    /// They are not looked for.
    Off,
}

/// How bad it is if it does not hold.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// It fails the verification.
    Error,
    /// It is told.
    Warn,
}

/// One thing that has to hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    /// What it is called.
    #[serde(default)]
    pub(super) name: Option<At<String>>,
    /// The spans it is about, see `docs/selectors.md`.
    #[serde(default)]
    pub(super) select: Option<At<String>>,
    /// How bad it is if it does not hold; `error` if it is not said.
    #[serde(default)]
    pub(super) severity: Option<Severity>,
    /// How many spans there are: `1`, `">= 2"`, `2..5`. If it is not said, at least one.
    #[serde(default)]
    pub(super) count: Option<At<Scalar>>,
    /// How long they are, by statistic: `{max: <= 30s}`.
    #[serde(default)]
    #[schemars(with = "Stats")]
    pub(super) duration: BTreeMap<Stat, At<Scalar>>,
    /// The same of the time in which none below them was at work.
    #[serde(default, rename = "self")]
    #[schemars(with = "Stats")]
    pub(super) own: BTreeMap<Stat, At<Scalar>>,
    /// What each of them says: `{status: ok, bytes: <= 20MiB}`.
    #[serde(default)]
    pub(super) each: BTreeMap<String, At<Scalar>>,
    /// How many spans there are of others.
    #[serde(default)]
    pub(super) ratio: Option<Ratio>,
    /// Selectors: all of one have ended before any of the next begins.
    #[serde(default)]
    pub(super) order: Option<At<Vec<At<String>>>>,
    /// Selectors: there is a time at which some of each are at work.
    #[serde(default)]
    pub(super) overlap: Option<At<Vec<At<String>>>>,
    /// How long they overlap at least.
    #[serde(default)]
    pub(super) at_least: Option<At<Scalar>>,
}

/// A number made of the lengths of several spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::verify) enum Stat {
    /// The shortest.
    Min,
    /// The longest.
    Max,
    /// The mean.
    Mean,
    /// All together.
    Sum,
    /// Half of them are at most as long.
    P50,
    /// 90 of 100 are.
    P90,
    /// 95 of 100 are.
    P95,
    /// 99 of 100 are.
    P99,
    /// The time in which at least one of them was there.
    Wall,
}

/// Times by statistic.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Stats {
    /// Of the shortest.
    min: Option<Scalar>,
    /// Of the longest.
    max: Option<Scalar>,
    /// The mean.
    mean: Option<Scalar>,
    /// All together.
    sum: Option<Scalar>,
    /// Half of them are at most as long.
    p50: Option<Scalar>,
    /// 90 of 100 are.
    p90: Option<Scalar>,
    /// 95 of 100 are.
    p95: Option<Scalar>,
    /// 99 of 100 are.
    p99: Option<Scalar>,
    /// The time in which at least one of them was there.
    wall: Option<Scalar>,
}

/// How many spans there are of others.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ratio {
    /// Selector of those that are counted.
    pub(super) of: At<String>,
    /// Selector of all.
    pub(super) over: At<String>,
    /// The part: `">= 80%"`.
    #[serde(rename = "is")]
    pub(super) part: At<Scalar>,
}

/// How a run may differ from former runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Baseline {
    /// Which former runs.
    #[serde(default)]
    pub(super) from: From,
    /// What is compared.
    pub(super) compare: Vec<At<Compare>>,
}

/// Which former runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// Only those of this branch (`vcs.ref.head.name`).
    #[serde(default)]
    pub(super) branch: Option<String>,
    /// How many, the last ones; 10 if it is not said, at least 3.
    #[serde(default)]
    pub(super) runs: Option<At<u32>>,
}

/// What is compared with former runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Compare {
    /// What it is called.
    #[serde(default)]
    pub(super) name: Option<At<String>>,
    /// The spans.
    pub(super) select: At<String>,
    /// The number made of their lengths; `wall` if it is not said.
    #[serde(default)]
    pub(super) stat: Option<Stat>,
    /// From when on it is slower.
    pub(super) slower: Slower,
    /// How bad that is; `error` if it is not said.
    #[serde(default)]
    pub(super) severity: Option<Severity>,
}

/// From when on a run is slower than former ones: by both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Slower {
    /// By so much of the median: `20%`.
    pub(super) ratio: At<Scalar>,
    /// By so much time: `3s`.
    pub(super) floor: At<Scalar>,
}

/// Findings that are let pass.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Waiver {
    /// The rule's id, or an expectation's name.
    pub(super) rule: At<String>,
    /// Only findings about these spans.
    #[serde(default)]
    pub(super) select: Option<At<String>>,
    /// The last day: `2027-01-31`.
    pub(super) until: At<String>,
    /// Why.
    pub(super) reason: String,
}

/// The JSON schema of an expectation file.
pub fn json_schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Document);
    schema.insert("title".to_owned(), "dagger trace expectations".into());
    if let Some(version) = schema.pointer_mut("/properties/version") {
        *version = serde_json::json!({ "const": 1, "description": "The version of this format." });
    }
    schema.to_value()
}
