//! Which of a plan's actions are made in one build.
//!
//! The engine writes a record of each build, which takes as long as to find several cached steps. So
//! actions that need no build of their own share one: an action has one of its own when something is to be
//! written of it, a cache too, since a build has one result. The last action's outputs are the exception:
//! when all others are for it, its result is that of the shared build.

use std::collections::BTreeSet;

use crate::plan::file::{Kind, PlanFile};

/// The actions of a shared build, by their places in the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shared {
    /// All of them; none, or several.
    pub(super) places: BTreeSet<usize>,
    /// The one among them whose result is the build's.
    pub(super) result: Option<usize>,
}

impl Shared {
    /// Of the `wanted` actions of `plan`, none of which reads or writes a cache elsewhere.
    pub(super) fn of(plan: &PlanFile, wanted: &[usize]) -> Self {
        let actions = || {
            let places = wanted.iter().copied();
            places.filter_map(|place| Some((place, plan.actions.get(place)?)))
        };
        // What a frontend makes of a Dockerfile has digests that nobody knows before: of two it could not
        // be told whose a step is.
        let builds = actions().filter(|(_, planned)| planned.kind == Kind::Build);
        let one_build = builds.count() == 1;
        let result = wanted.iter().copied().find(|place| {
            let below = all_below(plan, *place);
            wanted
                .iter()
                .all(|other| other == place || below.contains(other))
        });
        let has_outputs = |place: usize| {
            let planned = plan.actions.get(place);
            planned.is_some_and(|planned| !planned.action.outputs.is_empty())
        };
        let result = result.filter(|place| has_outputs(*place));
        let places: BTreeSet<usize> = actions()
            .filter(|(_, planned)| planned.kind != Kind::Build || one_build)
            .map(|(place, _)| place)
            .filter(|place| !has_outputs(*place) || result == Some(*place))
            .collect();
        if places.len() < 2 {
            return Self::default();
        }
        let result = result.filter(|place| places.contains(place));
        Self { places, result }
    }
}

/// What an action needs, and what that needs.
fn all_below(plan: &PlanFile, place: usize) -> BTreeSet<usize> {
    let mut below = BTreeSet::new();
    let mut open = vec![place];
    while let Some(place) = open.pop() {
        let needs = plan.actions.get(place).map(|planned| &planned.needs);
        let new = needs.into_iter().flatten().copied();
        open.extend(new.filter(|need| below.insert(*need)));
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::file::Given;

    fn shared(actions: &str, wanted: &[&str]) -> (Vec<String>, Option<String>) {
        let directory = tempfile::tempdir().unwrap();
        let text = format!("version: 1\nactions:\n{actions}");
        std::fs::write(directory.path().join("dagger.yaml"), text).unwrap();
        std::fs::write(directory.path().join("Dockerfile"), "FROM scratch").unwrap();
        let given = Given {
            cwd: directory.path(),
            plan: None,
            project: None,
            with: &[],
            env: &|_| None,
            cue: &|_| Err("no cue".into()),
        };
        let plan = PlanFile::load(given).unwrap().unwrap();
        let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let shared = Shared::of(&plan, &plan.select(&wanted).unwrap());
        let name = |place: &usize| plan.actions[*place].name.clone();
        let places = shared.places.iter().map(name).collect();
        (places, shared.result.as_ref().map(name))
    }

    const PLAN: &str = "  base: { build: {} }
  one: { from: base, run: '1' }
  two: { from: base, run: '2', outputs: [{ local: two }] }
  all: { merge: [one, two], outputs: [{ local: all }, { tar: all.tar }] }
";

    #[test]
    fn outputs_need_a_build_unless_all_others_are_for_them() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let all = Some("all".to_owned());
        assert_eq!(shared(PLAN, &[]), (names(&["base", "one", "all"]), all));
        assert_eq!(shared(PLAN, &["one"]), (names(&["base", "one"]), None));
        let two = Some("two".to_owned());
        assert_eq!(shared(PLAN, &["two"]), (names(&["base", "two"]), two));
        let both = shared(PLAN, &["one", "two"]);
        assert_eq!(both, (names(&["base", "one"]), None));
        assert_eq!(shared(PLAN, &["base"]), (Vec::new(), None));
    }

    #[test]
    fn of_several_dockerfiles_none_is_shared() {
        let more = format!("{PLAN}  more: {{ build: {{}} }}\n  last: {{ from: more, run: '3' }}\n");
        let (places, result) = shared(&more, &[]);
        assert_eq!(places, ["one", "last"]);
        assert_eq!(result, None);
    }
}
