//! The gateway (`moby.buildkit.v1.frontend.LLBBridge`): what a frontend does within a build, done by us.
//!
//! The build is a `Control/Solve` without frontend and definition, which waits until its result is
//! given here. Every call names the build it belongs to.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

use super::call::Method;
use super::client::Client;
use super::error::BuildkitError;
use crate::proto::control::CacheOptionsEntry;
use crate::proto::google::rpc;
use crate::proto::moby::buildkit::v1::frontend;
use crate::proto::pb;

macro_rules! bridge {
    ($name:literal) => {
        Method {
            service: "moby.buildkit.v1.frontend.LLBBridge",
            name: $name,
            full: concat!("moby.buildkit.v1.frontend.LLBBridge/", $name),
            path: concat!("/moby.buildkit.v1.frontend.LLBBridge/", $name),
        }
    };
}

/// A build's gateway.
#[derive(Clone, Debug)]
pub struct Gateway<'a> {
    client: &'a Client,
    build: String,
}

/// What is solved within a build.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// A graph; absent: the frontend makes one.
    pub definition: Option<pb::Definition>,
    /// A frontend's name; empty: none.
    pub frontend: String,
    /// What it is told.
    pub attrs: BTreeMap<String, String>,
    /// Graphs that it refers to as `input:NAME`.
    pub inputs: BTreeMap<String, pb::Definition>,
    /// Caches that are read.
    pub cache_imports: Vec<CacheOptionsEntry>,
}

/// A result within a build, to be looked at and given on.
#[derive(Clone, Debug, Default)]
pub struct PartResult(frontend::Result);

impl PartResult {
    /// The key of an image's configuration.
    const CONFIG: &str = "containerimage.config";

    /// The graph of a result for one platform.
    pub fn definition(&self) -> Option<&pb::Definition> {
        match self.0.result.as_ref()? {
            frontend::result::Result::Ref(one) => one.def.as_ref(),
            frontend::result::Result::Refs(_) => None,
        }
    }

    /// Are there results for several platforms?
    pub fn is_several(&self) -> bool {
        matches!(self.0.result, Some(frontend::result::Result::Refs(_)))
    }

    /// What the frontend says beside the result, by key.
    pub fn metadata(&self) -> &BTreeMap<String, Bytes> {
        &self.0.metadata
    }

    /// The image's configuration, as JSON.
    pub fn config(&self) -> Option<&[u8]> {
        self.0.metadata.get(Self::CONFIG).map(AsRef::as_ref)
    }

    /// Gives it an image's configuration, as JSON.
    pub fn set_config(&mut self, config: Vec<u8>) {
        self.0
            .metadata
            .insert(Self::CONFIG.to_owned(), config.into());
    }
}

/// Why a build has no result.
#[derive(Clone, Debug)]
pub struct GivenUp(rpc::Status);

impl GivenUp {
    /// The error of one of its parts, with what the daemon said of it.
    pub fn after(error: &BuildkitError) -> Self {
        let rich = error
            .status()
            .and_then(|status| rpc::Status::decode(status.details()).ok())
            .filter(|rich| !rich.message.is_empty());
        Self(rich.unwrap_or_else(|| {
            let (code, message) = match error.status() {
                Some(status) => (status.code(), status.message().to_owned()),
                None => (tonic::Code::Unknown, error.to_string()),
            };
            rpc::Status {
                code: code.into(),
                message,
                details: Vec::new(),
            }
        }))
    }

    /// A reason of ours.
    pub fn because(message: String) -> Self {
        Self(rpc::Status {
            code: tonic::Code::InvalidArgument.into(),
            message,
            details: Vec::new(),
        })
    }
}

impl<'a> Gateway<'a> {
    /// The gateway of the build `build`.
    pub fn new(client: &'a Client, build: String) -> Self {
        Self { client, build }
    }

    /// Waits until the build is there; the daemon itself waits some seconds for it.
    ///
    /// # Errors
    /// When the build does not come, or the daemon was lost.
    pub async fn ready(&self) -> Result<(), BuildkitError> {
        let answer = self.call(bridge!("Ping"), frontend::PingRequest {});
        answer.await.map(|_: frontend::PongResponse| ())
    }

    /// The name of the step that reads an image's configuration.
    pub fn metadata_step(reference: &str) -> String {
        format!("[internal] load metadata for {reference}")
    }

    /// The digest and the configuration (JSON) of an image, whose full name is `reference`.
    ///
    /// # Errors
    /// When there is no such image, or the daemon was lost.
    pub async fn image_config(
        &self,
        reference: &str,
        platform: pb::Platform,
    ) -> Result<(String, Bytes), BuildkitError> {
        let request = frontend::ResolveImageConfigRequest {
            r#ref: reference.to_owned(),
            platform: Some(platform),
            resolve_mode: "default".to_owned(),
            log_name: Self::metadata_step(reference),
        };
        let answer: frontend::ResolveImageConfigResponse =
            self.call(bridge!("ResolveImageConfig"), request).await?;
        Ok((answer.digest, answer.config))
    }

    /// Solves a part of the build, to its end.
    ///
    /// # Errors
    /// When a step or the frontend fails, or the daemon was lost.
    pub async fn solve(&self, part: Part) -> Result<PartResult, BuildkitError> {
        let request = frontend::SolveRequest {
            definition: part.definition,
            frontend: part.frontend,
            frontend_opt: part.attrs,
            allow_result_return: true,
            allow_result_array_ref: true,
            cache_imports: part.cache_imports,
            frontend_inputs: part.inputs,
            evaluate: true,
        };
        let answer: frontend::SolveResponse = self.call(bridge!("Solve"), request).await?;
        Ok(PartResult(answer.result.unwrap_or_default()))
    }

    /// Gives the build its result; the exporters begin.
    ///
    /// # Errors
    /// When the daemon was lost.
    pub async fn give(&self, result: PartResult) -> Result<(), BuildkitError> {
        self.give_back(frontend::ReturnRequest {
            result: Some(result.0),
            error: None,
        })
        .await
    }

    /// Ends the build without a result.
    ///
    /// # Errors
    /// When the daemon was lost.
    pub async fn give_up(&self, why: GivenUp) -> Result<(), BuildkitError> {
        self.give_back(frontend::ReturnRequest {
            result: None,
            error: Some(why.0),
        })
        .await
    }

    async fn give_back(&self, request: frontend::ReturnRequest) -> Result<(), BuildkitError> {
        let answer = self.call(bridge!("Return"), request);
        answer.await.map(|_: frontend::ReturnResponse| ())
    }

    async fn call<Q, A>(&self, method: Method, message: Q) -> Result<A, BuildkitError>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        self.client
            .unary_of_build(method, &self.build, message)
            .await
    }
}
