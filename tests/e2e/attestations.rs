//! What is attested of an image, and images in the Docker engine.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::registry::Registry;
use crate::support::{Context, Dagger, Engine, bed, engines};

/// The same image whoever builds it when: its times are fixed.
const EPOCH: &str = "--build-arg=SOURCE_DATE_EPOCH=1700000000";

/// A blob of a layout, by its digest.
fn blob(layout: &Path, digest: &Value) -> Value {
    let path = digest.as_str().expect("a digest").replace(':', "/");
    let text = fs::read(layout.join("blobs").join(path)).expect("a blob");
    serde_json::from_slice(&text).expect("JSON")
}

/// The image index that a layout holds.
fn index(layout: &Path) -> Value {
    let top: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).expect("index.json")).unwrap();
    blob(layout, &top["manifests"][0]["digest"])
}

/// Each attestation of an index: what it is of, and its kind.
fn attested(layout: &Path) -> Vec<(String, String)> {
    let index = index(layout);
    let manifests = index["manifests"].as_array().expect("manifests").iter();
    let of = |manifest: &Value, key: &str| {
        let value = manifest["annotations"][key].as_str();
        value.map(str::to_owned)
    };
    let attestations = manifests.filter(|manifest| {
        of(manifest, "vnd.docker.reference.type").as_deref() == Some("attestation-manifest")
    });
    attestations
        .flat_map(|manifest| {
            let subject = of(manifest, "vnd.docker.reference.digest").expect("a subject");
            let layers = blob(layout, &manifest["digest"])["layers"].clone();
            let layers = layers.as_array().expect("layers").clone();
            layers
                .into_iter()
                .map(move |layer| (subject.clone(), of(&layer, "in-toto.io/predicate-type")))
        })
        .map(|(subject, kind)| (subject, kind.expect("a predicate type")))
        .collect()
}

fn unpacked(tar: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new("tar")
        .arg("-xf")
        .arg(tar)
        .arg("-C")
        .arg(dir.path())
        .status();
    assert!(status.expect("tar").success());
    dir
}

#[test]
fn provenance_is_of_the_image_that_buildctl_makes() {
    let context = Context::three_stages("provenance");
    let args = [
        EPOCH,
        "--provenance=mode=max",
        "-o",
        "type=oci,dest=ours.tar",
    ];
    Dagger::up(context.path(), Engine::Mute, &args)
        .run()
        .expect(0);
    let output = Command::new(bed().program("buildctl"))
        .args([
            "--addr",
            &bed().unix(Engine::Mute),
            "build",
            "--progress=quiet",
        ])
        .args([
            "--frontend=dockerfile.v0",
            "--local=context=.",
            "--local=dockerfile=.",
        ])
        .args([
            "--opt=build-arg:SOURCE_DATE_EPOCH=1700000000",
            "--opt=attest:provenance=mode=max",
        ])
        .arg("--output=type=oci,dest=theirs.tar")
        .current_dir(context.path())
        .output()
        .expect("buildctl");
    assert!(output.status.success(), "{output:?}");
    let (ours, theirs) = (
        unpacked(&context.join("ours.tar")),
        unpacked(&context.join("theirs.tar")),
    );
    let ours = attested(ours.path());
    assert_eq!(ours.len(), 1, "{ours:?}");
    assert!(
        ours[0].1.starts_with("https://slsa.dev/provenance/"),
        "{ours:?}"
    );
    assert_eq!(ours, attested(theirs.path()));
    // None, as asked.
    let args = [
        EPOCH,
        "--provenance=false",
        "-o",
        "type=oci,dest=none,tar=false",
    ];
    Dagger::up(context.path(), Engine::Mute, &args)
        .run()
        .expect(0);
    let top: Value =
        serde_json::from_slice(&fs::read(context.join("none/index.json")).unwrap()).unwrap();
    let manifest = blob(&context.join("none"), &top["manifests"][0]["digest"]);
    assert!(
        manifest["layers"].is_array(),
        "an image and no index: {manifest}"
    );
}

#[test]
fn what_is_in_the_image_is_attested_by_a_scanner() {
    let registry = Registry::start(false);
    let scanner = Context::new(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nCOPY scan /scan\nENTRYPOINT [\"sh\", \"/scan\"]\n",
    );
    // The protocol is BuildKit's docs/attestations/sbom-protocol.md.
    scanner.write(
        "scan",
        "echo '{\"_type\": \"https://in-toto.io/Statement/v0.1\", \"predicateType\": \
         \"https://spdx.dev/Document\", \"predicate\": {\"name\": \"ours\"}}' \
         >$BUILDKIT_SCAN_DESTINATION/s.spdx.json\n",
    );
    let name = registry.image("scanner:v1");
    Dagger::up(scanner.path(), Engine::Mute, &["--push", "--tag", &name])
        .run()
        .expect(0);
    let context = Context::three_stages("sbom");
    let sbom = format!("--sbom=generator={name}");
    let args = [
        &sbom,
        "--provenance=false",
        "-o",
        "type=oci,dest=layout,tar=false",
    ];
    let run = Dagger::up(context.path(), Engine::Http, &args)
        .with_collector()
        .run()
        .expect(0);
    let found = attested(&context.join("layout"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].1, "https://spdx.dev/Document");
    run.verify(&[]).expect(0);
}

#[test]
fn an_image_is_loaded_into_docker_and_runs_there() {
    let context = Context::new(
        "FROM scratch\nADD rootfs.tar /\nENV PATH=/bin\nRUN echo loaded >/x\nCMD [\"cat\", \"/x\"]\n",
    );
    let host = engines().fact("/dockerd/host");
    let docker = |args: &[&str]| {
        let output = Command::new("docker")
            .args(args)
            .env("DOCKER_HOST", &host)
            .output()
            .expect("docker");
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    for (engine, tag) in [
        (bed().unix(Engine::Mute), "dagger-load:unix"),
        ("docker://".to_owned(), "dagger-load:built-in"),
    ] {
        Dagger::new(
            context.path(),
            &["up", "--log-format=plain", "--load", "--tag", tag],
        )
        .env("BUILDKIT_HOST", &engine)
        .env("DOCKER_HOST", &host)
        .run()
        .expect(0);
        assert_eq!(
            docker(&["run", "--rm", "--network=none", tag]),
            "loaded\n",
            "{engine}"
        );
        docker(&["image", "rm", "-f", tag]);
    }
}
