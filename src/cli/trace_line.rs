//! The line at the end of a traced command: the trace, where it went, and how to check it.

use std::io::{self, Write};

use crate::trace::jaeger::{DEFAULT_QUERY_URL, QueryUrl};
use crate::trace::report::{Route, RunRecord};

/// Writes the line, and one warning if spans were lost.
///
/// # Errors
/// When `out` cannot be written.
pub(super) fn print(
    out: &mut dyn Write,
    record: &RunRecord,
    quiet: bool,
    json: bool,
    colour: bool,
) -> io::Result<()> {
    let lost = losses(record);
    if json {
        let line = serde_json::json!({
            "type": "trace",
            "trace": record.trace,
            "spans": record.export.total(),
            "daemon": record.export.daemon,
            "routes": record.export.routes,
            "spool": record.export.spool,
            "lost": lost,
        });
        return writeln!(out, "{line}");
    }
    if let Some(lost) = lost {
        let (yellow, off) = if colour {
            ("\x1b[1;33m", "\x1b[0m")
        } else {
            ("", "")
        };
        writeln!(out, "{yellow}warning:{off} {lost}")?;
    }
    if quiet {
        return Ok(());
    }
    if let Some(delivered) = record.export.spool.as_ref().map(|spool| spool.delivered)
        && delivered > 0
    {
        writeln!(
            out,
            "{delivered} spans of earlier runs that had waited were delivered"
        )?;
    }
    let trace = &record.trace;
    let spans = record.export.total();
    let ways: Vec<_> = record
        .export
        .routes
        .iter()
        .map(|route| {
            let verb = match route.route {
                Route::Collector | Route::Otlp => "accepted by",
                Route::Agent => "sent to",
            };
            format!(
                "{} of {spans} spans {verb} {}",
                route.delivered, route.address
            )
        })
        .collect();
    if record.export.unsampled {
        writeln!(
            out,
            "trace {trace}: {spans} spans, sent nowhere: it is not sampled; OTEL_TRACES_SAMPLER=always_on sends it"
        )
    } else if ways.is_empty() {
        writeln!(
            out,
            "trace {trace}: {spans} spans, sent nowhere; OTEL_EXPORTER_JAEGER_ENDPOINT or JAEGER_TRACE sends them to Jaeger"
        )
    } else {
        writeln!(
            out,
            "trace {trace}: {}\n      check it with `dagger trace verify {trace}`",
            ways.join(", ")
        )?;
        match link(record) {
            Some(link) => writeln!(out, "      {link}"),
            None => Ok(()),
        }
    }
}

/// The trace in one line of Markdown, with a link if Jaeger's address is known.
pub(super) fn markdown(record: &RunRecord) -> String {
    let (trace, command) = (&record.trace, &record.command);
    let name = match link(record) {
        Some(link) => format!("[`{trace}`]({link})"),
        None => format!("`{trace}`"),
    };
    let ended = if record.exit_code == 0 {
        "done"
    } else {
        "failed"
    };
    let spans = record.export.total();
    format!(
        "`dagger {command}` {ended} (exit code {}): trace {name}, {spans} spans",
        record.exit_code
    )
}

/// Where a Jaeger on this machine takes spans, unless told otherwise: its page is at the usual port, too.
const USUAL: [&str; 6] = [
    "http://localhost:14268/",
    "http://127.0.0.1:14268/",
    "udp://localhost:6831",
    "udp://127.0.0.1:6831",
    "http://localhost:4318/",
    "http://127.0.0.1:4318/",
];

/// The trace in Jaeger's UI, if it went anywhere and it is known where that is: by `JAEGER_QUERY_URL`, or by
/// Jaeger's usual ports on this machine.
fn link(record: &RunRecord) -> Option<String> {
    let mut sent = record.export.routes.iter();
    let sent = sent.find(|route| route.delivered > 0)?;
    let usual = USUAL.iter().any(|usual| sent.address.starts_with(usual));
    let usual = usual.then_some(DEFAULT_QUERY_URL);
    let url: QueryUrl = record.query_url.as_deref().or(usual)?.parse().ok()?;
    Some(url.page(record.trace.parse().ok()?))
}

/// What was lost, in one line.
fn losses(record: &RunRecord) -> Option<String> {
    let export = &record.export;
    let unread = export
        .daemon
        .as_ref()
        .and_then(|daemon| daemon.error.as_ref());
    if export.clean() && unread.is_none() {
        return None;
    }
    let mut parts = Vec::new();
    if let Some(why) = unread {
        parts.push(format!("the daemon's own spans could not be read: {why}"));
    }
    for route in &export.routes {
        if !route.lost.is_empty() || route.error.is_some() {
            let why = route.error.as_deref().unwrap_or("not sent in time");
            let kept = match route.spooled {
                0 => String::new(),
                spans if spans as usize == route.lost.len() => {
                    "; they wait for the next run or `dagger trace push`".to_owned()
                }
                spans => format!("; {spans} wait for the next run or `dagger trace push`"),
            };
            parts.push(format!(
                "{} of {} spans did not reach {}: {why}{kept}",
                route.lost.len(),
                export.total(),
                route.address
            ));
        }
    }
    if !export.dropped.is_empty() {
        parts.push(format!(
            "{} spans found the exporter's queue full",
            export.dropped.len()
        ));
    }
    if !export.unfinished.is_empty() {
        parts.push(format!("{} spans had not ended", export.unfinished.len()));
    }
    Some(parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::report::{ExportReport, RouteReport};

    fn record(routes: Vec<RouteReport>) -> RunRecord {
        RunRecord {
            schema: 1,
            trace: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
            root: "00f067aa0ba902b7".into(),
            remote_parent: None,
            service: "dagger".into(),
            command: "up".into(),
            directory: "/p".into(),
            started_ms: 0,
            exit_code: 0,
            query_url: None,
            secrets: Vec::new(),
            export: ExportReport {
                spans: vec!["1".into(), "2".into()],
                routes,
                ..ExportReport::default()
            },
        }
    }

    fn route(route: Route, delivered: u64, lost: &[&str], error: Option<&str>) -> RouteReport {
        RouteReport {
            route,
            address: "http://localhost:14268/api/traces".into(),
            delivered,
            lost: lost.iter().map(|id| (*id).into()).collect(),
            spooled: 0,
            error: error.map(Into::into),
        }
    }

    fn printed(routes: Vec<RouteReport>) -> String {
        let mut out = Vec::new();
        print(&mut out, &record(routes), false, false, false).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_ending_has_its_line() {
        insta::assert_snapshot!(
            [
                printed(vec![]),
                printed(vec![route(Route::Collector, 2, &[], None)]),
                printed(vec![route(Route::Agent, 2, &[], None)]),
                printed(vec![route(
                    Route::Collector,
                    0,
                    &["1", "2"],
                    Some("connection refused")
                )]),
            ]
            .concat()
        );
    }

    #[test]
    fn the_link_leads_to_where_the_page_is_known_to_be() {
        let mut sent = record(vec![route(Route::Collector, 2, &[], None)]);
        let page = "http://localhost:16686/trace/4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(link(&sent).as_deref(), Some(page));
        sent.query_url = Some("https://jaeger/ui".into());
        assert!(link(&sent).is_some_and(|link| link.starts_with("https://jaeger/ui/trace/")));
        sent.query_url = None;
        sent.export.routes[0].address = "http://jaeger:14268/api/traces".into();
        assert_eq!(link(&sent), None);
        let lost = route(Route::Collector, 0, &["1", "2"], Some("HTTP 500"));
        assert_eq!(link(&record(vec![lost])), None);
    }

    #[test]
    fn quiet_still_warns() {
        let mut out = Vec::new();
        let lost = record(vec![route(Route::Collector, 1, &["2"], Some("HTTP 500"))]);
        print(&mut out, &lost, true, false, false).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "warning: 1 of 2 spans did not reach http://localhost:14268/api/traces: HTTP 500\n"
        );
    }
}
