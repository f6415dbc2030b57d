//! TLS for `tcp://`: its files, the handshake, and certificate errors in plain words.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as TlsError, RootCertStore};

/// Names of the files in a `--tls-dir`, as buildctl has them: certificate authority, certificate, key.
const DIR_NAMES: [[&str; 3]; 2] = [
    ["ca.pem", "cert.pem", "key.pem"],
    ["ca.crt", "tls.crt", "tls.key"],
];

/// What TLS is made with. All unset: no TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who signed the engine's certificate; `None`: those the system trusts.
    pub ca: Option<PathBuf>,
    /// Our certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// The name that the engine's certificate is for; `None`: the address's host.
    pub server_name: Option<String>,
}

/// What is wrong with TLS, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) what: String,
    pub(super) help: String,
}

impl Problem {
    fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            help: help.into(),
        }
    }
}

impl TlsFiles {
    /// Is TLS wanted?
    pub fn wanted(&self) -> bool {
        *self != Self::default()
    }

    /// The files of a directory, under the names that buildctl knows.
    ///
    /// # Errors
    /// When the directory has no certificate authority under either name.
    pub fn in_dir(dir: &Path) -> Result<Self, String> {
        for [ca, cert, key] in DIR_NAMES {
            if dir.join(ca).exists() {
                let pair = dir.join(cert).exists() || dir.join(key).exists();
                return Ok(Self {
                    ca: Some(dir.join(ca)),
                    cert: pair.then(|| dir.join(cert)),
                    key: pair.then(|| dir.join(key)),
                    server_name: None,
                });
            }
        }
        Err(format!("`{}` has neither ca.pem nor ca.crt", dir.display()))
    }

    /// Shakes hands on a connection.
    pub(super) async fn handshake(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Problem> {
        let config = self.config()?;
        let name = self.server_name.as_deref().unwrap_or(host);
        let server = ServerName::try_from(name.to_owned()).map_err(|_| {
            Problem::new(
                format!("`{name}` is no name that a certificate can be for"),
                "set --tls-server-name to the name in the engine's certificate",
            )
        })?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(server, stream).await;
        stream.map_err(|error| explain(&error, name))
    }

    fn config(&self) -> Result<ClientConfig, Problem> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Problem::new(error.to_string(), "report this as a bug"))?
            .with_root_certificates(self.roots()?);
        let mut config = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let chain = certificates(cert)?;
                let secret = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| unreadable(key, "a private key", &error.to_string()))?;
                builder.with_client_auth_cert(chain, secret).map_err(|error| {
                    Problem::new(
                        format!(
                            "the certificate `{}` and the key `{}` cannot be used together: {error}",
                            cert.display(),
                            key.display()
                        ),
                        "give the key that the certificate was made for",
                    )
                })?
            }
            (None, None) => builder.with_no_client_auth(),
            (Some(_), None) => {
                return Err(Problem::new(
                    "there is a certificate but no key",
                    "set --tls-key or BUILDKIT_TLS_KEY too",
                ));
            }
            (None, Some(_)) => {
                return Err(Problem::new(
                    "there is a key but no certificate",
                    "set --tls-cert or BUILDKIT_TLS_CERT too",
                ));
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, Problem> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(ca) => {
                for certificate in certificates(ca)? {
                    roots.add(certificate).map_err(|error| {
                        unreadable(ca, "a certificate authority", &error.to_string())
                    })?;
                }
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
            }
        }
        Ok(roots)
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let wrong = |problem: &str| unreadable(file, "certificates", problem);
    let found = CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error.to_string()))?;
    let found: Result<Vec<_>, _> = found.collect();
    let found = found.map_err(|error| wrong(&error.to_string()))?;
    if found.is_empty() {
        return Err(wrong("it has none"));
    }
    Ok(found)
}

fn unreadable(file: &Path, what: &str, problem: &str) -> Problem {
    Problem::new(
        format!("cannot read {what} from `{}`: {problem}", file.display()),
        "give a readable file in PEM form (`-----BEGIN ...`)",
    )
}

/// A failed handshake in plain words.
fn explain(error: &io::Error, name: &str) -> Problem {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<TlsError>());
    match tls {
        Some(TlsError::InvalidCertificate(problem)) => certificate(problem, name),
        Some(TlsError::AlertReceived(alert)) => alert_named(&format!("{alert:?}")),
        Some(TlsError::InvalidMessage(_)) => Problem::new(
            "it answers without TLS",
            "unset BUILDKIT_TLS_* and the --tls-* flags, or start buildkitd with `--tlscert` and `--tlskey`",
        ),
        Some(other) => Problem::new(other.to_string(), "see the daemon's log"),
        None => Problem::new(
            format!("it closed the connection during the handshake: {error}"),
            "see whether buildkitd was started with `--tlscert` and `--tlskey`",
        ),
    }
}

fn certificate(problem: &CertificateError, name: &str) -> Problem {
    match problem {
        CertificateError::UnknownIssuer => Problem::new(
            "its certificate is signed by an authority that is not trusted here",
            "set --tls-ca or BUILDKIT_TLS_CA to the certificate of the authority that signed it",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let names = match problem {
                CertificateError::NotValidForNameContext { presented, .. } => {
                    // rustls gives the names as it debugs them.
                    let names = presented.iter().map(|name| {
                        let plain = name.split('"').nth(1);
                        format!("`{}`", plain.unwrap_or(name))
                    });
                    format!("it is for {}", names.collect::<Vec<_>>().join(", "))
                }
                _ => "it is for other names".to_owned(),
            };
            Problem::new(
                format!("its certificate is not for `{name}`; {names}"),
                "set --tls-server-name or BUILDKIT_TLS_SERVERNAME to a name that it is for",
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Problem::new(
            "its certificate has expired",
            "renew it; if it should be valid, see whether this machine's clock is right",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Problem::new(
                "its certificate is not valid yet",
                "see whether this machine's clock is right",
            )
        }
        other => Problem::new(
            format!("its certificate cannot be accepted: {other}"),
            "make it anew, with the engine's name as subjectAltName",
        ),
    }
}

/// What the engine says of our certificate, in the TLS alert that broke the connection. With TLS 1.3
/// that comes after the handshake.
pub(super) fn alert(error: &str) -> Option<Problem> {
    let alert = error.split("AlertReceived(").nth(1)?.split(')').next()?;
    Some(alert_named(alert))
}

/// We spoke without TLS, and the connection was closed.
pub(super) fn closed_without_a_word() -> Problem {
    Problem::new(
        "it closed the connection without a word, as a buildkitd with TLS does",
        "set --tls-ca or BUILDKIT_TLS_CA (and certificate and key if it asks for them), or see what listens there",
    )
}

/// The connection was closed before the first answer; the alert that says why may be lost with it.
pub(super) fn closed_after_the_handshake() -> Problem {
    Problem::new(
        "it closed the connection after the TLS handshake, as a buildkitd that wants another certificate does",
        "set --tls-cert and --tls-key, or BUILDKIT_TLS_CERT and BUILDKIT_TLS_KEY, to what it trusts; its log says why",
    )
}

/// We spoke without TLS, and were answered with it.
pub(super) fn wanted_by_the_engine() -> Problem {
    Problem::new(
        "it wants TLS, and no certificate authority was given",
        "set --tls-ca or BUILDKIT_TLS_CA, and --tls-cert and --tls-key if it asks for a certificate",
    )
}

fn alert_named(alert: &str) -> Problem {
    match alert {
        "CertificateRequired" | "HandshakeFailure" => Problem::new(
            "it wants a certificate from us",
            "set --tls-cert and --tls-key, or BUILDKIT_TLS_CERT and BUILDKIT_TLS_KEY",
        ),
        "UnknownCA" | "BadCertificate" | "DecryptError" => Problem::new(
            "it does not trust the authority that signed our certificate",
            "use a certificate signed by the authority in the daemon's `--tlscacert`",
        ),
        "CertificateExpired" => Problem::new(
            "our certificate has expired",
            "renew the one in --tls-cert or BUILDKIT_TLS_CERT",
        ),
        other => Problem::new(
            format!("it ended the handshake with the alert {other}"),
            "see the daemon's log",
        ),
    }
}
