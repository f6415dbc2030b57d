//! Who may ask: only those who mean this server by its name, and what each answer forbids a browser.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Served;
use super::answer::{Refused, Shape};
use crate::viewer::page::CONTENT_SECURITY_POLICY;

/// The names under which the server may be asked.
///
/// Another name in `Host` means that a web page made its own name point here (DNS rebinding), to read
/// what is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Loopback's names, IP addresses, and these further names.
    pub fn new(further: impl IntoIterator<Item = String>) -> Self {
        Self(
            further
                .into_iter()
                .map(|name| name.to_lowercase())
                .collect(),
        )
    }

    /// May it be asked under this `Host`, with or without a port?
    pub fn allow(&self, host: &str) -> bool {
        let host = host.trim().to_lowercase();
        let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address.to_owned(),
            None => host.split(':').next().unwrap_or_default().to_owned(),
        };
        let name = name.trim_end_matches('.');
        // A page cannot rebind an address, only a name.
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok()
            || self.0.iter().any(|known| known == name)
    }
}

pub(super) async fn check(State(served): State<Served>, request: Request, next: Next) -> Response {
    let header_host = request.headers().get(header::HOST);
    let host = header_host.and_then(|host| host.to_str().ok());
    let host = host.or_else(|| {
        request
            .uri()
            .authority()
            .map(|authority| authority.as_str())
    });
    let mut answer = if host.is_some_and(|host| served.hosts().allow(host)) {
        next.run(request).await
    } else {
        let text = "this server is not known under the name in `Host`; name it with --allow-host";
        Refused::new(StatusCode::MISDIRECTED_REQUEST, text).respond(Shape::Page)
    };
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_are_answered() {
        let hosts = Hosts::new(["Builds.Example".to_owned()]);
        for host in [
            "localhost:16686",
            "LOCALHOST",
            "127.0.0.1:1",
            "[::1]:16686",
            "builds.example:80",
            "jaeger.localhost",
        ] {
            assert!(hosts.allow(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
        ] {
            assert!(!hosts.allow(host), "{host}");
        }
    }
}
