//! Compiles `proto/` into Rust, with protox in protoc's place.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "proto/buildkit/auth.proto",
        "proto/buildkit/control.proto",
        "proto/buildkit/gateway.proto",
        "proto/buildkit/secrets.proto",
        "proto/buildkit/ssh.proto",
        "proto/containerd/content.proto",
        "proto/fsutil/wire.proto",
        "proto/google/status.proto",
        "proto/grpc/health.proto",
        "proto/opentelemetry/proto/collector/trace/v1/trace_service.proto",
    ];
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure()
        // `buildkit` calls by path, so that one function makes the span of every call.
        .build_client(false)
        .build_server(false)
        // Maps in key order make the same request the same bytes.
        .btree_map(".")
        // File contents and tunnel frames are passed on, not copied.
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
