//! `dagger trace serve`: the page and Jaeger's query API on what the local store holds, and receiving
//! spans in Jaeger's place.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use axum::Router;
use clap::Args;
use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli::diagnostic::Failure;
use crate::cli::env::Env;
use crate::cli::traced::Start;
use crate::cli::{pipes, retain};
use crate::trace::store::Store;
use crate::viewer::collector::{self, Encoding, Intake};
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
    /// Also receive spans, in Jaeger's place
    #[arg(long)]
    collector: bool,
    #[command(flatten)]
    addresses: CollectorArgs,
    /// Open the page in a browser ($BROWSER, else xdg-open)
    #[arg(long)]
    open: bool,
}

/// Where spans are received.
#[derive(Debug, Args)]
struct CollectorArgs {
    /// With --collector: Jaeger's thrift over HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:14268", value_parser = address, hide_short_help = true)]
    collector_http: SocketAddr,
    /// With --collector: Jaeger's agent, compact thrift in datagrams
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6831", value_parser = address, hide_short_help = true)]
    collector_udp: SocketAddr,
    /// With --collector: Jaeger's agent, binary thrift in datagrams
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6832", value_parser = address, hide_short_help = true)]
    collector_udp_binary: SocketAddr,
    /// With --collector: OTLP over HTTP, protobuf and JSON
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4318", value_parser = address, hide_short_help = true)]
    collector_otlp: SocketAddr,
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
    let limits = retain::lasting(env);
    let limits = Box::new(move || limits(SystemTime::now()));
    start.until_stopped(async |untraced| {
        let ended = untraced.cancel;
        let mut serving = Vec::new();
        let page = bind(args.listen, "--listen").await?;
        if args.collector {
            let intake = Intake::start(&store, limits)?;
            serving = receivers(&args.addresses, &intake, &ended).await?;
        }
        let at = page.local_addr()?;
        warn_of(at);
        say(&format!("page and query API: http://{at}\n"))?;
        let hosts = Hosts::new(args.allow_host.iter().cloned());
        let served = Served::new(&store, hosts, SystemTime::now, ended.clone());
        if args.open {
            open(env, &format!("http://{}/", loopback(at)));
        }
        serving.push((page, router(served)));
        let serving = serving
            .into_iter()
            .map(|(listener, routes)| serve(listener, routes, ended.clone()));
        join_all(serving).await;
        Ok(0)
    })
}

/// Listens for spans in each of the ways, and says where.
async fn receivers(
    args: &CollectorArgs,
    intake: &Intake,
    ended: &CancellationToken,
) -> Result<Vec<(TcpListener, Router)>, Failure> {
    let http = bind(args.collector_http, "--collector-http").await?;
    let otlp = bind(args.collector_otlp, "--collector-otlp").await?;
    let (at_http, at_otlp) = (http.local_addr()?, otlp.local_addr()?);
    say(&format!("collector: http://{at_http}/api/traces\n"))?;
    say(&format!("OTLP: http://{at_otlp}/v1/traces\n"))?;
    for (at, flag, encoding, what) in [
        (
            args.collector_udp,
            "--collector-udp",
            Encoding::Compact,
            "agent",
        ),
        (
            args.collector_udp_binary,
            "--collector-udp-binary",
            Encoding::Binary,
            "agent (binary)",
        ),
    ] {
        let here = collector::receive(at, encoding, intake.clone(), ended.clone())
            .map_err(|error| refused(at, flag, &error))?;
        say(&format!("{what}: {here}\n"))?;
        warn_of_senders(here);
    }
    warn_of_senders(at_http);
    warn_of_senders(at_otlp);
    Ok(vec![
        (http, collector::jaeger(intake.clone())),
        (otlp, collector::otlp(intake.clone())),
    ])
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

fn warn_of_senders(at: SocketAddr) {
    if !at.ip().is_loopback() {
        tracing::warn!(address = %at, "anyone who reaches this address can add spans");
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
