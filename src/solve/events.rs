//! From the daemon's status messages to build events: names and times made handy, nothing judged.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::buildkit::FailedSource;
use crate::progress::event::{
    BuildEvent, Group, Log, SourceExcerpt, Vertex, VertexStatus, Warning,
};
use crate::proto::control::StatusResponse;
use prost_types::Timestamp;

/// The events of one message, vertices first, since the others refer to them.
pub fn from_status(message: StatusResponse) -> Vec<BuildEvent> {
    let vertices = message.vertexes.into_iter().map(|vertex| {
        BuildEvent::Vertex(Vertex {
            digest: vertex.digest.into(),
            inputs: vertex.inputs.into_iter().map(Arc::from).collect(),
            name: vertex.name,
            cached: vertex.cached,
            started: vertex.started.and_then(time),
            completed: vertex.completed.and_then(time),
            error: Some(vertex.error).filter(|error| !error.is_empty()),
            group: vertex.progress_group.map(|group| Group {
                id: group.id,
                name: group.name,
                weak: group.weak,
            }),
        })
    });
    let statuses = message.statuses.into_iter().map(|status| {
        BuildEvent::Status(VertexStatus {
            id: status.id,
            vertex: status.vertex.into(),
            current: status.current,
            total: status.total,
            at: status.timestamp.and_then(time),
            started: status.started.and_then(time),
            completed: status.completed.and_then(time),
        })
    });
    let logs = message.logs.into_iter().map(|log| {
        BuildEvent::Log(Log {
            vertex: log.vertex.into(),
            stream: log.stream,
            data: log.msg,
            at: log.timestamp.and_then(time),
        })
    });
    let warnings = message.warnings.into_iter().map(|warning| {
        let source = warning.info.map(|info| SourceExcerpt {
            filename: info.filename,
            text: text(&info.data),
            lines: warning
                .ranges
                .iter()
                .map(|range| (line(range.start), line(range.end).max(line(range.start))))
                .collect(),
        });
        BuildEvent::Warning(Warning {
            vertex: warning.vertex.into(),
            level: warning.level,
            short: text(&warning.short),
            detail: warning.detail.iter().map(|detail| text(detail)).collect(),
            url: warning.url,
            source,
        })
    });
    vertices
        .chain(statuses)
        .chain(logs)
        .chain(warnings)
        .collect()
}

/// A failure's place in the source, as the renderers take it.
pub(super) fn excerpt(source: &FailedSource) -> SourceExcerpt {
    SourceExcerpt {
        filename: source.filename.clone(),
        text: source.text.clone(),
        lines: source.lines.clone(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn line(position: Option<crate::proto::pb::Position>) -> u32 {
    position
        .and_then(|position| u32::try_from(position.line).ok())
        .unwrap_or(0)
}

/// The end of the year 9999, in seconds since the epoch: later times are no times.
const LAST_SECOND: u64 = 253_402_300_799;

/// The daemon's time; `None` if it is before the epoch or absurd.
fn time(stamp: Timestamp) -> Option<SystemTime> {
    let seconds = u64::try_from(stamp.seconds)
        .ok()
        .filter(|seconds| *seconds <= LAST_SECOND)?;
    let nanos = u32::try_from(stamp.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_times_are_absent() {
        for (seconds, nanos) in [(-1, 0), (0, -1), (0, 1_000_000_000), (i64::MAX, 0)] {
            assert_eq!(
                time(Timestamp { seconds, nanos }),
                None,
                "{seconds} {nanos}"
            );
        }
        let fine = time(Timestamp {
            seconds: 1,
            nanos: 5,
        })
        .unwrap();
        assert_eq!(
            fine.duration_since(SystemTime::UNIX_EPOCH).unwrap(),
            Duration::new(1, 5)
        );
    }
}
