//! Credentials of registries: Docker's configuration, its credential helpers, and tokens.
//!
//! The daemon is given tokens, fetched here, so that passwords stay here; an engine that cannot take
//! them asks for the credentials. Lives here: the answers. Elsewhere: reading the configuration
//! (`auth/config`), fetching a token (`auth/token`).

mod config;
mod token;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use tokio::sync::OnceCell;

use super::error::SessionError;
use crate::proto::auth::{
    CredentialsResponse, FetchTokenRequest, FetchTokenResponse, GetTokenAuthorityRequest,
    GetTokenAuthorityResponse, VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse,
};

pub use config::DockerConfig;
pub(super) use config::names;
use config::{Cached, Credentials};

/// Answers questions for credentials.
#[derive(Debug, Default)]
pub(super) struct Auth {
    cached: Cached,
    /// What our signatures are made from; another in each run.
    seed: OnceCell<[u8; 32]>,
}

impl Auth {
    pub(super) fn new(config: DockerConfig) -> Self {
        Self {
            cached: Cached::new(config),
            seed: OnceCell::new(),
        }
    }

    pub(super) async fn credentials(
        &self,
        host: &str,
    ) -> Result<CredentialsResponse, SessionError> {
        let found = self.cached.credentials(host).await?;
        let (username, secret) = found.pair();
        Ok(CredentialsResponse { username, secret })
    }

    pub(super) async fn token(
        &self,
        request: FetchTokenRequest,
    ) -> Result<FetchTokenResponse, SessionError> {
        let found = self.cached.credentials(&request.host).await?;
        token::fetch(&request, &found).await
    }

    pub(super) async fn authority(
        &self,
        request: &GetTokenAuthorityRequest,
    ) -> Result<GetTokenAuthorityResponse, SessionError> {
        let key = self.key(&request.host, &request.salt).await?;
        let public_key = key.public_key().as_ref().to_vec().into();
        Ok(GetTokenAuthorityResponse { public_key })
    }

    pub(super) async fn verify(
        &self,
        request: &VerifyTokenAuthorityRequest,
    ) -> Result<VerifyTokenAuthorityResponse, SessionError> {
        let key = self.key(&request.host, &request.salt).await?;
        // As NaCl's `crypto_sign`: the signature, then what is signed.
        let mut signed = key.sign(&request.payload).as_ref().to_vec();
        signed.extend_from_slice(&request.payload);
        Ok(VerifyTokenAuthorityResponse {
            signed: signed.into(),
        })
    }

    /// The key that stands for who we are to this registry; all who are nobody have the same.
    async fn key(&self, host: &str, salt: &[u8]) -> Result<Ed25519KeyPair, SessionError> {
        let found = self.cached.credentials(host).await?;
        let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, salt));
        if found != Credentials::default() {
            let seed = self.seed.get_or_try_init(async || {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed)
                    .map(|()| seed)
                    .map_err(|error| SessionError::Helper(format!("no randomness: {error}")))
            });
            mac.update(seed.await?);
            mac.update(host.as_bytes());
        }
        Ed25519KeyPair::from_seed_unchecked(mac.sign().as_ref())
            .map_err(|error| SessionError::Helper(format!("no key: {error}")))
    }
}
