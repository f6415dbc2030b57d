//! Generated protocol types; the contracts are in `proto/`.
//!
//! Lives here: nothing but the generated code. Meaning is given to it in `buildkit` and `session`.
//! The modules follow the protobuf packages, because generated code refers to its neighbours so.
#![expect(
    missing_docs,
    clippy::doc_markdown,
    clippy::large_enum_variant,
    reason = "generated code"
)]

/// `fsutil.types`: the packets of a file transfer.
pub mod fsutil {
    tonic::include_proto!("fsutil.types");
}

/// `containerd.services.content.v1`: blobs by digest, read from the daemon or by it.
pub mod content {
    tonic::include_proto!("containerd.services.content.v1");
}

/// `google.rpc`: the rich error model.
pub mod google {
    /// `google.rpc`.
    pub mod rpc {
        tonic::include_proto!("google.rpc");
    }
}

/// `grpc.health.v1`: the health check that the daemon runs on every session.
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}

/// BuildKit's packages.
pub mod moby {
    /// `moby.filesync.v1`: credentials of registries.
    pub mod auth {
        tonic::include_proto!("moby.filesync.v1");
    }

    /// `moby.sshforward.v1`: the ssh agent.
    pub mod ssh {
        tonic::include_proto!("moby.sshforward.v1");
    }

    /// `moby.buildkit`.
    pub mod buildkit {
        /// `moby.buildkit.secrets.v1`: secrets that the daemon asks for.
        pub mod secrets {
            tonic::include_proto!("moby.buildkit.secrets.v1");
        }

        /// `moby.buildkit.v1`: the daemon's control service.
        pub mod v1 {
            tonic::include_proto!("moby.buildkit.v1");

            /// `moby.buildkit.v1.frontend`: what a frontend asks for within a build.
            pub mod frontend {
                tonic::include_proto!("moby.buildkit.v1.frontend");
            }

            /// `moby.buildkit.v1.sourcepolicy`: what sources a build may use.
            pub mod sourcepolicy {
                tonic::include_proto!("moby.buildkit.v1.sourcepolicy");
            }
        }
    }
}

/// `pb`: LLB, the graph that a build is made of.
pub mod pb {
    tonic::include_proto!("pb");
}

/// OpenTelemetry's packages (OTLP).
pub mod opentelemetry {
    /// `opentelemetry.proto`.
    pub mod proto {
        /// `opentelemetry.proto.common`.
        pub mod common {
            /// Values and key-value pairs.
            pub mod v1 {
                tonic::include_proto!("opentelemetry.proto.common.v1");
            }
        }

        /// `opentelemetry.proto.resource`.
        pub mod resource {
            /// Who made a span.
            pub mod v1 {
                tonic::include_proto!("opentelemetry.proto.resource.v1");
            }
        }

        /// `opentelemetry.proto.trace`.
        pub mod trace {
            /// Spans.
            pub mod v1 {
                tonic::include_proto!("opentelemetry.proto.trace.v1");
            }
        }

        /// `opentelemetry.proto.collector`.
        pub mod collector {
            /// `opentelemetry.proto.collector.trace`.
            pub mod trace {
                /// The service that spans are sent to.
                pub mod v1 {
                    tonic::include_proto!("opentelemetry.proto.collector.trace.v1");
                }
            }
        }
    }
}

pub use moby::buildkit::{secrets, v1 as control};
pub use moby::{auth, ssh};
