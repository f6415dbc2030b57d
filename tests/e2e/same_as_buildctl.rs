//! The same build by `buildctl` and by `dagger`: the same bytes, and what one made the other finds.
//!
//! Every case is built by one, then by the other, on one daemon. The tar files must be equal, and the
//! second build has to find every step in the cache. Odd cases are begun by `buildctl`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Context, Dagger, Engine, bed};

struct Case {
    name: &'static str,
    dockerfile: &'static str,
    files: fn(&Path),
    /// Arguments of both, as `dagger` and as `buildctl` has them.
    args: &'static [(&'static str, &'static [&'static str])],
}

const BASE: &str = "FROM scratch AS base\nADD rootfs.tar /\nENV PATH=/bin:/usr/bin\n";

fn nothing(_: &Path) {}

fn write(dir: &Path, path: &str, text: &[u8]) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const fn case(name: &'static str, dockerfile: &'static str, files: fn(&Path)) -> Case {
    Case {
        name,
        dockerfile,
        files,
        args: &[],
    }
}

/// Builds by `dagger`; gives the steps that were not in the cache.
fn dagger(context: &Context, case: &Case, tar: &str) -> Vec<String> {
    let mut args = vec!["-o", tar, "--summary-file", "/dev/null"];
    let summary = context.path().with_extension("summary");
    let summary_text = summary.display().to_string();
    args[3] = &summary_text;
    args.extend(case.args.iter().map(|(flag, _)| *flag));
    Dagger::up(context.path(), Engine::Mute, &args)
        .env("SECRET_VARIABLE", "from the environment")
        .run()
        .expect(0);
    let json: Value = serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap();
    fs::remove_file(summary).unwrap();
    let steps = json["steps"].as_array().unwrap().iter();
    let ran = steps.filter(|step| step["cached"] == false);
    ran.map(|step| step["name"].as_str().unwrap().to_owned())
        .filter(|name| is_step(name))
        .collect()
}

/// Builds by `buildctl`; gives the steps that were not in the cache.
fn buildctl(context: &Context, case: &Case, tar: &Path) -> Vec<String> {
    let dir = context.path().display();
    let output = Command::new(Path::new(&bed().fact("/bin")).join("buildctl"))
        .current_dir(context.path())
        .env_clear()
        .env("SECRET_VARIABLE", "from the environment")
        .args([
            "--addr",
            &bed().unix(Engine::Mute),
            "build",
            "--progress=rawjson",
        ])
        .args([
            "--frontend=dockerfile.v0",
            &format!("--local=context={dir}"),
        ])
        .args([
            &format!("--local=dockerfile={dir}"),
            &format!("--output=type=tar,dest={}", tar.display()),
        ])
        .args(case.args.iter().flat_map(|(_, args)| args.iter()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {text}", case.name);
    let mut ran = std::collections::BTreeMap::new();
    for line in text.lines() {
        let Ok(status) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        for vertex in status["vertexes"].as_array().into_iter().flatten() {
            let name = vertex["name"].as_str().unwrap_or_default().to_owned();
            if !vertex["completed"].is_null() {
                ran.insert(name, vertex["cached"] != true);
            }
        }
    }
    let steps = ran.into_iter().filter(|(name, ran)| *ran && is_step(name));
    steps.map(|(name, _)| name).collect()
}

/// Is this a step of the Dockerfile?
fn is_step(name: &str) -> bool {
    let other = ["[internal]", "[context ", "[auth]"];
    name.starts_with('[') && !other.iter().any(|begin| name.starts_with(begin))
}

fn check(cases: &[Case], first: usize) {
    for (index, case) in cases.iter().enumerate() {
        // What was never built before, in a stage that both share.
        let dockerfile = case.dockerfile.replace("BASE", BASE);
        let context = Context::new(&dockerfile);
        (case.files)(context.path());
        let out = tempfile::tempdir().unwrap();
        let (ours, theirs) = (out.path().join("ours.tar"), out.path().join("theirs.tar"));
        let tar = format!("tar:{}", ours.display());
        let again = if (index + first).is_multiple_of(2) {
            dagger(&context, case, &tar);
            buildctl(&context, case, &theirs)
        } else {
            buildctl(&context, case, &theirs);
            dagger(&context, case, &tar)
        };
        assert_eq!(
            again,
            Vec::<String>::new(),
            "{}: not in the cache",
            case.name
        );
        let (ours, theirs) = (fs::read(ours).unwrap(), fs::read(theirs).unwrap());
        assert!(ours == theirs, "{}: the tar files differ", case.name);
        assert!(ours.len() >= 1024, "{}: the tar file is empty", case.name);
    }
}

#[test]
fn trees_of_every_kind() {
    check(
        &[
            case("symlinks", "FROM scratch\nCOPY . /x\n", |dir| {
                write(dir, "a/b", b"1");
                symlink("b", dir.join("a/relative")).unwrap();
                symlink("/etc/passwd", dir.join("a/absolute")).unwrap();
                symlink("nowhere", dir.join("a/broken")).unwrap();
                symlink("a", dir.join("directory")).unwrap();
            }),
            case("hard links", "FROM scratch\nCOPY a /x\n", |dir| {
                write(dir, "a/1", b"same");
                fs::hard_link(dir.join("a/1"), dir.join("a/2")).unwrap();
                fs::create_dir(dir.join("a/d")).unwrap();
                fs::hard_link(dir.join("a/1"), dir.join("a/d/3")).unwrap();
            }),
            case("sparse", "FROM scratch\nCOPY sparse /\n", |dir| {
                let file = fs::File::create(dir.join("sparse")).unwrap();
                file.set_len(3 << 20).unwrap();
            }),
            case("empty", "FROM scratch\nCOPY e /e\n", |dir| {
                write(dir, "e/file", b"");
                fs::create_dir(dir.join("e/directory")).unwrap();
            }),
            case("modes", "FROM scratch\nCOPY m /m\n", |dir| {
                for mode in [0o400, 0o644, 0o755, 0o4755, 0o2755, 0o1777, 0o000] {
                    let path = format!("m/{mode:o}");
                    write(dir, &path, b"x");
                    let mode = fs::Permissions::from_mode(mode);
                    fs::set_permissions(dir.join(path), mode).unwrap();
                }
                fs::create_dir(dir.join("m/d")).unwrap();
                fs::set_permissions(dir.join("m/d"), fs::Permissions::from_mode(0o1770)).unwrap();
            }),
            case("names in UTF-8", "FROM scratch\nCOPY . /x\n", |dir| {
                for name in [
                    "grün",
                    "日本/語",
                    "sp ace",
                    "qu\"ote",
                    "per%cent",
                    "plus+",
                    "😀",
                ] {
                    write(dir, name, name.as_bytes());
                }
            }),
            case("names not in UTF-8", "FROM scratch\nCOPY . /x\n", |dir| {
                write(dir, ".dockerignore", b"left-??t\nDockerfile\n");
                for name in [
                    &b"caf\xe9"[..],
                    b"left-\xc3\xa9t",
                    b"left-\xe9\xe9t",
                    b"d/\xff/in",
                ] {
                    let path = dir.join(OsStr::from_bytes(name));
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, name).unwrap();
                }
                symlink(OsStr::from_bytes(b"caf\xe9"), dir.join("link")).unwrap();
                fs::hard_link(dir.join(OsStr::from_bytes(b"caf\xe9")), dir.join("hard")).unwrap();
            }),
            case("order of names", "FROM scratch\nCOPY o /o\n", |dir| {
                for name in ["o/a/b", "o/a.txt", "o/a-b", "o/A", "o/_", "o/a b/c", "o/aa"] {
                    write(dir, name, b"");
                }
            }),
            case("a big file", "FROM scratch\nCOPY big /\n", |dir| {
                write(
                    dir,
                    "big",
                    &(0..3_000_000).map(|n| (n % 251) as u8).collect::<Vec<_>>(),
                );
            }),
            case("many files", "FROM scratch\nCOPY many /many\n", |dir| {
                for n in 0..300 {
                    write(
                        dir,
                        &format!("many/{}/{n}", n % 7),
                        n.to_string().as_bytes(),
                    );
                }
            }),
            case("deep", "FROM scratch\nCOPY d /d\n", |dir| {
                write(dir, &format!("d/{}end", "x/".repeat(40)), b"deep");
            }),
            case("a fifo is no matter", "FROM scratch\nCOPY f /f\n", |dir| {
                write(dir, "f/file", b"");
                Command::new("mkfifo")
                    .arg(dir.join("f/fifo"))
                    .status()
                    .unwrap();
            }),
        ],
        0,
    );
}

#[test]
fn what_is_sent_and_copied() {
    check(
        &[
            case("negation", "FROM scratch\nCOPY . /x\n", |dir| {
                write(dir, ".dockerignore", b"*\n!keep\n!sub/*.md\nsub/no.md\n");
                for name in ["keep", "drop", "sub/a.md", "sub/no.md", "sub/b.txt"] {
                    write(dir, name, b"1");
                }
            }),
            case("ignored by directory", "FROM scratch\nCOPY . /x\n", |dir| {
                write(
                    dir,
                    ".dockerignore",
                    b"# comment\n\n/node_modules\n**/*.log\nb?\n!b1\n",
                );
                for name in [
                    "node_modules/x",
                    "a/node_modules/x",
                    "a/b.log",
                    "b0",
                    "b1",
                    "c/b2",
                ] {
                    write(dir, name, b"1");
                }
            }),
            case(
                "an ignore file of its own",
                "FROM scratch\nCOPY . /x\n",
                |dir| {
                    write(dir, ".dockerignore", b"kept\n");
                    write(dir, "Dockerfile.dockerignore", b"dropped\n");
                    write(dir, "kept", b"");
                    write(dir, "dropped", b"");
                },
            ),
            case(
                "wildcards",
                "FROM scratch\nCOPY *.txt d/?.md [ab]c /x/\n",
                |dir| {
                    for name in [
                        "1.txt", "2.txt", "3.bin", "d/1.md", "d/22.md", "ac", "bc", "cc",
                    ] {
                        write(dir, name, name.as_bytes());
                    }
                },
            ),
            case(
                "a link that is followed",
                "FROM scratch\nCOPY l/f /x\n",
                |dir| {
                    write(dir, "real/f", b"1");
                    symlink("real", dir.join("l")).unwrap();
                },
            ),
            case(
                "an archive",
                "FROM scratch\nADD a.tar /a/\nCOPY a.tar /b/\n",
                |dir| {
                    write(dir, "t/x", b"1");
                    let tar = Command::new("tar")
                        .args(["-C", &dir.display().to_string(), "--mtime=@1", "-cf"])
                        .arg(dir.join("a.tar"))
                        .arg("t")
                        .status();
                    assert!(tar.unwrap().success());
                },
            ),
            case(
                "owners and modes",
                "BASE\nCOPY --chown=7:8 --chmod=640 f /f\n",
                |dir| {
                    write(dir, "f", b"1");
                },
            ),
            case(
                "parents",
                "FROM scratch\nCOPY --parents a/*/c /x/\n",
                |dir| {
                    write(dir, "a/1/c", b"1");
                    write(dir, "a/2/c", b"2");
                },
            ),
            case(
                "excluded in a copy",
                "FROM scratch\nCOPY --exclude=*.o s /s\n",
                |dir| {
                    write(dir, "s/a.c", b"1");
                    write(dir, "s/a.o", b"2");
                },
            ),
            case(
                "layers joined by links",
                "FROM scratch\nCOPY --link f /a/\nCOPY --link f /b/\n",
                |dir| {
                    write(dir, "f", b"1");
                },
            ),
        ],
        1,
    );
}

#[test]
fn steps_of_every_kind() {
    check(
        &[
            case("run", "BASE\nRUN echo $((6*7)) >/answer\n", nothing),
            case(
                "heredocs",
                "BASE\nRUN <<EOF\necho a >/a\necho b >/b\nEOF\nCOPY <<-X /c\n\tc\n\tX\n",
                nothing,
            ),
            case(
                "a cache mount",
                "BASE\nRUN --mount=type=cache,target=/c echo 1 >/c/f && cp /c/f /f\n",
                nothing,
            ),
            case(
                "a bind mount",
                "BASE\nRUN --mount=target=/ctx cp /ctx/f /f\n",
                |dir| write(dir, "f", b"1"),
            ),
            case(
                "a tmpfs",
                "BASE\nRUN --mount=type=tmpfs,target=/t : >/t/x; ls /t >/list\n",
                nothing,
            ),
            case(
                "stages",
                "BASE\nRUN echo 1 >/1\nFROM base AS other\nRUN echo 2 >/2\nFROM scratch\nCOPY --from=base /1 /\nCOPY --from=other /2 /\n",
                nothing,
            ),
            case(
                "an entry of its own",
                "BASE\nWORKDIR /w\nUSER 5\nENV A=b\nRUN id -u >/tmp/id; pwd >/tmp/pwd; echo $A >/tmp/a\n",
                nothing,
            ),
            Case {
                args: &[
                    ("--build-arg=A=given", &["--opt=build-arg:A=given"]),
                    ("--target=middle", &["--opt=target=middle"]),
                    ("--label=l=m", &["--opt=label:l=m"]),
                ],
                ..case(
                    "arguments",
                    "BASE\nFROM base AS middle\nARG A=default\nRUN echo $A >/a\nFROM base\nRUN false\n",
                    nothing,
                )
            },
            Case {
                args: &[("--secret=id=s,src=secret", &["--secret=id=s,src=secret"])],
                ..case(
                    "a secret file",
                    "BASE\nRUN --mount=type=secret,id=s wc -c </run/secrets/s >/n\n",
                    |dir| write(dir, "secret", b"hunter2"),
                )
            },
            Case {
                args: &[(
                    "--secret=id=s,env=SECRET_VARIABLE",
                    &["--secret=id=s,env=SECRET_VARIABLE"],
                )],
                ..case(
                    "a secret variable",
                    "BASE\nRUN --mount=type=secret,id=s,env=S echo ${#S} >/n\n",
                    nothing,
                )
            },
            Case {
                args: &[("--add-host=h:127.0.0.9", &["--opt=add-hosts=h=127.0.0.9"])],
                ..case("a host", "BASE\nRUN grep h$ /etc/hosts >/h\n", nothing)
            },
            Case {
                args: &[
                    ("--shm-size=1m", &["--opt=shm-size=1048576"]),
                    ("--ulimit=nofile=99:100", &["--opt=ulimit=nofile=99:100"]),
                ],
                ..case(
                    "limits",
                    "BASE\nRUN ulimit -n >/n; df -k /dev/shm >/shm\n",
                    nothing,
                )
            },
            Case {
                args: &[(
                    "--platform=linux/amd64,linux/arm64",
                    &["--opt=platform=linux/amd64,linux/arm64"],
                )],
                ..case(
                    "platforms",
                    "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /f\n",
                    |dir| {
                        write(dir, "amd64", b"x");
                        write(dir, "arm64", b"y");
                    },
                )
            },
            Case {
                args: &[(
                    "--build-context=other=sub",
                    &["--local=other=sub", "--opt=context:other=local:other"],
                )],
                ..case(
                    "a named context",
                    "FROM scratch\nCOPY --from=other f /\n",
                    |dir| write(dir, "sub/f", b"1"),
                )
            },
        ],
        0,
    );
}

#[test]
fn an_agents_keys_serve_both() {
    let dockerfile =
        format!("{BASE}RUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\" && echo yes >/yes\n");
    let context = Context::new(&dockerfile);
    let key = context.join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    let text = format!("--ssh=default={}", key.display());
    let flag: &'static str = Box::leak(text.into_boxed_str());
    let args: &'static [&'static str] = Box::leak(Box::new([flag]));
    let args: &'static [(&'static str, &'static [&'static str])] =
        Box::leak(Box::new([(flag, args)]));
    let case = Case {
        args,
        ..case("ssh", "", nothing)
    };
    let out = tempfile::tempdir().unwrap();
    let (ours, theirs) = (out.path().join("ours.tar"), out.path().join("theirs.tar"));
    dagger(&context, &case, &format!("tar:{}", ours.display()));
    assert_eq!(buildctl(&context, &case, &theirs), Vec::<String>::new());
    assert!(fs::read(ours).unwrap() == fs::read(theirs).unwrap());
}

#[test]
fn names_that_are_not_utf8_come_back_from_a_local_output() {
    let context = Context::new("FROM scratch\nCOPY d /\n");
    let name = OsStr::from_bytes(b"caf\xe9");
    fs::create_dir(context.join("d")).unwrap();
    fs::write(context.join("d").join(name), "x").unwrap();
    symlink(name, context.join("d/link")).unwrap();
    Dagger::up(context.path(), Engine::Mute, &["-o", "local:out"])
        .run()
        .expect(0);
    assert_eq!(fs::read(context.join("out").join(name)).unwrap(), b"x");
    assert_eq!(fs::read_link(context.join("out/link")).unwrap(), name);
}
