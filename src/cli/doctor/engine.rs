//! Is there an engine, may it be used, is it new enough, does its clock agree? And Docker?

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Check;
use crate::cli::engine::reach;
use crate::engine::managed::{self, State};
use crate::engine::{Connection, EngineError, EngineSettings, Unwatched};

/// Clocks that differ by more make a trace hard to read.
const SKEW: Duration = Duration::from_millis(500);

/// The oldest BuildKit that keeps a history and says its version.
const OLDEST: (u64, u64) = (0, 12);

/// The engine, its version, its clock.
pub(super) async fn check(settings: Arc<EngineSettings>) -> Vec<Check> {
    let begun = Instant::now();
    match reach(settings.clone()).await {
        Ok(connection) => {
            let took = begun.elapsed();
            let mut checks = vec![found(&connection, took), version(&connection)];
            checks.push(clock(&connection).await);
            connection.close().await;
            checks
        }
        Err(error) => {
            let skipped = ["version", "clocks"].map(|name| Check::skipped(name, "no engine"));
            std::iter::once(missing(&settings, &error).await)
                .chain(skipped)
                .collect()
        }
    }
}

fn found(connection: &Connection, took: Duration) -> Check {
    Check::ok(
        "engine",
        format!(
            "{} (from {}), worker {}, {}, answered in {} ms",
            connection.choice.address,
            connection.choice.by,
            connection.daemon.worker,
            connection.daemon.platforms.join(" "),
            took.as_millis()
        ),
    )
}

/// Nothing runs; that is no fault where `dagger up` would start one.
async fn missing(settings: &Arc<EngineSettings>, error: &EngineError) -> Check {
    if matches!(error, EngineError::NoEngine { .. }) {
        let managed = managed::status(settings, Arc::new(Unwatched)).await;
        let startable = managed
            .iter()
            .find(|one| matches!(one.state, State::Absent | State::Stopped));
        if let Some(engine) = startable {
            return Check::ok(
                "engine",
                format!("none runs; `dagger up` will start {}", engine.address),
            );
        }
    }
    let source = std::error::Error::source(error);
    let because = source.map_or_else(String::new, |source| format!(": {source}"));
    Check::broken("engine", format!("{error}{because}"), error.help())
}

fn version(connection: &Connection) -> Check {
    let version = &connection.daemon.version;
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']);
    let mut next = || numbers.next().and_then(|text| text.parse::<u64>().ok());
    let parsed = next().zip(next());
    match parsed {
        Some(numbers) if numbers >= OLDEST => Check::ok("version", format!("buildkitd {version}")),
        Some(_) => Check::warning(
            "version",
            format!("buildkitd {version} is too old to keep a history of builds"),
            format!("update it to v{}.{} or newer", OLDEST.0, OLDEST.1),
        ),
        None => Check::warning(
            "version",
            "this engine does not say its version, so it is old, or Docker's built-in BuildKit",
            "use a buildkitd of your own for whole traces: unset BUILDKIT_HOST, or see docs/engines.md",
        ),
    }
}

async fn clock(connection: &Connection) -> Check {
    let before = SystemTime::now();
    let Ok(Some(theirs)) = connection.client.clock().await else {
        return Check::skipped("clocks", "this engine does not say its time");
    };
    let after = SystemTime::now();
    // Its answer was made between the two: only what lies outside of them is a difference.
    let ahead = theirs.duration_since(after).unwrap_or_default();
    let behind = before.duration_since(theirs).unwrap_or_default();
    let (skew, way) = if ahead > behind {
        (ahead, "ahead of")
    } else {
        (behind, "behind")
    };
    if skew > SKEW {
        return Check::warning(
            "clocks",
            format!("the engine's clock is {} ms {way} ours", skew.as_millis()),
            "let both machines keep their time with NTP",
        );
    }
    Check::ok("clocks", "the engine's clock agrees with ours")
}

/// Docker, which the default order needs.
pub(super) async fn docker(settings: &Arc<EngineSettings>) -> Check {
    let managed = managed::status(settings, Arc::new(Unwatched)).await;
    match managed.iter().find(|one| one.kind == "container") {
        Some(one) if one.state != State::Unavailable => Check::ok(
            "docker",
            format!("answers; {}: {}", one.address, one.detail),
        ),
        Some(one) if settings.address.is_none() => Check::warning(
            "docker",
            one.detail.clone(),
            "without Docker, `dagger up` needs BUILDKIT_HOST or a buildkitd on PATH",
        ),
        Some(one) => Check::skipped("docker", format!("{}; it is not needed here", one.detail)),
        None => Check::skipped("docker", "not looked for"),
    }
}
