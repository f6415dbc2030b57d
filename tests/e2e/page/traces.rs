//! Traces for the page: shaped like the real ones, with all that can happen to a span.

use std::sync::Arc;

use dagger::trace::model::{
    Attributes, Event, Kind, Resource, Span, SpanId, Status, TraceId, Value,
};

/// Start of the traces, in nanoseconds since the epoch.
const BEGAN_NS: u64 = 1_795_497_451_000_000_000;

pub(super) struct Build {
    trace: TraceId,
    spans: Vec<Span>,
    dagger: Arc<Resource>,
    buildkitd: Arc<Resource>,
}

/// What becomes of a step.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum End {
    Ran,
    Cached,
    Failed,
    Cancelled,
}

impl Build {
    pub(super) fn new(trace: u128) -> Self {
        let process = |service: &str, version: &str| {
            Arc::new(Resource {
                service: service.into(),
                attributes: vec![
                    text("service.version", version),
                    text("host.name", "build-7"),
                    text("telemetry.sdk.name", "opentelemetry"),
                ],
            })
        };
        Self {
            trace: TraceId(trace),
            spans: Vec::new(),
            dagger: process("dagger", "0.1.0"),
            buildkitd: process("buildkitd", "v0.34.2"),
        }
    }

    /// Adds a span, from one millisecond to another, and gives its number.
    pub(super) fn span(&mut self, under: usize, name: &str, from: u64, to: u64) -> usize {
        let id = self.spans.len() as u64 + 1;
        self.spans.push(Span {
            trace: self.trace,
            id: SpanId(id),
            parent: (under > 0).then_some(SpanId(under as u64)),
            name: name.into(),
            kind: Kind::Internal,
            start_ns: BEGAN_NS + from * 1_000_000,
            end_ns: BEGAN_NS + to * 1_000_000,
            status: Status::Unset,
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            resource: Arc::clone(&self.dagger),
        });
        self.spans.len()
    }

    pub(super) fn last(&mut self) -> &mut Span {
        self.spans.last_mut().expect("a span")
    }

    pub(super) fn set(&mut self, attributes: Attributes) {
        self.last().attributes.extend(attributes);
    }

    /// The last span is that of an action.
    fn action(&mut self, name: &str, kind: &str, needs: &str) {
        self.set(vec![
            text("dagger.action", name),
            text("dagger.action.kind", kind),
            text("dagger.action.needs", needs),
        ]);
    }

    pub(super) fn daemon(&mut self, under: usize, name: &str, from: u64, to: u64) -> usize {
        let number = self.span(under, name, from, to);
        self.last().resource = Arc::clone(&self.buildkitd);
        number
    }

    pub(super) fn call(&mut self, under: usize, name: &str, from: u64, to: u64) -> usize {
        let client = self.span(under, name, from, to);
        self.last().kind = Kind::Client;
        self.set(vec![text("rpc.system", "grpc"), text("rpc.method", name)]);
        let server = self.daemon(client, name, from + 1, to.saturating_sub(1).max(from + 1));
        self.last().kind = Kind::Server;
        server
    }

    pub(super) fn step(
        &mut self,
        under: usize,
        name: &str,
        times: (u64, u64),
        end: End,
        lines: &[&str],
    ) -> usize {
        let number = self.span(under, name, times.0, times.1);
        let digest = name
            .bytes()
            .fold(14_695_981_039_346_656_037_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211)
            });
        self.set(vec![
            text(
                "vertex",
                &format!(
                    "sha256:{0:016x}{1:016x}{0:016x}{1:016x}",
                    digest,
                    digest.rotate_left(29)
                ),
            ),
            ("buildkit.cached".into(), Value::Bool(end == End::Cached)),
        ]);
        let span = self.last();
        let step = (span.end_ns - span.start_ns) / (lines.len() as u64 + 1);
        for (number, line) in (1..).zip(lines) {
            span.events.push(Event {
                name: "output".into(),
                at_ns: span.start_ns + step * number,
                attributes: vec![text("message", line)],
            });
        }
        match end {
            End::Failed => {
                let why =
                    "process \"/bin/sh -c make test\" did not complete successfully: exit code: 2";
                span.status = Status::Error(why.into());
            }
            End::Cancelled => span
                .attributes
                .push(("dagger.cancelled".into(), Value::Bool(true))),
            End::Ran | End::Cached => {}
        }
        number
    }

    pub(super) fn fail(&mut self, number: usize, why: &str) {
        self.spans[number - 1].status = Status::Error(why.into());
    }

    /// Gives each `solve` the counts of its steps.
    pub(super) fn done(mut self) -> Vec<Span> {
        for place in 0..self.spans.len() {
            if self.spans[place].name != "solve" {
                continue;
            }
            let id = self.spans[place].id;
            let steps = self.spans.iter().filter(|span| span.parent == Some(id));
            let steps: Vec<&Span> = steps
                .filter(|span| span.attribute("vertex").is_some())
                .collect();
            let count = |fits: &dyn Fn(&Span) -> bool| {
                let count = steps.iter().filter(|span| fits(span)).count();
                Value::Int(i64::try_from(count).expect("few"))
            };
            let counts = [
                ("buildkit.steps.total", count(&|_| true)),
                (
                    "buildkit.steps.cached",
                    count(&|span| span.flag("buildkit.cached") == Some(true)),
                ),
                ("buildkit.steps.failed", count(&Span::is_error)),
            ];
            let counts = counts.map(|(key, value)| (key.to_owned(), value));
            self.spans[place].attributes.extend(counts);
        }
        self.spans
    }
}

pub(super) fn text(key: &str, value: &str) -> (String, Value) {
    (key.into(), Value::Str(value.into()))
}

/// A build of three actions: cached steps, a failed one with its output, cancelled ones.
/// `slower` is added to one step's duration, in milliseconds.
pub(super) fn build(trace: u128, fails: bool, cached: bool, slower: u64) -> Vec<Span> {
    let mut build = Build::new(trace);
    let end = 9_400 + slower;
    let root = build.span(0, "dagger up", 0, end);
    build.set(vec![
        text("dagger.version", "0.1.0"),
        text("dagger.args", "up --export type=local,dest=out"),
        ("dagger.exit_code".into(), Value::Int(i64::from(fails))),
    ]);
    build.span(root, "load plan", 2, 31);
    build.set(vec![
        text("dagger.plan", "dagger.yaml"),
        ("dagger.actions".into(), Value::Int(3)),
    ]);
    let connect = build.span(root, "connect", 32, 214);
    build.set(vec![
        text("buildkit.address", "unix:///run/buildkit/buildkitd.sock"),
        text("buildkit.version", "v0.34.2"),
    ]);
    build.call(connect, "moby.buildkit.v1.Control/Info", 120, 141);
    build.call(connect, "moby.buildkit.v1.Control/ListWorkers", 145, 190);
    let compile = build.span(root, "action compile", 216, 6_900 + slower);
    build.action("compile", "build", "");
    let solve = build.span(compile, "solve", 220, 6_890 + slower);
    build.set(vec![
        text("buildkit.ref", "k2v9xq6bm3w1"),
        text("buildkit.frontend", "dockerfile.v0"),
    ]);
    let served = build.call(solve, "moby.buildkit.v1.Control/Solve", 224, 6_885 + slower);
    let sync = build.daemon(served, "load build definition from Dockerfile", 240, 420);
    build.span(sync, "moby.filesync.v1.FileSync/DiffCopy", 255, 402);
    build.last().kind = Kind::Server;
    build.set(vec![
        text("dagger.dir", "dockerfile"),
        ("dagger.files".into(), Value::Int(1)),
        ("dagger.bytes".into(), Value::Int(1_204)),
    ]);
    let context = build.daemon(served, "load build context", 430, 1_120);
    build.span(context, "moby.filesync.v1.FileSync/DiffCopy", 440, 1_090);
    build.last().kind = Kind::Server;
    build.set(vec![
        text("dagger.dir", "context"),
        ("dagger.files".into(), Value::Int(412)),
        ("dagger.bytes".into(), Value::Int(18_442_112)),
    ]);
    let warm = if cached { End::Cached } else { End::Ran };
    build.step(
        solve,
        "[internal] load build definition from Dockerfile",
        (238, 424),
        End::Ran,
        &["transferring dockerfile: 1.20kB done"],
    );
    build.step(
        solve,
        "[internal] load .dockerignore",
        (428, 470),
        End::Ran,
        &[],
    );
    build.step(
        solve,
        "[base 1/3] FROM docker.io/library/rust:1.95-slim",
        (480, if cached { 496 } else { 1_650 }),
        warm,
        &[],
    );
    build.step(
        solve,
        "[internal] load build context",
        (470, 1_125),
        End::Ran,
        &["transferring context: 18.44MB done"],
    );
    build.step(
        solve,
        "[base 2/3] RUN apt-get update && apt-get install -y protobuf-compiler",
        (1_130, if cached { 1_142 } else { 3_020 }),
        warm,
        &[],
    );
    build.step(
        solve,
        "[base 3/3] COPY Cargo.toml Cargo.lock ./",
        (3_030, 3_090),
        warm,
        &[],
    );
    build.step(
        solve,
        "[build 1/2] RUN cargo fetch --locked",
        (3_095, 4_300),
        End::Ran,
        &[
            "    Updating crates.io index",
            " Downloading crates ...",
            "  Downloaded 214 crates (18.1 MB) in 0.98s",
        ],
    );
    build.daemon(
        served,
        "cache request: [build 1/2] RUN cargo fetch --locked",
        3_091,
        3_094,
    );
    build.step(
        solve,
        "[build 2/2] RUN cargo build --release --locked",
        (4_310, 6_860 + slower),
        End::Ran,
        &[
            "   Compiling libc v0.2.177",
            "   Compiling serde v1.0.228",
            "   Compiling tokio v1.48.0",
            "   Compiling dagger v0.1.0 (/src)",
            "    Finished `release` profile [optimized] target(s) in 2.51s",
        ],
    );
    build.daemon(
        served,
        "process: /bin/sh -c cargo build --release --locked",
        4_330,
        6_850 + slower,
    );
    let lint = build.span(root, "action lint", 216, 4_100);
    build.action("lint", "run", "");
    let solve = build.span(lint, "solve", 221, 4_095);
    build.call(solve, "moby.buildkit.v1.Control/Solve", 225, 4_090);
    build.step(
        solve,
        "[lint 1/1] RUN cargo clippy --all-targets",
        (2_000, 4_080),
        End::Ran,
        &["    Checking dagger v0.1.0 (/src)"],
    );
    let test = build.span(root, "action test", 6_902 + slower, end - 60);
    build.action("test", "run", "compile");
    let solve = build.span(test, "solve", 6_906 + slower, end - 66);
    build.call(
        solve,
        "moby.buildkit.v1.Control/Solve",
        6_910 + slower,
        end - 70,
    );
    let ends = if fails { End::Failed } else { End::Ran };
    let unit = build.step(
        solve,
        "[test 1/2] RUN make test",
        (6_920 + slower, end - 80),
        ends,
        &[
            "running 214 tests",
            "test engine::address::parses_every_scheme ... ok",
            "test verify::rules::orphans ... \u{1b}[31mFAILED\u{1b}[0m",
            "thread 'verify::rules::orphans' panicked at src/verify/rules.rs:88:9",
            "  left: [\"T003\"]",
            " right: []",
            "test result: FAILED. 213 passed; 1 failed",
            "make: *** [Makefile:31: test] Error 101",
        ],
    );
    let other = if fails { End::Cancelled } else { End::Ran };
    build.step(
        solve,
        "[test 2/2] RUN make integration-test",
        (6_925 + slower, end - 78),
        other,
        &["bringing up the test bed"],
    );
    if fails {
        let why = "process \"/bin/sh -c make test\" did not complete successfully: exit code: 2";
        for number in [unit, solve, test, root] {
            build.fail(number, why);
        }
    } else {
        build.span(test, "export image", end - 64, end - 61);
        build.set(vec![text("dagger.export.type", "oci")]);
    }
    build.done()
}

/// The same build with a span lost: what hung under it names a parent that is not there.
pub(super) fn broken(trace: u128) -> Vec<Span> {
    let mut spans = build(trace, false, true, 0);
    let lost = spans
        .iter()
        .position(|span| span.name == "load build context");
    spans.remove(lost.expect("the span"));
    spans
}

/// Names, values and output that would be scripts if they were markup.
pub(super) fn hostile(trace: u128) -> Vec<Span> {
    let bait = [
        "<img src=x onerror=\"window.hit=1\">",
        "<script>window.hit=1</script>",
        "</script><script>window.hit=1</script>",
        "\"><svg onload=window.hit=1>",
        "javascript:window.hit=1",
        "{{constructor.constructor('window.hit=1')()}}",
        "\u{202e}gnp.exe\u{202c} \u{0} \u{7} ]]> <!-- ",
    ];
    let mut build = Build::new(trace);
    let root = build.span(0, bait[0], 0, 100);
    for (place, text_of) in (0..).zip(bait) {
        build.step(
            root,
            text_of,
            (place * 10, place * 10 + 9),
            End::Failed,
            &[text_of, text_of],
        );
        build.fail(2 + place as usize, text_of);
        build.set(vec![text(text_of, text_of)]);
        let span = build.last();
        span.resource = Arc::new(Resource {
            service: text_of.into(),
            attributes: vec![text("host.name", text_of)],
        });
        span.events.push(Event {
            name: text_of.into(),
            at_ns: span.start_ns,
            attributes: vec![text(text_of, text_of)],
        });
    }
    build.done()
}

/// As many spans as asked, in a tree of a few levels.
pub(super) fn big(trace: u128, size: usize) -> Vec<Span> {
    let mut build = Build::new(trace);
    let length = size as u64 * 4;
    let root = build.span(0, "dagger up", 0, length);
    let mut group = root;
    for number in 1..size {
        let at = number as u64 * 4;
        if number % 50 == 1 {
            group = build.span(
                root,
                &format!("action {}", number / 50),
                at,
                (at + 210).min(length),
            );
        } else if number % 7 == 0 {
            let end = if number % 70 == 0 {
                End::Cached
            } else {
                End::Ran
            };
            build.step(
                group,
                &format!("[stage {}/9] RUN make part-{number}", number % 9),
                (at, at + 40),
                end,
                &["one line"],
            );
        } else {
            build.daemon(group, "snapshot.Mount", at, at + 30);
            build.set(vec![
                text("snapshot.key", &format!("key-{number}")),
                ("try".into(), Value::Int(1)),
            ]);
        }
    }
    build.done()
}
