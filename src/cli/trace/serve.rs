//! `dagger trace serve`: the page and Jaeger's query API on what the local store holds, and receiving
//! spans in Jaeger's place.

mod listening;

use std::net::SocketAddr;
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
use crate::trace::ns;
use crate::trace::store::Store;
use crate::viewer::collector::{self, Encoding, Intake};
use crate::viewer::server::{Hosts, Served, router, serve};
use listening::{Where, loopback};

/// Arguments of `dagger trace serve`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServeArgs {
    /// Where the page and Jaeger's query API are; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:16686")]
    listen: Where,
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
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "localhost:14268",
        hide_short_help = true
    )]
    collector_http: Where,
    /// With --collector: Jaeger's agent, compact thrift in datagrams
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "localhost:6831",
        hide_short_help = true
    )]
    collector_udp: Where,
    /// With --collector: Jaeger's agent, binary thrift in datagrams
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "localhost:6832",
        hide_short_help = true
    )]
    collector_udp_binary: Where,
    /// With --collector: OTLP over HTTP, protobuf and JSON
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "localhost:4318",
        hide_short_help = true
    )]
    collector_otlp: Where,
}

/// Serves until Ctrl-C.
pub(super) fn run(args: &ServeArgs, start: Start<'_>) -> Result<u8, Failure> {
    let env = start.env;
    let state = env.state_dir().ok_or_else(|| Failure::Usage {
        message: "there is no trace store: HOME is not set".into(),
        help: "set HOME or XDG_STATE_HOME".into(),
    })?;
    let store = Store::open(&state)?;
    // A store that cannot be written can be shown all the same.
    if let Err(error) = store.end_left_open(ns::now()) {
        tracing::debug!(%error, "spans of killed runs stay open");
    }
    let limits = retain::lasting(env);
    let limits = Box::new(move || limits(SystemTime::now()));
    start.until_stopped(async |untraced| {
        let ended = untraced.cancel;
        let mut serving = Vec::new();
        let page = args.listen.listen_tcp("--listen")?;
        if args.collector {
            let intake = Intake::start(&store, limits)?;
            serving = receivers(&args.addresses, &intake, &ended)?;
        }
        warn_of(
            page.at,
            "anyone who reaches this address can read the traces: names, arguments and output of builds",
        );
        say(&format!("page and query API: http://{}\n", page.name))?;
        let hosts = Hosts::new(args.allow_host.iter().cloned());
        let served = Served::new(&store, hosts, SystemTime::now, ended.clone());
        if args.open {
            open(env, &format!("http://{}/", loopback(page.at)));
        }
        let routes = router(served);
        serving.extend(page.each.into_iter().map(|at| (at, routes.clone())));
        let serving = serving
            .into_iter()
            .map(|(listener, routes)| serve(listener, routes, ended.clone()));
        join_all(serving).await;
        Ok(0)
    })
}

/// Listens for spans in each of the ways, and says where.
fn receivers(
    args: &CollectorArgs,
    intake: &Intake,
    ended: &CancellationToken,
) -> Result<Vec<(TcpListener, Router)>, Failure> {
    const OPEN: &str = "anyone who reaches this address can add spans";
    let http = args.collector_http.listen_tcp("--collector-http")?;
    let otlp = args.collector_otlp.listen_tcp("--collector-otlp")?;
    say(&format!("collector: http://{}/api/traces\n", http.name))?;
    say(&format!("OTLP: http://{}/v1/traces\n", otlp.name))?;
    warn_of(http.at, OPEN);
    warn_of(otlp.at, OPEN);
    for (at, flag, encoding, what) in [
        (
            &args.collector_udp,
            "--collector-udp",
            Encoding::Compact,
            "agent",
        ),
        (
            &args.collector_udp_binary,
            "--collector-udp-binary",
            Encoding::Binary,
            "agent (binary)",
        ),
    ] {
        let listening = at.listen(flag, |at| {
            let here = collector::receive(at, encoding, intake.clone(), ended.clone())?;
            Ok(((), here))
        })?;
        say(&format!("{what}: {}\n", listening.name))?;
        warn_of(listening.at, OPEN);
    }
    let (jaeger, otlp_routes) = (
        collector::jaeger(intake.clone()),
        collector::otlp(intake.clone()),
    );
    let http = http.each.into_iter().map(|at| (at, jaeger.clone()));
    let otlp = otlp.each.into_iter().map(|at| (at, otlp_routes.clone()));
    Ok(http.chain(otlp).collect())
}

fn warn_of(at: SocketAddr, why: &str) {
    if !at.ip().is_loopback() {
        tracing::warn!(address = %at, "{why}");
    }
}

fn say(text: &str) -> Result<(), Failure> {
    Ok(pipes::print(text.as_bytes())?)
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
