//! What steps may do beyond the usual, on a daemon that allows it and on one that does not.

use crate::support::{Context, Dagger, Engine};

/// Linux's `CAP_SYS_ADMIN`, which no usual step has.
const SYS_ADMIN: u32 = 21;

/// The step writes down which rights it has.
const RIGHTS: &str = "grep CapEff /proc/self/status >/rights";

fn is_admin(context: &Context) -> bool {
    let text = std::fs::read_to_string(context.join("out/rights")).unwrap();
    let (_, bits) = text.split_once(':').unwrap();
    let bits = u64::from_str_radix(bits.trim(), 16).unwrap();
    bits >> SYS_ADMIN & 1 == 1
}

#[test]
fn a_privileged_action_has_all_rights_where_the_daemon_allows_it() {
    let plan = |privileged: bool| {
        format!(
            "version: 1\nactions:\n  base: {{ build: {{}} }}\n  rights:\n    from: base\n    run: {RIGHTS}\n    \
             privileged: {privileged}\n    outputs: [{{ local: out }}]\n"
        )
    };
    let context = Context::new("FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\n");
    let up = |engine| Dagger::up(context.path(), engine, &[]).run();
    for privileged in [false, true] {
        context.write("dagger.yaml", &plan(privileged));
        up(Engine::Mute).expect(0);
        assert_eq!(is_admin(&context), privileged);
    }
    let refused = up(Engine::Http).expect(1).stderr;
    assert!(
        refused.contains("security.insecure is not allowed"),
        "{refused}"
    );
}

#[test]
fn a_dockerfile_has_what_both_sides_allow() {
    let context =
        Context::new("FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN --network=host true\n");
    let up = |engine, args: &[&str]| Dagger::up(context.path(), engine, args).run();
    up(Engine::Mute, &["--allow", "network.host"]).expect(0);
    for (engine, args) in [
        (Engine::Mute, &[][..]),
        (Engine::Http, &["--allow", "network.host"]),
    ] {
        let refused = up(engine, args).expect(1).stderr;
        assert!(refused.contains("network.host is not allowed"), "{refused}");
    }
}
