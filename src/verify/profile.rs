//! Whose build a trace is of: ours, or that of another client of BuildKit (`buildctl`, `docker buildx`).
//!
//! Lives here: which service the client is, which rules ask for what only `dagger` makes. Elsewhere: what
//! is known of the faults of other clients' traces (`rules::others`).

use std::borrow::Cow;

use super::names;
use super::target::Target;
use crate::trace::model::{Kind, Span};

/// Whose build a trace is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Profile {
    /// Of `dagger`: all rules
    #[default]
    Dagger,
    /// Of `buildctl`, `docker buildx` or another client of `BuildKit`: the rules that apply to it
    Buildkit,
}

/// Rules that ask for what other clients do not have, and why.
const NOT_ASKED: [(&str, &str); 11] = [
    ("T007", NO_REPORT),
    ("T008", NO_REPORT),
    ("P004", NO_STEPS),
    ("P005", NO_STEPS),
    ("P007", "what a client's resource says is its own affair"),
    ("E002", "other clients do not say their exit code"),
    ("E004", "other clients do not mark what was cancelled"),
    ("C001", NO_STEPS),
    ("C002", NO_STEPS),
    ("N001", "the names of other clients' spans are not ours"),
    ("D003", NO_STEPS),
];
const NO_REPORT: &str = "other clients keep no record of what they exported";
const NO_STEPS: &str = "other clients make no spans of steps, only the daemon does";

/// Rules whose findings are habits of other clients rather than faults of this build, and what is known.
const HABITS: [(&str, &str); 1] = [(
    "E001",
    "buildx and buildctl end their own spans without the error of a build that failed or was cancelled: \
     look at the failed spans themselves",
)];

impl Profile {
    /// Why this rule is not asked, if it is not.
    pub(super) fn skips(self, rule: &str) -> Option<&'static str> {
        match self {
            Self::Dagger => None,
            Self::Buildkit => said(&NOT_ASKED, rule),
        }
    }

    /// What is known of the findings of this rule, which are a warning then.
    pub(super) fn habit(self, rule: &str) -> Option<&'static str> {
        match self {
            Self::Dagger => None,
            Self::Buildkit => said(&HABITS, rule),
        }
    }
}

fn said(table: &[(&str, &'static str)], rule: &str) -> Option<&'static str> {
    let mut named = table.iter().filter(|(id, _)| *id == rule);
    named.next().map(|(_, reason)| *reason)
}

impl Target {
    /// The same, with the service of the client that is seen in these spans if it was not named.
    pub(super) fn of_client(&self, spans: &[Span]) -> Cow<'_, Self> {
        if self.service_is_known || self.profile == Profile::Dagger {
            return Cow::Borrowed(self);
        }
        match client(spans) {
            Some(service) => Cow::Owned(Self {
                service: service.to_owned(),
                ..self.clone()
            }),
            None => Cow::Owned(Self {
                service: CLIENTS.join("` or `"),
                ..self.clone()
            }),
        }
    }
}

/// The service that called the daemon, or else one that it called back, or else a client by its name.
fn client(spans: &[Span]) -> Option<&str> {
    let of = |fits: &dyn Fn(&Span) -> bool| {
        let mut others = spans.iter().filter(|span| span.service() != names::DAEMON);
        others.find(|span| fits(span)).map(Span::service)
    };
    of(&|span| span.kind == Kind::Client && span.name.starts_with(names::DAEMON_CALL))
        .or_else(|| of(&|span| span.kind == Kind::Server && names::is_callback(&span.name)))
        .or_else(|| of(&|span| CLIENTS.contains(&span.service())))
}

/// What clients of `BuildKit` call themselves.
const CLIENTS: [&str; 2] = ["buildx", "buildctl"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::model::TraceId;
    use crate::verify::testing::span;

    #[test]
    fn the_client_is_who_called_the_daemon() {
        let spans = [
            span(1).of("ci"),
            span(2).of("buildx").under(1).named("build"),
            span(3)
                .of("mine")
                .under(2)
                .named("moby.buildkit.v1.Control/Solve")
                .calling(),
        ]
        .map(|span| span.done());
        let mut target = Target::of_trace(TraceId(1), None, None);
        assert_eq!(target.of_client(&spans).service, "dagger");
        target.profile = Profile::Buildkit;
        assert_eq!(target.of_client(&spans).service, "mine");
        assert_eq!(target.of_client(&spans[..2]).service, "buildx");
        let named = Target {
            service_is_known: true,
            ..target
        };
        assert_eq!(named.of_client(&spans).service, "dagger");
    }
}
