//! `dagger trace serve`: the page and Jaeger's query API on what the local store holds.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use clap::Args;
use tokio::net::TcpListener;

use crate::cli::diagnostic::Failure;
use crate::cli::env::Env;
use crate::cli::pipes;
use crate::cli::traced::Start;
use crate::trace::store::Store;
use crate::viewer::server::{Hosts, Served, router, serve};

/// Arguments of `dagger trace serve`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServeArgs {
    /// Where the page and Jaeger's query API are; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:16686", value_parser = address)]
    listen: SocketAddr,
    /// A name under which it may be asked, beside `localhost` and addresses; may be repeated
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Open the page in a browser ($BROWSER, else xdg-open)
    #[arg(long)]
    open: bool,
}

/// `HOST:PORT`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found
        .next()
        .ok_or_else(|| "the name has no address".to_owned())
}

/// Serves until Ctrl-C.
pub(super) fn run(args: &ServeArgs, start: Start<'_>) -> Result<u8, Failure> {
    let env = start.env;
    let state = env.state_dir().ok_or_else(|| Failure::Usage {
        message: "there is no trace store: HOME is not set".into(),
        help: "set HOME or XDG_STATE_HOME".into(),
    })?;
    let store = Store::open(&state)?;
    start.until_stopped(async |untraced| {
        let listener = bind(args.listen, "--listen").await?;
        let at = listener.local_addr()?;
        warn_of(at);
        say(&format!("page and query API: http://{at}\n"))?;
        let hosts = Hosts::new(args.allow_host.iter().cloned());
        let served = Served::new(&store, hosts, SystemTime::now, untraced.cancel.clone());
        if args.open {
            open(env, &format!("http://{}/", loopback(at)));
        }
        serve(listener, router(served), untraced.cancel).await;
        Ok(0)
    })
}

/// Listens there; `flag` is what chose it.
async fn bind(at: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(at)
        .await
        .map_err(|error| refused(at, flag, &error))
}

fn refused(at: SocketAddr, flag: &str, error: &io::Error) -> Failure {
    let (why, help) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "another program listens there".to_owned(),
            format!(
                "is a Jaeger or another `dagger trace serve` running? End it, or choose another address with {flag}"
            ),
        ),
        io::ErrorKind::AddrNotAvailable => (
            "this machine has no such address".to_owned(),
            format!(
                "choose one of its own with {flag}, e.g. 127.0.0.1:{}",
                at.port()
            ),
        ),
        io::ErrorKind::PermissionDenied => (
            "ports below 1024 are the administrator's".to_owned(),
            format!("choose a higher port with {flag}"),
        ),
        _ => (
            error.to_string(),
            format!("choose another address with {flag}"),
        ),
    };
    Failure::Usage {
        message: format!("cannot listen on {at}: {why}"),
        help,
    }
}

fn warn_of(at: SocketAddr) {
    if !at.ip().is_loopback() {
        tracing::warn!(
            address = %at,
            "anyone who reaches this address can read the traces: names, arguments and output of builds"
        );
    }
}

fn say(text: &str) -> Result<(), Failure> {
    Ok(pipes::print(text.as_bytes())?)
}

/// What a browser on this machine asks when all addresses are listened on.
fn loopback(at: SocketAddr) -> SocketAddr {
    if at.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], at.port()))
    } else {
        at
    }
}

/// Opens the page. That it cannot be is no reason not to serve.
fn open(env: &Env, url: &str) {
    let program = env.get("BROWSER").unwrap_or_else(|| "xdg-open".into());
    let started = Command::new(&program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        // Waited for, so that it is no zombie.
        Ok(mut child) => drop(std::thread::spawn(move || child.wait())),
        Err(error) => {
            tracing::warn!(%error, program, url, "the page cannot be opened; open it yourself")
        }
    }
}
