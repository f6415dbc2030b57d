//! Generated protocol types; the contracts are in `proto/`.
//!
//! Lives here: nothing but the generated code. Meaning is given to it in `buildkit` and `session`.
//! The modules follow the protobuf packages, because generated code refers to its neighbours so.
#![expect(missing_docs, clippy::doc_markdown, reason = "generated code")]

/// `fsutil.types`: the packets of a file transfer.
pub mod fsutil {
    tonic::include_proto!("fsutil.types");
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
    /// `moby.buildkit`.
    pub mod buildkit {
        /// `moby.buildkit.v1`: the daemon's control service.
        pub mod v1 {
            tonic::include_proto!("moby.buildkit.v1");
        }
    }
}

pub use moby::buildkit::v1 as control;
