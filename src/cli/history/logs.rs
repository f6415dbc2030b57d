//! A build's output, told again from the daemon's recording; of a build that still runs, as it comes.

use std::time::SystemTime;

use crate::buildkit::{BuildRecord, BuildState, Client};
use crate::cli::diagnostic::Failure;
use crate::cli::engine::Format;
use crate::progress::event::Outcome;
use crate::progress::{self, Options, renderer};
use crate::solve::from_status;

/// Shows it on standard output.
///
/// # Errors
/// When the daemon no longer knows the build, or was lost, or the output cannot be written.
pub(super) async fn show(
    client: &Client,
    record: &BuildRecord,
    format: Format,
) -> Result<(), Failure> {
    let format = match format {
        Format::Text => progress::Format::Plain,
        Format::Json => progress::Format::Json,
    };
    let options = Options {
        colour: false,
        quiet: false,
        size: Box::new(|| None),
    };
    let mut renderer = renderer(format, options, Box::new(std::io::stdout()));
    let mut ticks = renderer.tick_every().map(tokio::time::interval);
    let mut stream = client.status(&record.build).await?;
    loop {
        let tick = async {
            match &mut ticks {
                Some(ticks) => ticks.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = stream.next() => match message? {
                Some(message) => renderer.events(&from_status(message), SystemTime::now())?,
                None => break,
            },
            _ = tick => renderer.tick(SystemTime::now())?,
        }
    }
    // It may have ended only now.
    let ended = match record.state {
        BuildState::Running => client.build_record(&record.build).await?,
        _ => None,
    };
    let outcome = match ended.map_or_else(|| record.state.clone(), |record| record.state) {
        BuildState::Failed(message) => Outcome::Failed {
            message: told(&message),
            sources: Vec::new(),
        },
        BuildState::Cancelled => Outcome::Cancelled,
        BuildState::Done | BuildState::Running => Outcome::Done,
    };
    renderer.finish(&outcome, SystemTime::now())?;
    Ok(())
}

/// The message without what the renderer puts in front.
fn told(message: &str) -> String {
    message
        .strip_prefix("failed to solve: ")
        .unwrap_or(message)
        .to_owned()
}
