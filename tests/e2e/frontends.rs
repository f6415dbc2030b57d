//! Frontends that come as images: the gateway runs them, and they ask the daemon as ours do.

use std::fs;

use crate::registry::Registry;
use crate::support::{Context, Dagger, Engine, bed};

/// An image of BuildKit's own Dockerfile frontend in a registry.
fn frontend(registry: &Registry) -> String {
    let context = Context::new(
        "FROM scratch\nCOPY dockerfile-frontend /bin/\nLABEL moby.buildkit.frontend.network.none=\"true\"\n\
         LABEL moby.buildkit.frontend.caps=\"moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests,\
         moby.buildkit.frontend.contexts\"\nENTRYPOINT [\"/bin/dockerfile-frontend\"]\n",
    );
    let program = bed().program("dockerfile-frontend");
    fs::copy(program, context.join("dockerfile-frontend")).unwrap();
    let image = registry.image("dockerfile:1");
    Dagger::up(context.path(), Engine::Http, &["--push", "--tag", &image])
        .run()
        .expect(0);
    image
}

#[test]
fn a_frontend_that_the_dockerfile_names_builds_is_asked_and_has_contexts() {
    let registry = Registry::start(false);
    let image = frontend(&registry);
    let context = Context::three_stages("frontend");
    let text = fs::read_to_string(context.join("Dockerfile")).unwrap();
    context.write(
        "Dockerfile",
        &format!("# syntax={image}\n{text}COPY --from=more word /srv/\n"),
    );
    context.write("more/word", "more\n");
    let args = ["-o", "local:out", "--build-context=more=more"];
    let run = Dagger::up(context.path(), Engine::Http, &args)
        .with_collector()
        .run()
        .expect(0);
    assert!(
        run.stderr
            .contains("resolve image config for docker-image://"),
        "{}",
        run.stderr
    );
    assert_eq!(
        fs::read_to_string(context.join("out/srv/word")).unwrap(),
        "more\n"
    );
    run.verify(&[]).expect(0);

    let asked = Dagger::up(context.path(), Engine::Http, &["--call=targets"])
        .run()
        .expect(0);
    assert!(
        asked.stdout.contains("release (default)"),
        "{}",
        asked.stdout
    );

    // The same, said on the command line as buildx has it.
    context.write("Dockerfile", &text);
    let syntax = format!("--build-arg=BUILDKIT_SYNTAX={image}");
    let run = Dagger::up(context.path(), Engine::Http, &[&syntax])
        .run()
        .expect(0);
    assert!(run.stderr.contains("dockerfile:1"), "{}", run.stderr);
}
