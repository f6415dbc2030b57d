//! Builds of every kind, each judged by `dagger trace verify` from three places: a Jaeger v1, a Jaeger v2
//! and the local store. No rule finds anything, and each says the same in all three.
//!
//! Each build is run once. Its spans go to both Jaegers by the exporters of one run (`OTEL_TRACES_EXPORTER`
//! with two names): v1's collector takes thrift, v2 takes OTLP, so both ways are held against each other, too. With
//! several exporters the daemon's spans are sent by us (`--daemon-spans import`). Where the daemon sends them to
//! its one Jaeger by itself, `dagger trace push` takes the trace to the other afterwards.
//!
//! Elsewhere: traces that are not what they should be (`verify_faults`, `rule_faults`).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::engines::{docker, docker_host, path_with, program};
use crate::plans::example;
use crate::support::{Bed, Context, Dagger, Engine, Finished, bed, bed_dir, engines};

/// A kind of build.
struct Kind {
    name: &'static str,
    /// The exit code of the build.
    code: i32,
    /// The rules that have nothing to look at.
    skipped: &'static [&'static str],
    build: fn(&Jaegers, &str) -> Finished,
}

/// Where spans go.
struct Jaegers {
    v1: &'static Bed,
    v2: Bed,
}

const fn good(name: &'static str, build: fn(&Jaegers, &str) -> Finished) -> Kind {
    Kind {
        name,
        code: 0,
        skipped: &[],
        build,
    }
}

const KINDS: &[Kind] = &[
    good("cold", |to, name| {
        to.up(&Context::three_stages(name), Engine::Mute, &[]).run()
    }),
    good("cached", |to, name| {
        let context = Context::three_stages(name);
        to.up(&context, Engine::Mute, &[]).run().expect(0);
        to.up(&context, Engine::Mute, &[]).run()
    }),
    good("half cached", |to, name| {
        let context = Context::three_stages(name);
        to.up(&context, Engine::Mute, &[]).run().expect(0);
        context.write("hello.txt", "hello again\n");
        to.up(&context, Engine::Mute, &[]).run()
    }),
    Kind {
        code: 1,
        ..good("a step failed", |to, name| {
            let context = run(&format!("echo {name}; exit 3"));
            to.up(&context, Engine::Mute, &[]).run()
        })
    },
    Kind {
        code: 1,
        ..good("a file is not there", |to, _| {
            let context = Context::new("FROM scratch\nCOPY nothing /\n");
            to.up(&context, Engine::Mute, &[]).run()
        })
    },
    Kind {
        code: 1,
        ..good("not a Dockerfile", |to, _| {
            let context = Context::new("FROM scratch\nWALK /\n");
            to.up(&context, Engine::Mute, &[]).run()
        })
    },
    Kind {
        code: 130,
        skipped: &["P005"],
        ..good("interrupted", |to, name| {
            let context = run(&format!("echo {name} under $((40 + 2)); sleep 100"));
            to.up(&context, Engine::Mute, &[])
                .interrupted_at("under 42")
        })
    },
    good("two platforms", |to, name| {
        let context = Context::new("FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /f\n")
            .with("amd64", name)
            .with("arm64", name);
        let args = [
            "--platform=linux/amd64,linux/arm64",
            "--output=type=oci,dest=image.tar",
        ];
        to.up(&context, Engine::Mute, &args).run()
    }),
    good("an image with its provenance", |to, name| {
        let context = Context::three_stages(name);
        let args = ["--provenance=true", "--output=type=oci,dest=image.tar"];
        to.up(&context, Engine::Mute, &args).run()
    }),
    good("ten actions", |to, name| {
        to.up(
            &example("monorepo"),
            Engine::Mute,
            &["-w", &format!("release={name}")],
        )
        .run()
    }),
    good("ten actions, cached", |to, name| {
        let (context, with) = (example("monorepo"), format!("release={name}"));
        to.up(&context, Engine::Mute, &["-w", &with])
            .run()
            .expect(0);
        to.up(&context, Engine::Mute, &["-w", &with]).run()
    }),
    Kind {
        code: 1,
        ..good("an action failed, another went on", |to, name| {
            let context = plan(&format!(
                "bad: {{ from: base, run: 'echo {name}; false' }}\n  after: {{ from: bad, run: 'true' }}\n  \
                 good: {{ from: base, run: 'sleep 1; echo {name}', outputs: [{{ local: good }}] }}\n"
            ));
            to.up(&context, Engine::Mute, &["--keep-going"]).run()
        })
    },
    Kind {
        code: 1,
        skipped: &["P005"],
        ..good("an action failed, another was stopped", |to, name| {
            let context = plan(&format!(
                "bad: {{ from: base, run: 'echo {name}; sleep 1; false' }}\n  \
                 long: {{ from: base, run: 'echo {name}; sleep 100', outputs: [{{ local: good }}] }}\n"
            ));
            to.up(&context, Engine::Mute, &[]).run()
        })
    },
    Kind {
        code: 130,
        skipped: &["P005"],
        ..good("a plan interrupted", |to, name| {
            let context = plan(&format!(
                "long: {{ from: base, run: 'echo {name} under $((40 + 2)); sleep 100' }}\n"
            ));
            to.up(&context, Engine::Mute, &[])
                .interrupted_at("under 42")
        })
    },
    good("with a secret", |to, name| {
        let context = run(&format!(
            "--mount=type=secret,id=word test -s /run/secrets/word # {name}"
        ));
        to.up(&context, Engine::Mute, &["--secret", "id=word,env=WORD"])
            .env("WORD", "open sesame")
            .run()
    }),
    good("under another trace", |to, name| {
        to.up(&Context::three_stages(name), Engine::Mute, &[])
            .env(
                "TRACEPARENT",
                "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-01",
            )
            .run()
    }),
    good("tcp", |to, name| {
        to.over(&Context::three_stages(name), &bed().tcp(Engine::Mute))
            .run()
    }),
    good("tls", |to, name| {
        let dir = engines().fact("/buildkitd/tls/tls");
        to.over(
            &Context::three_stages(name),
            &engines().fact("/buildkitd/tls/tcp"),
        )
        .env("BUILDKIT_TLS_CA", &format!("{dir}/ca.pem"))
        .env("BUILDKIT_TLS_CERT", &format!("{dir}/client.pem"))
        .env("BUILDKIT_TLS_KEY", &format!("{dir}/client.key"))
        .env("BUILDKIT_TLS_SERVERNAME", "buildkitd.test")
        .run()
    }),
    good("docker-container", |to, name| {
        let container = "kinds-buildkit";
        let image = "docker.io/moby/buildkit:latest";
        let flags = ["run", "-d", "--privileged", "--network=host", "--name"];
        let started = docker(&[&flags[..], &[container, image]].concat());
        assert!(started.status.success(), "{started:?}");
        let run = to
            .over(
                &Context::three_stages(name),
                &format!("docker-container://{container}"),
            )
            .env("DOCKER_HOST", &docker_host())
            .run();
        docker(&["rm", "--force", container]);
        run
    }),
    good("podman-container", |to, name| {
        let container = engines().fact("/podman/container");
        to.over(
            &Context::three_stages(name),
            &format!("podman-container://{container}"),
        )
        .env("PATH", &path_with(&engines().fact("/podman/bin")))
        .run()
    }),
    good("ssh", |to, name| {
        let socket = bed().unix(Engine::Mute).replace("unix://", "");
        to.over(&Context::three_stages(name), &format!("ssh://bed{socket}"))
            .env("PATH", &path_with(&engines().fact("/sshd/bin")))
            .run()
    }),
    // As in `engines`: no Kubernetes runs here, so its tool is a script before the real daemon.
    good("kube-pod", |to, name| {
        let dir = tempfile::tempdir().expect("a directory");
        let buildctl = bed().program("buildctl");
        // In a pod it has none of our variables; with them it waits for an exporter of its own as it ends.
        let to_daemon = format!(
            "exec env -i {} --addr {} dial-stdio",
            buildctl.display(),
            bed().unix(Engine::Mute)
        );
        program(dir.path(), "kubectl", &to_daemon);
        to.over(&Context::three_stages(name), "kube-pod://builder-0")
            .env("PATH", &path_with(&dir.path().display().to_string()))
            .run()
    }),
    // It makes no spans, and keeps no history.
    Kind {
        skipped: &["D003", "P001", "P002", "P003", "P004", "P005", "T012"],
        ..good("docker", |to, name| {
            to.over(&Context::three_stages(name), "docker://")
                .env("DOCKER_HOST", &docker_host())
                .run()
        })
    },
    good("a daemon that exports over HTTP", |to, name| {
        to.self_exporting(name, Engine::Http)
    }),
    good("a daemon that exports over UDP", |to, name| {
        to.self_exporting(name, Engine::Udp)
    }),
];

/// A build of one step.
fn run(command: &str) -> Context {
    Context::new(&format!(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN {command}\n"
    ))
}

/// A plan with these actions beside its `base`.
fn plan(actions: &str) -> Context {
    let context = example("matrix");
    std::fs::remove_file(context.join("dagger.toml")).expect("its own plan");
    let base = "version: 1\nactions:\n  base: { build: { context: base } }\n  ";
    context.write("dagger.yaml", &format!("{base}{actions}"));
    context
}

impl Jaegers {
    /// `dagger up` that exports to both.
    fn up(&self, context: &Context, engine: Engine, args: &[&str]) -> Dagger {
        let args = [&["--daemon-spans=import"], args].concat();
        // Two exporters on one host would be taken for one Jaeger.
        let otlp = self.v2.fact("/jaeger2/otlp_http_url");
        Dagger::up(context.path(), engine, &args)
            .with_collector()
            .env(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                &otlp.replace("127.0.0.1", "localhost"),
            )
            .env("OTEL_TRACES_EXPORTER", "jaeger,otlp")
    }

    /// The same through the daemon at `host`.
    fn over(&self, context: &Context, host: &str) -> Dagger {
        self.up(context, Engine::Mute, &[])
            .env("BUILDKIT_HOST", host)
    }

    /// A build whose daemon sends its own spans to v1, from where the trace is pushed to v2.
    fn self_exporting(&self, name: &str, engine: Engine) -> Finished {
        let run = Dagger::up(Context::three_stages(name).path(), engine, &[])
            .with_collector()
            .run();
        // By then the daemon has sent its part.
        run.verify(&[]).expect(0);
        let pushed = Dagger::new(Path::new("/"), &["trace", "push", &run.trace()])
            .env("XDG_STATE_HOME", &run.state.path().display().to_string())
            .env(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                &self.v2.fact("/jaeger2/otlp_http_url"),
            )
            .env("JAEGER_QUERY_URL", &self.v2.fact("/jaeger2/query_url"))
            .run();
        // It goes on to say that the daemon's spans wait for v1, where nobody has looked for them yet.
        let went = format!("went to {}", self.v2.fact("/jaeger2/otlp_http_url"));
        assert!(pushed.stdout.contains(&went), "{}", pushed.stderr);
        run
    }

    /// What `verify` says of the run, by where the trace is read.
    fn verdicts(&self, run: &Finished) -> [(&'static str, Verdict); 3] {
        let of_v2 = self.v2.fact("/jaeger2/query_url");
        [
            ("Jaeger v1", vec!["--jaeger-url", &self.v1.query_url()]),
            ("Jaeger v2", vec!["--jaeger-url", &of_v2]),
            ("the local store", vec!["--local"]),
        ]
        .map(|(place, args)| (place, Verdict::of(&run.verify(&args))))
    }
}

/// What is to be the same in all places.
#[derive(Debug, PartialEq)]
struct Verdict {
    code: i32,
    spans: Value,
    services: Value,
    /// Each rule's outcomes, with what was found or why it was not looked for.
    rules: BTreeMap<String, Vec<(String, String)>>,
}

impl Verdict {
    fn of(verified: &Finished) -> Self {
        let report = verified.json();
        let mut rules: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for result in report["results"].as_array().expect("results") {
            let text = |key: &str| result[key].as_str().unwrap_or_default().to_owned();
            let outcome = (text("status"), text("message"));
            rules.entry(text("id")).or_default().push(outcome);
        }
        Self {
            code: verified.code,
            spans: report["trace"]["spans"].clone(),
            services: report["trace"]["services"].clone(),
            rules,
        }
    }

    /// All but what passed.
    fn told(&self) -> String {
        let open = self.rules.iter().filter(|(_, all)| all[0].0 != "pass");
        format!(
            "code {}, {} spans of {}, {:?}",
            self.code,
            self.spans,
            self.services,
            open.collect::<Vec<_>>()
        )
    }

    /// The rules with such an outcome.
    fn with(&self, status: &str) -> Vec<&str> {
        let of = self.rules.iter();
        let with = of.filter(|(_, all)| all.iter().any(|(one, _)| one == status));
        with.map(|(id, _)| id.as_str()).collect()
    }
}

/// What is wrong with a kind of build; nothing if all three places say that nothing is.
fn wrong(kind: &Kind, to: &Jaegers) -> Option<String> {
    let run = (kind.build)(to, &format!("kind-{}", kind.name.replace([' ', ','], "-")));
    if run.code != kind.code {
        return Some(format!("{}: code {}\n{}", kind.name, run.code, run.stderr));
    }
    let verdicts = to.verdicts(&run);
    let [(_, first), ..] = &verdicts;
    let agree = verdicts.iter().all(|(_, verdict)| verdict == first);
    let clean = first.code == 0 && first.with("fail").is_empty() && first.with("warn").is_empty();
    let looked = first.with("skip") == kind.skipped;
    let told = verdicts.map(|(place, verdict)| format!("  {place}: {}", verdict.told()));
    (!agree || !clean || !looked).then(|| format!("{}\n{}", kind.name, told.join("\n")))
}

#[test]
fn each_passes_and_its_verdict_is_the_same_from_three_places() {
    engines();
    let to = Jaegers {
        v1: bed(),
        v2: Bed::up(&bed_dir("-v3"), &["jaeger2"]),
    };
    let wrong: Vec<_> = KINDS.iter().filter_map(|kind| wrong(kind, &to)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(KINDS.len() >= 20);
}

#[test]
fn builds_that_share_their_steps_at_once_pass() {
    let context = Context::three_stages("kinds-at-once");
    let build = |engine| {
        Dagger::up(context.path(), engine, &[])
            .with_collector()
            .spawn()
    };
    let engines = [Engine::Mute, Engine::Http].repeat(5);
    let builds: Vec<_> = engines.into_iter().map(build).collect();
    for build in builds {
        let run = Finished::wait(build).expect(0);
        let places = [&[][..], &["--local"]];
        let [ours, stored] = places.map(|args| Verdict::of(&run.verify(args)));
        assert_eq!(ours, stored);
        assert_eq!(
            (ours.code, ours.with("warn")),
            (0, vec![]),
            "{}",
            ours.told()
        );
        // Each step is in the record of one of the builds.
        let skipped = ours.with("skip");
        assert!(skipped.is_empty() || skipped == ["P004"], "{}", ours.told());
    }
}
