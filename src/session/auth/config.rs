//! Docker's `config.json` and its credential helpers.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::session::error::SessionError;

/// The registry of Docker Hub, as it is asked for and as the configuration has it.
const HUB: (&str, &str) = ("registry-1.docker.io", "https://index.docker.io/v1/");

/// How long a credential helper may take.
const HELPER: Duration = Duration::from_secs(60);

/// Largest configuration or answer of a helper, in bytes.
const TEXT_BYTES: u64 = 4 << 20;

/// Where Docker keeps its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerConfig {
    /// The directory that holds `config.json`: `$DOCKER_CONFIG`, else `~/.docker`.
    pub dir: Option<PathBuf>,
}

/// Who we are to a registry; nobody by default. Shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: String,
    pub(super) identity_token: String,
    pub(super) registry_token: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl Credentials {
    /// User and secret; an identity token has no user.
    pub(super) fn pair(&self) -> (String, String) {
        if self.identity_token.is_empty() {
            (self.username.clone(), self.password.clone())
        } else {
            (String::new(), self.identity_token.clone())
        }
    }
}

/// Credentials, looked up once a registry; helpers are run one at a time.
#[derive(Debug, Default)]
pub(super) struct Cached {
    config: DockerConfig,
    known: Mutex<BTreeMap<String, Credentials>>,
}

#[derive(Default, Deserialize)]
struct File {
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: String,
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, rename = "Username")]
    username: String,
    #[serde(default, rename = "Secret")]
    secret: String,
}

impl Cached {
    pub(super) fn new(config: DockerConfig) -> Self {
        Self {
            config,
            known: Mutex::default(),
        }
    }

    /// Who we are to `host`.
    pub(super) async fn credentials(&self, host: &str) -> Result<Credentials, SessionError> {
        let mut known = self.known.lock().await;
        if let Some(found) = known.get(host) {
            return Ok(found.clone());
        }
        let found = self.look_up(host).await?;
        known.insert(host.to_owned(), found.clone());
        Ok(found)
    }

    async fn look_up(&self, host: &str) -> Result<Credentials, SessionError> {
        let Some(file) = self.file().await? else {
            return Ok(Credentials::default());
        };
        let key = if host == HUB.0 { HUB.1 } else { host };
        let helper = file.helpers.get(key).or(Some(&file.store));
        if let Some(name) = helper.filter(|name| !name.is_empty())
            && let Some(found) = ask(name, key).await?
        {
            return Ok(found);
        }
        file.credentials(key, host)
    }

    async fn file(&self) -> Result<Option<File>, SessionError> {
        let Some(dir) = &self.config.dir else {
            return Ok(None);
        };
        let path = dir.join("config.json");
        let text = match tokio::fs::read(&path).await {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(SessionError::Path {
                    action: "read Docker's configuration",
                    path,
                    source,
                });
            }
        };
        // What the parser says may quote the file.
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            SessionError::Helper(format!(
                "Docker's configuration `{}` is not what it should be, in line {}",
                path.display(),
                error.line()
            ))
        })
    }
}

impl File {
    /// What stands in the file itself.
    fn credentials(&self, key: &str, host: &str) -> Result<Credentials, SessionError> {
        // Old entries have a scheme and a path.
        let same = |entry: &str| hostname(entry) == hostname(key);
        let entry = self.auths.get(key).or_else(|| {
            let mut named = self.auths.iter().filter(|(name, _)| same(name));
            named.next().map(|(_, entry)| entry)
        });
        entry.map_or_else(|| Ok(Credentials::default()), |entry| entry.read(host))
    }
}

/// Does this text of a `config.json` name someone for `host`? No helper is asked.
pub(in crate::session) fn names(text: &[u8], host: &str) -> bool {
    let file: Result<File, _> = serde_json::from_slice(text);
    file.is_ok_and(|file| {
        file.credentials(host, host)
            .is_ok_and(|found| found != Credentials::default())
    })
}

impl Entry {
    fn read(&self, host: &str) -> Result<Credentials, SessionError> {
        let mut found = Credentials {
            username: self.username.clone(),
            password: self.password.clone(),
            identity_token: self.identitytoken.clone(),
            registry_token: self.registrytoken.clone(),
        };
        if !self.auth.is_empty() {
            let decoded = base64::engine::general_purpose::STANDARD.decode(&self.auth);
            let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let pair = text.as_deref().and_then(|text| text.split_once(':'));
            let (username, password) = pair.ok_or_else(|| {
                SessionError::Helper(format!(
                    "Docker's configuration has an unreadable `auth` for {host}"
                ))
            })?;
            found.username = username.into();
            found.password = password.trim_end_matches('\0').into();
        }
        Ok(found)
    }
}

/// The host of an entry: `https://host/v1/` is `host`.
fn hostname(entry: &str) -> &str {
    let plain = entry
        .strip_prefix("https://")
        .or_else(|| entry.strip_prefix("http://"))
        .unwrap_or(entry);
    plain.split('/').next().unwrap_or(plain)
}

/// Asks a credential helper; `None`: it knows nothing of this registry.
async fn ask(name: &str, server: &str) -> Result<Option<Credentials>, SessionError> {
    let program = format!("docker-credential-{name}");
    let failed = |why: String| SessionError::Helper(format!("{program} {why}"));
    if name.contains('/') {
        return Err(failed("is no name of a program".into()));
    }
    let work = async {
        let mut child = Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that does not read it has its own way to say so.
            let _ = stdin.write_all(server.as_bytes()).await;
        }
        let mut text = Vec::new();
        if let Some(out) = child.stdout.take() {
            out.take(TEXT_BYTES).read_to_end(&mut text).await?;
        }
        Ok::<_, io::Error>((child.wait().await?, text))
    };
    let (status, text) = tokio::time::timeout(HELPER, work)
        .await
        .map_err(|_| failed(format!("took longer than {} s", HELPER.as_secs())))?
        .map_err(|error| failed(format!("cannot be run: {error}")))?;
    if !status.success() {
        if String::from_utf8_lossy(&text).contains("credentials not found") {
            return Ok(None);
        }
        return Err(failed(format!("failed: {status}")));
    }
    let answer: Answer = serde_json::from_slice(&text)
        .map_err(|_| failed("does not answer with a username and a secret".into()))?;
    Ok(Some(if answer.username == "<token>" {
        Credentials {
            identity_token: answer.secret,
            ..Credentials::default()
        }
    } else {
        Credentials {
            username: answer.username,
            password: answer.secret,
            ..Credentials::default()
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn look_up(config: &str, host: &str) -> Result<Credentials, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        let config = DockerConfig {
            dir: Some(dir.path().into()),
        };
        let cached = Cached::new(config);
        cached
            .credentials(host)
            .await
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn an_entry_is_found_however_it_is_written() {
        // `u:p` in base 64.
        for (key, host) in [
            ("r.example", "r.example"),
            ("https://r.example/v1/", "r.example"),
            ("https://index.docker.io/v1/", "registry-1.docker.io"),
        ] {
            let config = format!(r#"{{"auths": {{"{key}": {{"auth": "dTpw"}}}}}}"#);
            let found = look_up(&config, host).await.unwrap();
            assert_eq!(found.pair(), ("u".into(), "p".into()), "{key}");
            assert_eq!(format!("{found:?}"), "Credentials(..)");
        }
    }

    #[tokio::test]
    async fn without_configuration_we_are_nobody() {
        let found = look_up("{}", "r.example").await.unwrap();
        assert_eq!(found, Credentials::default());
        let cached = Cached::new(DockerConfig::default());
        assert_eq!(
            cached.credentials("x").await.unwrap(),
            Credentials::default()
        );
    }

    #[tokio::test]
    async fn an_identity_token_has_no_user() {
        let config = r#"{"auths": {"r": {"auth": "dTpw", "identitytoken": "t"}}}"#;
        assert_eq!(
            look_up(config, "r").await.unwrap().pair(),
            (String::new(), "t".into())
        );
    }

    #[tokio::test]
    async fn errors_quote_nothing() {
        let broken = look_up(r#"{"auths": "hunter2""#, "r").await.unwrap_err();
        let unreadable = look_up(r#"{"auths": {"r": {"auth": "hunter2"}}}"#, "r").await;
        let missing = look_up(r#"{"credsStore": "there-is-none"}"#, "r").await;
        assert!(!broken.contains("hunter2") && !unreadable.unwrap_err().contains("hunter2"));
        assert!(
            missing
                .unwrap_err()
                .starts_with("docker-credential-there-is-none cannot be run")
        );
    }
}
