//! Where an output goes that is no file: standard output, and `docker load`.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::session::Sink;

/// Bytes of a helper's words that are shown.
const WORDS: u64 = 2_000;

/// Prints on standard output; a reader that has had enough (`| head`) is no error.
///
/// # Errors
/// When it cannot be written for another reason.
pub(super) fn print(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Standard output.
#[derive(Debug)]
pub(super) struct Stdout;

impl Sink for Stdout {
    fn name(&self) -> String {
        "standard output".into()
    }

    fn take(&self, bytes: &[u8]) -> io::Result<()> {
        io::stdout().write_all(bytes)
    }

    fn finish(&self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// `docker load`, started with the first bytes.
#[derive(Debug, Default)]
pub(super) struct DockerLoad {
    context: Option<String>,
    child: Mutex<Option<Child>>,
}

impl DockerLoad {
    /// Into the engine of one of Docker's contexts.
    pub(super) fn in_context(context: Option<String>) -> Self {
        Self {
            context,
            child: Mutex::default(),
        }
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new("docker");
        if let Some(context) = &self.context {
            command.args(["--context", context]);
        }
        command
            .arg("load")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
    }
}

impl Sink for DockerLoad {
    fn name(&self) -> String {
        "docker load".into()
    }

    fn is_docker(&self) -> bool {
        // Another context is another engine.
        self.context.is_none()
    }

    fn take(&self, bytes: &[u8]) -> io::Result<()> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if child.is_none() {
            *child = Some(self.start()?);
        }
        let written = match child.as_mut().and_then(|child| child.stdin.as_mut()) {
            Some(stdin) => stdin.write_all(bytes),
            None => Ok(()),
        };
        match written {
            // It has ended, and says why.
            Err(_) => ended(child.take()),
            Ok(()) => Ok(()),
        }
    }

    fn finish(&self) -> io::Result<()> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        ended(child.take())
    }
}

impl Drop for DockerLoad {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = child {
            // The build was broken off; half an image is not to be loaded.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for the end of a helper that has been told all.
fn ended(child: Option<Child>) -> io::Result<()> {
    let Some(mut child) = child else {
        return Ok(());
    };
    drop(child.stdin.take());
    let mut words = String::new();
    if let Some(stderr) = child.stderr.take() {
        // Words that cannot be read are none.
        let _ = stderr.take(WORDS).read_to_string(&mut words);
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{status}: {}", words.trim())))
}
