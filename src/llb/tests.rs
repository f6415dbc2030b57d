//! Every graph of the table has the digests that Go's client gives it; see
//! `tests/fixtures/llb/README.md`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
struct Graph {
    name: String,
    ops: Vec<Op>,
}

#[derive(Debug, Deserialize)]
struct Op {
    digest: String,
    bytes: String,
    caps: Vec<String>,
}

fn amd64() -> Platform {
    Platform::parse("linux/amd64").unwrap()
}

fn image(name: &str) -> State {
    Source::image(&format!("docker.io/library/{name}")).state(&amd64())
}

fn base() -> State {
    image("alpine:3.20")
}

fn busy() -> State {
    image("busybox:latest")
}

fn local() -> State {
    Source::local("src", &Local::default(), "unique").state(&amd64())
}

fn exec(args: &[&str]) -> Exec {
    Exec {
        args: strings(args),
        cwd: "/".into(),
        ..Exec::default()
    }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn run(exec: Exec) -> State {
    exec.run(&base(), &amd64()).root()
}

fn with_mounts(mounts: Vec<Mount>) -> Executed {
    let exec = Exec {
        mounts,
        ..exec(&["true"])
    };
    exec.run(&base(), &amd64())
}

fn on(base: &State) -> File {
    File::on(base, "/")
}

fn id(user: u32, group: u32) -> Option<Owner> {
    Some(Owner {
        user: Some(User::Id(user)),
        group: Some(User::Id(group)),
    })
}

const TIME: i64 = 1_700_000_000_000_000_005;

/// The same graphs as the generator's.
fn ours(name: &str) -> Option<State> {
    let scratch = State::scratch();
    Some(match name {
        "image" => base(),
        "image-options" => {
            let reference = format!("example.org/team/app@sha256:{}", "a".repeat(64));
            Source::image_pulled(&reference).state(&amd64())
        }
        "image-platform" => Source::image("docker.io/library/alpine:3.20")
            .state(&Platform::parse("linux/arm64").unwrap()),
        "local" => local(),
        "local-options" => {
            let local = Local {
                include: strings(&["a/*", "b"]),
                exclude: strings(&["**/*.o", "<&>"]),
                follow: strings(&["a"]),
                shared_key: "hint".into(),
            };
            Source::local("src", &local, "unique").state(&amd64())
        }
        "git" => Source::git("https://example.org/a/b.git", "main", false, None).state(&amd64()),
        "git-options" => Source::git("https://example.org/a/b.git", "v1:sub", true, Some("token"))
            .state(&amd64()),
        "http" => Source::http("https://example.org/file.tar", &Http::default()).state(&amd64()),
        "http-options" => {
            let http = Http {
                checksum: Some(format!("sha256:{}", "b".repeat(64))),
                filename: Some("f.tar".into()),
                mode: Some(0o600),
                uid: 1,
                gid: 2,
            };
            Source::http("https://example.org/file.tar", &http).state(&amd64())
        }
        "oci-layout" => {
            let reference = format!("store/name@sha256:{}", "c".repeat(64));
            Source::oci_layout(&reference, "store").state(&amd64())
        }
        "exec" => run(Exec {
            cwd: "/src".into(),
            ..exec(&["make", "all"])
        }),
        "exec-meta" => run(Exec {
            cwd: "/w".into(),
            env: strings(&["A=1", "B=2"]),
            user: "nobody".into(),
            hostname: "box".into(),
            extra_hosts: vec![("db".into(), "10.0.0.1".into())],
            ulimits: vec![("nofile".into(), 10, 20)],
            cgroup_parent: "grp".into(),
            valid_exit_codes: vec![0, 3],
            ..exec(&["sh", "-c", "id"])
        }),
        "exec-network-none" => run(Exec {
            network: Network::None,
            ..exec(&["true"])
        }),
        "exec-network-host" => run(Exec {
            network: Network::Host,
            ..exec(&["true"])
        }),
        "exec-insecure" => run(Exec {
            insecure: true,
            ..exec(&["true"])
        }),
        "exec-proxy" => run(Exec {
            proxy: Some(["a", "b", "c", "d", "e"].map(str::to_owned)),
            ..exec(&["true"])
        }),
        "exec-readonly-root" => Exec {
            readonly_root: true,
            mounts: vec![Mount::writable("/out", scratch)],
            ..exec(&["true"])
        }
        .run(&base(), &amd64())
        .output("/out")?,
        "exec-bind" => Exec {
            mounts: vec![
                Mount::readonly("/in", local()).selecting("/sub"),
                Mount::writable("/out", busy()),
            ],
            ..exec(&["cp", "-r", "/in", "/out"])
        }
        .run(&base(), &amd64())
        .output("/out")?,
        "exec-bind-before-root" => with_mounts(vec![Mount::writable("", busy())]).root(),
        "exec-mount-same-input" => with_mounts(vec![
            Mount::readonly("/again", base()),
            Mount::discarded("/none", base()),
        ])
        .root(),
        "exec-cache" => with_mounts(vec![
            Mount::cache("/c/shared", scratch.clone(), "one", Sharing::Shared),
            Mount::cache("/c/private", scratch, "two", Sharing::Private),
            Mount::cache("/c/locked", busy(), "three", Sharing::Locked).selecting("/d"),
        ])
        .root(),
        "exec-tmpfs" => with_mounts(vec![Mount::tmpfs("/t", 0), Mount::tmpfs("/u", 4096)]).root(),
        "exec-secret" => run(Exec {
            secrets: vec![
                Secret {
                    id: "a".into(),
                    target: Some("/run/secrets/a".into()),
                    mode: 0o400,
                    ..Secret::default()
                },
                Secret {
                    id: "b".into(),
                    target: Some("/b".into()),
                    uid: 1,
                    gid: 2,
                    mode: 0o440,
                    optional: true,
                    ..Secret::default()
                },
            ],
            ..exec(&["true"])
        }),
        "exec-secret-env" => run(Exec {
            secrets: vec![
                Secret {
                    id: "a".into(),
                    env: Some("TOKEN".into()),
                    ..Secret::default()
                },
                Secret {
                    id: "b".into(),
                    env: Some("OTHER".into()),
                    optional: true,
                    ..Secret::default()
                },
            ],
            ..exec(&["true"])
        }),
        "exec-ssh" => run(Exec {
            ssh: vec![
                Ssh {
                    id: "default".into(),
                    mode: 0o600,
                    ..Ssh::default()
                },
                Ssh {
                    id: "k".into(),
                    target: Some("/agent".into()),
                    uid: 1,
                    gid: 2,
                    mode: 0o666,
                    optional: true,
                },
            ],
            ..exec(&["true"])
        }),
        "exec-chain" => exec(&["two"]).run(&run(exec(&["one"])), &amd64()).root(),
        "exec-second-output" => {
            let done = Exec {
                mounts: vec![Mount::writable("/out", scratch)],
                ..exec(&["one"])
            }
            .run(&base(), &amd64());
            on(&done.output("/out")?)
                .copy(&done.root(), "/etc", "/", Copy::default())
                .state()
        }
        "exec-scratch-root" => exec(&["/x"]).run(&scratch, &amd64()).root(),
        "exec-arm64" => {
            let arm = Platform::parse("linux/arm64").unwrap();
            let base = Source::image("docker.io/library/alpine:3.20").state(&arm);
            exec(&["true"]).run(&base, &arm).root()
        }
        "file-mkfile" => on(&scratch)
            .mkfile("/a", 0o644, b"hello\n", None, None)
            .state(),
        "file-mkfile-options" => on(&base())
            .mkfile("a/../b", 0o7755, &[0, 255], id(3, 4), Some(TIME))
            .state(),
        "file-mkdir" => on(&base())
            .mkdir("/d/e", 0o755, true, Some(Owner::parse("app:staff")))
            .state(),
        "file-mkdir-user-alone" => on(&base())
            .mkdir("/d", 0o700, false, Some(Owner::parse("root")))
            .state(),
        "file-rm" => on(&base()).rm("/etc/motd", false, false).state(),
        "file-rm-options" => on(&base()).rm("/tmp/*", true, true).state(),
        "file-symlink" => on(&base())
            .symlink("../a", "/b/c", None, Some(TIME))
            .state(),
        "file-copy" => on(&base())
            .copy(&local(), "/app", "/srv/", Copy::default())
            .state(),
        "file-copy-options" => {
            let copy = Copy {
                owner: Some(Owner {
                    user: Some(User::Id(7)),
                    group: None,
                }),
                mode: Some(Mode::Bits(0o755)),
                follow_symlink: true,
                contents: true,
                unpack: true,
                parents: true,
                wildcard: true,
                empty_wildcard: true,
                include: strings(&["*.c"]),
                exclude: strings(&["x.c"]),
                required: Vec::new(),
                replace: true,
            };
            on(&base()).copy(&busy(), "bin/*", "/bin/.", copy).state()
        }
        "file-copy-mode-text" => {
            let copy = Copy {
                mode: Some(Mode::Text("u+x".into())),
                include: strings(&["a"]),
                required: strings(&["a"]),
                ..Copy::default()
            };
            on(&base()).copy(&busy(), "/a", "/b", copy).state()
        }
        "file-chain" => File::on(&base(), "/home")
            .mkdir("x", 0o755, false, None)
            .mkfile("x/y", 0o600, b"z", None, None)
            .copy(&local(), "/", "x/", Copy::default())
            .copy(&busy(), "/bin/sh", "sh", Copy::default())
            .rm("/old", false, false)
            .symlink("a", "/c", None, None)
            .state(),
        "file-copy-from-own-base" => on(&base())
            .copy(&base(), "/a", "/b", Copy::default())
            .state(),
        "merge" => merge(&[base(), busy(), local()]),
        "merge-same-twice" => merge(&[base(), busy(), base()]),
        "merge-of-one" => merge(&[scratch, busy()]),
        "diff" => diff(&base(), &run(exec(&["true"]))),
        "diff-upper-scratch" => diff(&base(), &scratch),
        "diff-lower-scratch" => diff(&scratch, &base()),
        "build" => build(&local(), None, &amd64()),
        "build-filename" => build(&local(), Some("my.pb"), &amd64()),
        "diamond" => {
            let (a, b) = (run(exec(&["a"])), run(exec(&["b"])));
            let copied = on(&scratch).copy(&a, "/x", "/y", Copy::default()).state();
            merge(&[a, b, copied])
        }
        _ => return None,
    })
}

#[test]
fn every_graph_is_go_s() {
    let table = include_str!("../../tests/fixtures/llb/graphs.json");
    let table: Vec<Graph> = serde_json::from_str(table).unwrap();
    assert!(table.len() > 45, "the table has {} graphs", table.len());
    let mut wrong = Vec::new();
    for graph in table {
        let name = &graph.name;
        let state = ours(name).unwrap_or_else(|| panic!("no graph `{name}` here"));
        let made = definition(&state).unwrap();
        let digests: Vec<_> = made.def.iter().map(|op| vertex::digest(op)).collect();
        let theirs: Vec<_> = graph.ops.iter().map(|op| op.digest.clone()).collect();
        for (op, digest) in made.def.iter().zip(&digests) {
            let caps = |known: &BTreeMap<String, bool>| known.keys().cloned().collect::<Vec<_>>();
            let caps = caps(&made.metadata[digest].caps);
            match graph.ops.iter().find(|other| other.digest == *digest) {
                Some(other) if other.caps != caps => {
                    wrong.push(format!("{name}: caps {caps:?} for {:?}", other.caps));
                }
                Some(_) => {}
                None => wrong.push(format!("{name}: {:?}", String::from_utf8_lossy(op))),
            }
        }
        if digests != theirs {
            let theirs = graph.ops.iter().map(|op| {
                let bytes = STANDARD.decode(&op.bytes).unwrap();
                format!("\n    {:?}", String::from_utf8_lossy(&bytes))
            });
            wrong.push(format!("{name}: theirs is {}", theirs.collect::<String>()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_name_or_a_fresh_run_changes_no_digest() {
    let plain = run(exec(&["true"]));
    let named = plain.clone().named("a name").uncached();
    assert_eq!(plain.digest(), named.digest());
    let made = definition(&named).unwrap();
    let metadata = &made.metadata[named.digest().unwrap()];
    assert!(metadata.ignore_cache);
    assert_eq!(metadata.description["llb.customname"], "a name");
    assert!(made.metadata.values().any(|other| {
        other.caps.contains_key("meta.ignorecache") && other.caps.contains_key("meta.description")
    }));
}

#[test]
fn a_definition_is_read_back_whole() {
    for name in ["diamond", "exec-second-output", "file-copy", "local"] {
        let made = definition(&ours(name).unwrap()).unwrap();
        assert_eq!(
            definition(&state_of(&made).unwrap()).unwrap(),
            made,
            "{name}"
        );
    }
    assert!(state_of(&crate::proto::pb::Definition::default()).is_none());
}

#[test]
fn a_deep_graph_is_no_deep_stack() {
    let mut state = State::scratch();
    for index in 0..20_000 {
        state = on(&state)
            .mkdir(&format!("/{index}"), 0o755, false, None)
            .state();
    }
    assert_eq!(definition(&state).unwrap().def.len(), 20_001);
    // Dropping it would be deep as well.
    std::mem::forget(state);
}

#[test]
fn the_empty_file_system_has_no_definition() {
    assert!(definition(&State::scratch()).is_none());
}
