//! A token of a registry (distribution's token authentication), fetched where the password is.

use std::time::Duration;

use reqwest::{Client, StatusCode, Url, header};
use serde::Deserialize;

use super::config::Credentials;
use crate::proto::auth::{FetchTokenRequest, FetchTokenResponse};
use crate::session::error::SessionError;

/// How long a registry may take to give a token.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long a token holds that does not say, in seconds.
const EXPIRES: i64 = 60;

/// Largest answer, in bytes.
const ANSWER_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: i64,
    #[serde(default)]
    issued_at: String,
}

/// Fetches a token: with OAuth's POST if we are somebody, else with a plain GET.
pub(super) async fn fetch(
    request: &FetchTokenRequest,
    who: &Credentials,
) -> Result<FetchTokenResponse, SessionError> {
    if !who.registry_token.is_empty() {
        return Ok(FetchTokenResponse {
            token: who.registry_token.clone(),
            expires_in: EXPIRES,
            issued_at: 0,
        });
    }
    let refused = |why: String| {
        SessionError::Helper(format!(
            "no token for {} from {}: {why}",
            request.host, request.realm
        ))
    };
    let realm = Url::parse(&request.realm).map_err(|error| refused(error.to_string()))?;
    let client = Client::builder()
        .timeout(DEADLINE)
        .build()
        .map_err(|error| refused(error.to_string()))?;
    let (username, secret) = who.pair();
    let mut answer = None;
    if !secret.is_empty() {
        let mut form = realm.clone();
        form.query_pairs_mut()
            .clear()
            .append_pair("scope", &request.scopes.join(" "))
            .append_pair("service", &request.service)
            .append_pair("client_id", "buildkit-client");
        if username.is_empty() {
            form.query_pairs_mut()
                .append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", &secret);
        } else {
            form.query_pairs_mut()
                .append_pair("grant_type", "password")
                .append_pair("username", &username)
                .append_pair("password", &secret);
        }
        let post = client
            .post(realm.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned());
        let response = post.send().await.map_err(|error| refused(plain(error)))?;
        match response.status() {
            // Registries that know no POST say so in these ways.
            StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED => {}
            StatusCode::METHOD_NOT_ALLOWED if !username.is_empty() => {}
            _ => answer = Some(read(response).await.map_err(refused)?),
        }
    }
    let answer = match answer {
        Some(answer) => answer,
        None => {
            let mut url = realm;
            if !request.service.is_empty() {
                url.query_pairs_mut()
                    .append_pair("service", &request.service);
            }
            for scope in &request.scopes {
                url.query_pairs_mut().append_pair("scope", scope);
            }
            let mut get = client.get(url);
            if !secret.is_empty() {
                get = get.basic_auth(username, Some(secret));
            }
            let response = get.send().await.map_err(|error| refused(plain(error)))?;
            read(response).await.map_err(refused)?
        }
    };
    let token = if answer.token.is_empty() {
        answer.access_token
    } else {
        answer.token
    };
    if token.is_empty() {
        return Err(refused("the answer has none".into()));
    }
    Ok(FetchTokenResponse {
        token,
        expires_in: if answer.expires_in > 0 {
            answer.expires_in
        } else {
            EXPIRES
        },
        issued_at: answer
            .issued_at
            .parse()
            .map_or(0, jiff::Timestamp::as_second),
    })
}

/// The answer, or its status; its text is not told, it may quote what was sent.
async fn read(response: reqwest::Response) -> Result<Answer, String> {
    let status = response.status();
    if !status.is_success() {
        return Err(format!("status {status}"));
    }
    let mut response = response;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(plain)? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err("the answer is too large".into());
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| "the answer is not JSON with a token".into())
}

/// What went wrong, without the address, which may hold what is not to be shown.
fn plain(error: reqwest::Error) -> String {
    error.without_url().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiremock::matchers::{basic_auth, body_string_contains, method, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    fn request(server: &MockServer) -> FetchTokenRequest {
        FetchTokenRequest {
            host: "r.example".into(),
            realm: format!("{}/token", server.uri()),
            service: "r".into(),
            scopes: vec!["repository:a:pull".into()],
            ..FetchTokenRequest::default()
        }
    }

    fn user() -> Credentials {
        Credentials {
            username: "u".into(),
            password: "hunter2".into(),
            ..Credentials::default()
        }
    }

    #[tokio::test]
    async fn somebody_posts_and_falls_back_to_get() {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(body_string_contains("grant_type=password"))
            .respond_with(ResponseTemplate::new(405))
            .expect(1)
            .mount(&server)
            .await;
        Mock::given(method("GET"))
            .and(basic_auth("u", "hunter2"))
            .and(query_param("scope", "repository:a:pull"))
            .respond_with(ResponseTemplate::new(200).set_body_string(
                r#"{"token": "t", "expires_in": 300, "issued_at": "2026-01-01T00:00:00Z"}"#,
            ))
            .mount(&server)
            .await;
        let token = fetch(&request(&server), &user()).await.unwrap();
        assert_eq!((&*token.token, token.expires_in), ("t", 300));
        assert_eq!(token.issued_at, 1_767_225_600);
    }

    #[tokio::test]
    async fn nobody_gets() {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"access_token": "t"}"#))
            .mount(&server)
            .await;
        let token = fetch(&request(&server), &Credentials::default())
            .await
            .unwrap();
        assert_eq!((&*token.token, token.expires_in), ("t", EXPIRES));
    }

    #[tokio::test]
    async fn a_refusal_does_not_quote_the_password() {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(403).set_body_string("hunter2"))
            .mount(&server)
            .await;
        let error = fetch(&request(&server), &user())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("status 403 Forbidden") && !error.contains("hunter2"),
            "{error}"
        );
    }
}
