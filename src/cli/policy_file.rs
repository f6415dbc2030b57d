//! A source policy as a JSON file: the words of BuildKit's `sourcepolicy`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::diagnostic::Failure;
use crate::proto::control::sourcepolicy as pb;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Policy {
    #[serde(default)]
    version: i64,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    action: Action,
    selector: Selector,
    #[serde(default)]
    updates: Option<Update>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Action {
    Allow,
    Deny,
    Convert,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Selector {
    identifier: String,
    #[serde(default, alias = "match_type")]
    match_type: MatchType,
    #[serde(default)]
    constraints: Vec<Constraint>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum MatchType {
    #[default]
    Wildcard,
    Exact,
    Regex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Constraint {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    condition: Condition,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Condition {
    #[default]
    Equal,
    NotEqual,
    Matches,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    #[serde(default)]
    identifier: String,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

/// Reads the file.
///
/// # Errors
/// When it cannot be read, or is no policy.
pub(super) fn read(path: &Path) -> Result<pb::Policy, Failure> {
    let wrong = |why: String| Failure::Usage {
        message: format!("--source-policy-file `{}`: {why}", path.display()),
        help:
            "write {\"rules\": [{\"action\": \"DENY\", \"selector\": {\"identifier\": \"...\"}}]}"
                .into(),
    };
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let policy: Policy = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    Ok(pb::Policy {
        version: policy.version.max(1),
        rules: policy.rules.into_iter().map(rule).collect(),
    })
}

fn rule(rule: Rule) -> pb::Rule {
    let action = match rule.action {
        Action::Allow => pb::PolicyAction::Allow,
        Action::Deny => pb::PolicyAction::Deny,
        Action::Convert => pb::PolicyAction::Convert,
    };
    let match_type = match rule.selector.match_type {
        MatchType::Wildcard => pb::MatchType::Wildcard,
        MatchType::Exact => pb::MatchType::Exact,
        MatchType::Regex => pb::MatchType::Regex,
    };
    let constraints = rule.selector.constraints.into_iter().map(|constraint| {
        let condition = match constraint.condition {
            Condition::Equal => pb::AttrMatch::Equal,
            Condition::NotEqual => pb::AttrMatch::Notequal,
            Condition::Matches => pb::AttrMatch::Matches,
        };
        pb::AttrConstraint {
            key: constraint.key,
            value: constraint.value,
            condition: condition.into(),
        }
    });
    pb::Rule {
        action: action.into(),
        selector: Some(pb::Selector {
            identifier: rule.selector.identifier,
            match_type: match_type.into(),
            constraints: constraints.collect(),
        }),
        updates: rule.updates.map(|update| pb::Update {
            identifier: update.identifier,
            attrs: update.attrs,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<pb::Policy, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_rule_is_read() {
        let policy = of(r#"{"rules": [{"action": "CONVERT",
            "selector": {"identifier": "docker-image://a", "matchType": "EXACT"},
            "updates": {"identifier": "docker-image://b"}}]}"#)
        .unwrap();
        assert_eq!(policy.version, 1);
        assert_eq!(policy.rules[0].action(), pb::PolicyAction::Convert);
    }

    #[test]
    fn an_unknown_word_is_named() {
        let error = of(r#"{"rules": [{"action": "REFUSE"}]}"#).unwrap_err();
        assert!(error.contains("unknown variant `REFUSE`"), "{error}");
    }
}
