//! From flags and variables to the engine room's settings.

use std::path::PathBuf;

use clap::Args;

use super::diagnostic::Failure;
use super::env::Env;
use crate::engine::{EngineSettings, TlsFiles};

/// Flags about the connection to the engine.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection (BUILDKIT_HOST says where)")]
pub(super) struct ConnectionArgs {
    /// Log more: -v how the engine was chosen, -vv why
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,

    /// Certificate of the authority that signed the engine's [env: BUILDKIT_TLS_CA]
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// Our certificate [env: BUILDKIT_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The key of our certificate [env: BUILDKIT_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// The name that the engine's certificate is for [env: BUILDKIT_TLS_SERVERNAME]
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<String>,

    /// A directory with ca.pem, cert.pem and key.pem (or ca.crt, tls.crt, tls.key) [env: BUILDKIT_TLS_DIR]
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<PathBuf>,
}

impl ConnectionArgs {
    /// What the engine room is told.
    ///
    /// # Errors
    /// When a value makes no sense.
    pub(super) fn settings(&self, env: &Env) -> Result<EngineSettings, Failure> {
        let file = |key: &str| env.get(key).map(PathBuf::from);
        let dir = self.tls_dir.clone().or_else(|| file("BUILDKIT_TLS_DIR"));
        let dir = match dir {
            Some(dir) => {
                TlsFiles::in_dir(&env.cwd.join(dir)).map_err(|problem| Failure::Usage {
                    message: format!("--tls-dir: {problem}"),
                    help: "name the directory with the engine's ca.pem".into(),
                })?
            }
            None => TlsFiles::default(),
        };
        let pick = |flag: &Option<PathBuf>, key: &str, dir: Option<PathBuf>| {
            let given = flag.clone().or_else(|| file(key));
            given.map(|path| env.cwd.join(path)).or(dir)
        };
        let tls = TlsFiles {
            ca: pick(&self.tls_ca, "BUILDKIT_TLS_CA", dir.ca),
            cert: pick(&self.tls_cert, "BUILDKIT_TLS_CERT", dir.cert),
            key: pick(&self.tls_key, "BUILDKIT_TLS_KEY", dir.key),
            server_name: self
                .tls_server_name
                .clone()
                .or_else(|| env.get("BUILDKIT_TLS_SERVERNAME")),
        };
        let settings = EngineSettings {
            address: None,
            tls,
            path: env.get("PATH"),
            program: env.program.clone(),
            runtime_dir: file("XDG_RUNTIME_DIR").filter(|path| path.is_absolute()),
            state_dir: env.state_dir(),
            config_dir: env.config_dir(),
            docker_host: env.get("DOCKER_HOST"),
            docker_context: docker_context(env),
            image: env.get("DAGGER_BUILDKIT_IMAGE"),
            may_start: true,
        };
        Ok(settings.with_host(env.get("BUILDKIT_HOST").as_deref())?)
    }
}

/// Does docker's command line use a context of its own? Its configuration says so as `currentContext`.
fn docker_context(env: &Env) -> bool {
    if let Some(context) = env.get("DOCKER_CONTEXT") {
        return context != "default";
    }
    let dir = env.get("DOCKER_CONFIG").map(PathBuf::from);
    let dir = dir.or_else(|| Some(PathBuf::from(env.get("HOME")?).join(".docker")));
    let text = dir.and_then(|dir| std::fs::read_to_string(dir.join("config.json")).ok());
    let config = text.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    let context = config
        .as_ref()
        .and_then(|config| config.get("currentContext")?.as_str());
    !matches!(context, None | Some("" | "default"))
}
