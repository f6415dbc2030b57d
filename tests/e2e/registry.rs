//! Registries, caches outside the daemon, layouts.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Context, Dagger, Engine};

/// A registry on loopback, ended with the value.
pub(crate) struct Registry {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

/// `hunter2-registry` as bcrypt has it.
const PASSWORD: &str = "$2y$05$abcdefghijklmnopqrstuulZu.ILEXqeNBq7QTUS3kx8ZZIO3trhO";

impl Registry {
    pub(crate) fn start(with_password: bool) -> Self {
        let auth = "auth:\n  htpasswd:\n    realm: bed\n    path: ROOT/htpasswd\n";
        Self::start_with(if with_password { auth } else { "" })
    }

    /// With these lines of configuration, in which `ROOT` is its directory.
    pub(crate) fn start_with(auth: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let root = dir.path().display().to_string();
        fs::write(dir.path().join("htpasswd"), format!("me:{PASSWORD}\n")).unwrap();
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {root}/data\n\
             http:\n  addr: 127.0.0.1:{port}\n{}",
            auth.replace("ROOT", &root)
        );
        fs::write(dir.path().join("config.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(dir.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "no registry");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            child,
            port,
            _dir: dir,
        }
    }

    pub(crate) fn image(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn salted(salt: &str) -> Context {
    Context::new(&format!(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN echo {salt} {} >/x\n",
        std::process::id()
    ))
}

fn summary(context: &Context) -> Value {
    serde_json::from_slice(&fs::read(context.join("summary.json")).unwrap()).unwrap()
}

#[test]
fn an_image_is_pushed_and_built_on() {
    let registry = Registry::start(false);
    let context = salted("pushed");
    let image = registry.image("a/b:v1");
    let args = [
        "--push",
        "--tag",
        &image,
        "--metadata-file=m.json",
        "--iidfile=id",
    ];
    Dagger::up(context.path(), Engine::Mute, &args)
        .run()
        .expect(0);
    let metadata: Value =
        serde_json::from_slice(&fs::read(context.join("m.json")).unwrap()).unwrap();
    let digest = metadata["containerimage.digest"].as_str().unwrap();
    assert_eq!(metadata["image.name"], *image);
    assert_eq!(metadata["containerimage.descriptor"]["digest"], *digest);
    assert!(
        fs::read_to_string(context.join("id"))
            .unwrap()
            .starts_with("sha256:")
    );
    let next = Context::new(&format!("FROM {image}@{digest}\nRUN cat /x >/y\n"));
    Dagger::up(next.path(), Engine::Mute, &["-o", "local:out"])
        .run()
        .expect(0);
    let text = fs::read_to_string(next.join("out/y")).unwrap();
    assert!(text.starts_with("pushed "), "{text}");
}

/// Docker's configuration with a password, or with a helper that knows it.
fn docker_config(dir: &Path, registry: &Registry, helper: bool) -> String {
    fs::create_dir_all(dir).unwrap();
    let host = format!("127.0.0.1:{}", registry.port);
    // `me:hunter2-registry`
    let auth = "bWU6aHVudGVyMi1yZWdpc3RyeQ==";
    let text = if helper {
        format!(r#"{{"credHelpers": {{"{host}": "bed"}}}}"#)
    } else {
        format!(r#"{{"auths": {{"{host}": {{"auth": "{auth}"}}}}}}"#)
    };
    fs::write(dir.join("config.json"), text).unwrap();
    let program = dir.join("docker-credential-bed");
    let answer = r#"{"Username": "me", "Secret": "hunter2-registry"}"#;
    fs::write(
        &program,
        format!("#!/bin/sh\ncat >/dev/null\necho '{answer}'\n"),
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(program, mode).unwrap();
    dir.display().to_string()
}

#[test]
fn a_registry_with_a_password() {
    let registry = Registry::start(true);
    let config = tempfile::tempdir().unwrap();
    for (helper, name) in [(false, "file"), (true, "helper")] {
        let context = salted(name);
        let image = registry.image(name);
        let args = ["--push", "--tag", &*image];
        let without = Dagger::up(context.path(), Engine::Mute, &args)
            .run()
            .expect(1);
        assert!(!without.stderr.contains("hunter2"), "{}", without.stderr);
        let dir = docker_config(&config.path().join(name), &registry, helper);
        let run = Dagger::up(context.path(), Engine::Mute, &args)
            .env("DOCKER_CONFIG", &dir)
            .env("PATH", &format!("{dir}:/usr/bin:/bin"))
            .run()
            .expect(0);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
        let next = Context::new(&format!("FROM {image}\nRUN true {}\n", std::process::id()));
        Dagger::up(next.path(), Engine::Mute, &["--pull"])
            .env("DOCKER_CONFIG", &dir)
            .env("PATH", &format!("{dir}:/usr/bin:/bin"))
            .run()
            .expect(0);
    }
}

/// Exports a cache on one daemon and has another one, that has nothing, use it.
fn cache_survives(to: &str, from: &str, context: &Context) {
    Dagger::up(context.path(), Engine::Mute, &["--cache-to", to])
        .run()
        .expect(0);
    let args = ["--cache-from", from, "--summary-file", "summary.json"];
    Dagger::up(context.path(), Engine::Udp, &args)
        .run()
        .expect(0);
    let summary = summary(context);
    let steps = summary["steps"].as_array().unwrap();
    let run = steps
        .iter()
        .find(|step| step["name"].as_str().unwrap().contains("RUN"));
    assert_eq!(run.unwrap()["cached"], true, "{summary:#}");
}

#[test]
fn a_cache_in_a_registry() {
    let registry = Registry::start(false);
    let image = registry.image("cache");
    let to = format!("type=registry,ref={image},mode=max");
    cache_survives(&to, &image, &salted("registry"));
}

#[test]
fn a_cache_in_a_directory() {
    let cache = tempfile::tempdir().unwrap();
    let path = cache.path().display();
    let (to, from) = (
        format!("type=local,dest={path},mode=max"),
        format!("type=local,src={path}"),
    );
    let context = salted("directory");
    // The first build of all has nothing to read yet.
    Dagger::up(context.path(), Engine::Mute, &["--cache-from", &from])
        .run()
        .expect(0);
    cache_survives(&to, &from, &context);
}

#[test]
fn a_layout_is_written_and_built_on() {
    let context = salted("layout");
    let args = [
        "-o",
        "type=oci,dest=layout,tar=false",
        "--tag",
        "r.example/x:v1",
    ];
    Dagger::up(context.path(), Engine::Mute, &args)
        .run()
        .expect(0);
    let next = Context::new("FROM base\nRUN cat /x >/y\n");
    let source = format!(
        "--build-context=base=oci-layout://{}:v1",
        context.join("layout").display()
    );
    let args = [&*source, "-o", "local:out"];
    Dagger::up(next.path(), Engine::Udp, &args).run().expect(0);
    assert!(
        fs::read_to_string(next.join("out/y"))
            .unwrap()
            .starts_with("layout ")
    );
    let wrong = source.replace(":v1", ":v2");
    let error = Dagger::up(next.path(), Engine::Udp, &[&wrong])
        .run()
        .expect(2);
    assert!(error.stderr.contains("no image `v2`"), "{}", error.stderr);
}

#[test]
fn files_of_images_and_mirrors() {
    let context = salted("files");
    let args = [
        "-o",
        "type=oci,dest=i.tar",
        "-o",
        "type=docker,dest=d.tar,name=x:y",
        "-o",
        "type=local,dest=out,mode=delete",
    ];
    fs::create_dir(context.join("out")).unwrap();
    fs::write(context.join("out/old"), "").unwrap();
    Dagger::up(context.path(), Engine::Mute, &args)
        .run()
        .expect(0);
    assert!(!context.join("out/old").exists() && context.join("out/x").exists());
    for (file, name) in [("i.tar", "oci-layout"), ("d.tar", "manifest.json")] {
        let list = Command::new("tar")
            .arg("-tf")
            .arg(context.join(file))
            .output()
            .unwrap();
        assert!(
            String::from_utf8_lossy(&list.stdout).contains(name),
            "{file}"
        );
    }
}

#[test]
fn a_source_policy_refuses() {
    let context = Context::new("FROM scratch\nADD https://example.invalid/x /\n");
    context.write(
        "policy.json",
        r#"{"rules": [{"action": "DENY", "selector": {"identifier": "https://example.invalid/*"}}]}"#,
    );
    let args = ["--source-policy-file", "policy.json"];
    let run = Dagger::up(context.path(), Engine::Mute, &args)
        .run()
        .expect(1);
    assert!(run.stderr.contains("denied by policy"), "{}", run.stderr);
}

#[test]
fn what_a_base_image_says_holds_in_the_steps_of_a_plan() {
    let registry = Registry::start(false);
    let base = Context::new(
        "FROM scratch\nADD rootfs.tar /\nRUN mkdir -p /home/me && chown 7:8 /home/me\n\
         ENV PATH=/bin:/usr/bin GREETING=hello\nWORKDIR /home/me\nUSER 7:8\n",
    );
    let image = registry.image("base:v1");
    Dagger::up(base.path(), Engine::Mute, &["--push", "--tag", &image])
        .run()
        .expect(0);
    let context = Context::new("FROM scratch\n");
    context.write(
        "dagger.yaml",
        &format!(
            "version: 1\nactions:\n  base: {{ image: \"{image}\" }}\n  told:\n    from: base\n    \
             run: echo $GREETING $(pwd) $(id -u):$(id -g) >said\n  out:\n    \
             copy: {{ from: told, path: /home/me/said, to: / }}\n    outputs: [{{ local: out }}]\n"
        ),
    );
    // A daemon that has never heard of the image: it has to ask the registry.
    let run = Dagger::up(context.path(), Engine::Udp, &[]).run().expect(0);
    let said = fs::read_to_string(context.join("out/said")).unwrap();
    assert_eq!(said, "hello /home/me 7:8\n", "{}", run.stderr);
}

#[test]
fn caches_of_services_are_passed_through() {
    let context = salted("services");
    // Nothing listens there: what the daemon says of it shows that the fields have reached it.
    for (cache, said) in [
        (
            "type=s3,bucket=b,region=r,name=n,endpoint_url=http://127.0.0.1:1,use_path_style=true,\
             access_key_id=a,secret_access_key=hunter2-key",
            "127.0.0.1:1/b/",
        ),
        (
            "type=azblob,account_url=https://127.0.0.1:1/a,name=n,secret_access_key=%%",
            "decode account key",
        ),
        (
            "type=gha,url=http://127.0.0.1:1/,token=hunter2-token,scope=s",
            "hunter2",
        ),
    ] {
        let run = Dagger::up(context.path(), Engine::Mute, &["--cache-to", cache])
            .run()
            .expect(1);
        let kind = cache.split([',', '=']).nth(1).unwrap();
        if kind != "gha" {
            assert!(run.stderr.contains(said), "{kind}: {}", run.stderr);
        }
        assert!(!run.stderr.contains("hunter2-"), "{kind}: {}", run.stderr);
    }
}
