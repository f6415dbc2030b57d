//! N002 finds a secret that a build was given, whatever it looks like, by reading it again where the run did.

use crate::support::{Context, Dagger, Engine, Finished};

/// Looks like no token.
const VALUE: &str = "planted-passphrase-of-a-test";

fn dockerfile(step: &str) -> String {
    format!(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN --mount=type=secret,id=key {step}\n"
    )
}

fn up(context: &Context, secret: &str) -> Finished {
    Dagger::up(context.path(), Engine::Mute, &["--secret", secret])
        .env("KEY", VALUE)
        .with_collector()
        .run()
        .expect(0)
}

fn verify(run: &Finished, context: &Context, value: &str, code: i32) -> Finished {
    Dagger::new(context.path(), &["trace", "verify", "-v", &run.trace()])
        .env("XDG_STATE_HOME", &run.state.path().display().to_string())
        .env("KEY", value)
        .run()
        .expect(code)
}

#[test]
fn a_declared_secret_in_a_trace_is_found_and_not_printed() {
    let context = Context::new(&dockerfile(&format!("echo {VALUE} > /key")));
    context.write("key.txt", &format!("{VALUE}\n"));
    for (secret, from) in [("id=key,env=KEY", VALUE), ("id=key,src=key.txt", "")] {
        let run = up(&context, secret);
        let told = verify(&run, &context, from, 1);
        let said = told.stdout + &told.stderr;
        assert!(said.contains("error[N002]"), "{said}");
        assert!(said.contains("the secret `key` in the name"), "{said}");
        assert!(!said.contains(VALUE), "{said}");
    }
    // Where it cannot be read again that is said, and it is not found.
    let run = up(&context, "id=key,env=KEY");
    let told = verify(&run, &context, "", 0);
    let warning = "the secret `key` is not looked for in the trace (N002)";
    assert!(told.stderr.contains(warning), "{}", told.stderr);
}

#[test]
fn a_secret_that_is_only_used_is_not_found() {
    let context = Context::new(&dockerfile("wc -c /run/secrets/key"));
    let run = up(&context, "id=key,env=KEY");
    let told = verify(&run, &context, VALUE, 0);
    assert!(told.stdout.contains("pass[N002]"), "{}", told.stdout);
    assert!(!told.stderr.contains("not looked for"), "{}", told.stderr);
}
