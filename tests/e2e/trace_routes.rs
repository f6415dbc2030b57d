//! Several ways out at once: the same spans by each, and each is reported by itself.

use std::collections::BTreeSet;

use dagger::trace::report::{Route, RunRecord};
use dagger::trace::store::{RunFilter, Store};

use crate::support::{Bed, Context, Dagger, Engine, Finished, bed, bed_dir, span_ids, span_ids_of};

fn record(run: &Finished) -> RunRecord {
    let store = Store::open_existing(&run.state.path().join("dagger"));
    let mut runs = store.unwrap().unwrap().runs(&RunFilter::default()).unwrap();
    runs.remove(0).record.unwrap()
}

/// A second Jaeger, whose receiver is named by another host than the first's.
fn other() -> (Bed, String) {
    let other = Bed::up(&bed_dir("-routes"), &["jaeger"]);
    let otlp = other.otlp_http().replace("127.0.0.1", "localhost");
    (other, otlp)
}

#[test]
fn a_list_of_exporters_sends_the_same_spans_to_each() {
    let context = Context::three_stages("routes");
    let (other, otlp) = other();
    let up = |otlp: &str| {
        Dagger::up(context.path(), Engine::Mute, &[])
            .with_collector()
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", otlp)
            .env("OTEL_TRACES_EXPORTER", "jaeger,otlp")
    };
    let run = up(&otlp).run().expect(0);
    let export = record(&run).export;
    let routes: Vec<_> = export.routes.iter().map(|route| route.route).collect();
    assert_eq!(routes, [Route::Collector, Route::Otlp]);
    assert!(export.clean(), "{export:?}");
    let (here, there) = (
        span_ids(&run.trace()),
        span_ids_of(&other.query_url(), &run.trace()),
    );
    for ids in [&here, &there] {
        assert_eq!(ids.len(), export.total());
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }

    // One of them is dead: the other has all, and only the dead one's spans wait.
    let run = up("http://localhost:1").run().expect(0);
    let export = record(&run).export;
    assert_eq!(export.routes[0].lost, Vec::<String>::new());
    assert_eq!(export.routes[1].spooled, export.total() as u64);
    assert_eq!(span_ids(&run.trace()).len(), export.total());
    Dagger::new(context.path(), &["trace", "push", "--all"])
        .env("XDG_STATE_HOME", &run.state.path().display().to_string())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &otlp)
        .env("JAEGER_QUERY_URL", &other.query_url())
        .run()
        .expect(0);
    assert_eq!(
        span_ids_of(&other.query_url(), &run.trace()).len(),
        export.total()
    );
    assert_eq!(span_ids(&run.trace()).len(), export.total());
}

#[test]
fn all_variables_at_once_are_one_way_and_one_host_is_one_jaeger() {
    let context = Context::three_stages("routes-one");
    let up = || {
        Dagger::up(context.path(), Engine::Mute, &[])
            .with_collector()
            .with_agent()
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &bed().otlp_http())
    };
    for (run, warned) in [
        (up(), false),
        (up().env("OTEL_TRACES_EXPORTER", "jaeger,otlp"), true),
    ] {
        let run = run.run().expect(0);
        assert_eq!(
            run.stderr.contains("is on the same host"),
            warned,
            "{}",
            run.stderr
        );
        let export = record(&run).export;
        assert_eq!(export.routes.len(), 1);
        assert_eq!(export.routes[0].route, Route::Collector);
        let found = span_ids(&run.trace());
        assert_eq!(found.len(), export.total());
    }
}
