//! What `--output` leaves behind.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Context, Dagger, Engine};

const TREE: &str = "FROM scratch AS base\nADD rootfs.tar /\nENV PATH=/bin:/usr/bin\n\
    RUN mkdir -p /out/sub && echo hi >/out/sub/hi && ln -s sub/hi /out/link && ln /out/sub/hi /out/hard \
    && : >/out/empty && chmod 4751 /out/empty && echo ö >'/out/grün'\n\
    FROM scratch\nCOPY --from=base /out /\n";

#[test]
fn a_local_output_is_the_tree_of_the_result() {
    let context = Context::new(TREE);
    Dagger::up(context.path(), Engine::Mute, &["-o", "local:result"])
        .run()
        .expect(0);
    let out = context.join("result");
    assert_eq!(std::fs::read_to_string(out.join("sub/hi")).unwrap(), "hi\n");
    assert_eq!(
        std::fs::read_link(out.join("link")).unwrap().to_str(),
        Some("sub/hi")
    );
    assert_eq!(std::fs::read_to_string(out.join("grün")).unwrap(), "ö\n");
    let empty = out.join("empty").metadata().unwrap();
    assert_eq!(
        (empty.len(), empty.permissions().mode() & 0o7777),
        (0, 0o4751)
    );
    // Once more over it: nothing is left over or broken.
    Dagger::up(context.path(), Engine::Mute, &["-o", "local:result"])
        .run()
        .expect(0);
    assert_eq!(std::fs::read_to_string(out.join("hard")).unwrap(), "hi\n");
}

#[test]
fn a_tar_output_can_be_read_by_tar() {
    let context = Context::new(TREE);
    Dagger::up(context.path(), Engine::Mute, &["-o", "tar:result.tar"])
        .run()
        .expect(0);
    let list = std::process::Command::new("tar")
        .arg("-tf")
        .arg(context.join("result.tar"))
        .output()
        .unwrap();
    let names = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(
        list.status.success() && names.contains("sub/hi") && names.contains("link"),
        "{names}"
    );
}

#[test]
fn a_failed_build_leaves_no_output() {
    let context = Context::new("FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN false\n");
    Dagger::up(context.path(), Engine::Mute, &["-o", "tar:result.tar"])
        .run()
        .expect(1);
    let mut names: Vec<_> = std::fs::read_dir(context.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["Dockerfile", "rootfs.tar"]);
}

#[test]
fn what_dockerignore_excludes_is_not_sent() {
    let dockerfile = "FROM scratch AS base\nADD rootfs.tar /\nENV PATH=/bin\nCOPY . /ctx\n\
        RUN cd /ctx && find . -type f | sort >/list\nFROM scratch\nCOPY --from=base /list /\n";
    let context = Context::new(dockerfile)
        .with(
            ".dockerignore",
            "*.log\n!keep.log\nnode_modules\n**/secret\nrootfs.tar\n!rootfs.tar\n",
        )
        .with("a.log", "")
        .with("keep.log", "")
        .with("node_modules/x/y", "")
        .with("deep/down/secret", "")
        .with("deep/down/open", "");
    Dagger::up(context.path(), Engine::Mute, &["-o", "local:result"])
        .run()
        .expect(0);
    let list = std::fs::read_to_string(context.join("result/list")).unwrap();
    let names: Vec<_> = list.lines().collect();
    assert_eq!(
        names,
        [
            "./.dockerignore",
            "./Dockerfile",
            "./deep/down/open",
            "./keep.log",
            "./rootfs.tar"
        ]
    );
}

#[test]
fn arguments_and_stages_reach_the_frontend() {
    let dockerfile = "FROM scratch AS base\nADD rootfs.tar /\nENV PATH=/bin\nARG WHO\nRUN echo hello $WHO >/greeting\n\
        FROM scratch AS one\nCOPY --from=base /greeting /one\nFROM scratch AS two\nCOPY --from=base /greeting /two\n";
    let context = Context::new(dockerfile);
    let args = [
        "--target",
        "one",
        "--build-arg",
        "WHO=world",
        "-o",
        "local:result",
    ];
    Dagger::up(context.path(), Engine::Mute, &args)
        .run()
        .expect(0);
    assert_eq!(
        std::fs::read_to_string(context.join("result/one")).unwrap(),
        "hello world\n"
    );
    assert!(!context.join("result/two").exists());
}
