//! Run records on disk: one JSON file a run, in `<state dir>/runs/`.
//!
//! Lives here: writing them so that ten processes at once do no harm, finding the one that is meant,
//! keeping their number bounded. Elsewhere: what is in them (`trace::report`). All of it blocks: call
//! it from a blocking thread.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::TraceError;
use super::model::{SpanId, TraceId};
use super::report::RunRecord;

/// Version of the records that are written and understood.
pub const SCHEMA: u32 = 1;

/// How many records are kept; the oldest go when there are more.
const KEPT: usize = 200;

/// The largest record that is read, in bytes; some 500,000 spans.
const RECORD_BYTES: u64 = 16 << 20;

/// A temporary file of a run that began this much earlier was left behind, in milliseconds.
const STALE_MS: u64 = 24 * 60 * 60 * 1_000;

/// The run records of one user.
#[derive(Clone, Debug)]
pub struct Runs {
    dir: PathBuf,
}

/// What a lookup found.
#[derive(Debug, Default)]
pub struct Lookup {
    /// The records, newest first.
    pub runs: Vec<RunRecord>,
    /// Files that should be records, and cannot be read.
    pub unreadable: Vec<Unreadable>,
}

/// A file that should be a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub problem: String,
}

impl Runs {
    /// The records below this state directory.
    pub fn new(state_dir: &Path) -> Self {
        Self {
            dir: state_dir.join("runs"),
        }
    }

    /// Saves a record at one stroke: a reader sees all of it or nothing. The oldest records beyond
    /// the limit go.
    ///
    /// # Errors
    /// When the directory or the file cannot be written. That old ones cannot be removed is none.
    pub fn save(&self, run: &RunRecord) -> Result<PathBuf, TraceError> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| TraceError::Runs {
                doing,
                path,
                source,
            }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(failed("create the directory", &self.dir))?;
        let path = self.dir.join(file_name(run));
        let json = serde_json::to_vec(run)
            .map_err(|error| failed("write the run record", &path)(error.into()))?;
        let (temp, mut file) = create_temp(&path).map_err(failed("write the run record", &path))?;
        let written = file
            .write_all(&json)
            .and_then(|()| fs::rename(&temp, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&temp);
            return Err(failed("write the run record", &path)(error));
        }
        self.prune(&path, run.started_ms);
        Ok(path)
    }

    /// The last run of a directory.
    ///
    /// # Errors
    /// When the records cannot be listed.
    pub fn last_of(&self, directory: &Path) -> Result<Lookup, TraceError> {
        self.find(1, |_| true, |run| Path::new(&run.directory) == directory)
    }

    /// The runs that took part in a trace. With a common `TRACEPARENT` there may be several.
    ///
    /// # Errors
    /// When the records cannot be listed.
    pub fn of_trace(&self, trace: TraceId) -> Result<Lookup, TraceError> {
        let id = trace.to_string();
        self.find(
            KEPT,
            |name| name.contains(&id),
            |run| run.trace.parse() == Ok(trace),
        )
    }

    /// Reads the newest files first, until `most` of them fit.
    fn find(
        &self,
        most: usize,
        named: impl Fn(&str) -> bool,
        fits: impl Fn(&RunRecord) -> bool,
    ) -> Result<Lookup, TraceError> {
        let names = self.names().map_err(|source| TraceError::Runs {
            doing: "list the run records in",
            path: self.dir.clone(),
            source,
        })?;
        let mut lookup = Lookup::default();
        for name in names.iter().rev().filter(|name| named(name)) {
            let path = self.dir.join(name);
            match read(&path) {
                Ok(Some(run)) if fits(&run) => lookup.runs.push(run),
                // Fits not, or another process has just removed it.
                Ok(_) => {}
                Err(problem) => lookup.unreadable.push(Unreadable { path, problem }),
            }
            if lookup.runs.len() == most {
                break;
            }
        }
        Ok(lookup)
    }

    /// Names of the records, oldest first; of nothing else that lies there.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = self
            .entries()?
            .filter(|name| started_ms(name).is_some())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Names of the regular files; none if the directory is not there yet.
    fn entries(&self) -> io::Result<impl Iterator<Item = String>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let files = entries
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            // A pipe would block the reader for ever.
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
            .filter_map(|entry| entry.file_name().into_string().ok());
        Ok(files)
    }

    /// Removes the oldest records beyond the limit, and what a killed writer left behind.
    ///
    /// Others may do the same at the same time: whoever comes second finds nothing, which is fine.
    fn prune(&self, own: &Path, now_ms: u64) {
        if let Ok(names) = self.names() {
            let surplus = names.len().saturating_sub(KEPT);
            let old = names.iter().take(surplus).map(|name| self.dir.join(name));
            for path in old.filter(|path| path != own) {
                let _ = fs::remove_file(path);
            }
        }
        for name in self.entries().into_iter().flatten() {
            let started = name.strip_prefix('.').and_then(temp_started_ms);
            if started.is_some_and(|started| started.saturating_add(STALE_MS) < now_ms) {
                let _ = fs::remove_file(self.dir.join(&name));
            }
        }
    }
}

/// `STARTED-TRACE-ROOT.json`, so that names sort by time and a trace is found by name.
fn file_name(run: &RunRecord) -> String {
    let plain = |text: &str| -> String {
        text.chars()
            .filter(char::is_ascii_hexdigit)
            .take(32)
            .collect()
    };
    let (trace, root) = (plain(&run.trace), plain(&run.root));
    format!("{:020}-{trace:0>32}-{root:0>16}.json", run.started_ms)
}

/// The start in a record's name; `None` for other names.
fn started_ms(name: &str) -> Option<u64> {
    let mut parts = name.strip_suffix(".json")?.split('-');
    let (started, trace, root) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = parts.next().is_none()
        && (started.len(), trace.len(), root.len()) == (20, 32, 16)
        && hex(trace)
        && hex(root);
    fits.then(|| started.parse().ok()).flatten()
}

/// The start in a temporary name without its dot: `RECORD.PID-NUMBER.tmp`.
fn temp_started_ms(name: &str) -> Option<u64> {
    let (record, _) = name.strip_suffix(".tmp")?.rsplit_once('.')?;
    started_ms(record)
}

/// A new file beside `path` that no other process or thread has.
fn create_temp(path: &Path) -> io::Result<(PathBuf, File)> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temp = path.with_file_name(format!(".{name}.{}-{number}.tmp", std::process::id()));
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temp)
        {
            Ok(file) => return Ok((temp, file)),
            // Two containers that share the directory may have equal process ids.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads one record; `None` if it is gone.
fn read(path: &Path) -> Result<Option<RunRecord>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut json = Vec::new();
    file.take(RECORD_BYTES + 1)
        .read_to_end(&mut json)
        .map_err(|error| error.to_string())?;
    if json.len() as u64 > RECORD_BYTES {
        return Err(format!("larger than {} MiB", RECORD_BYTES >> 20));
    }
    let run: RunRecord = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    if run.schema != SCHEMA {
        return Err(format!(
            "schema {}, and this version reads {SCHEMA}",
            run.schema
        ));
    }
    run.trace
        .parse::<TraceId>()
        .map_err(|error| error.to_string())?;
    for id in std::iter::once(&run.root).chain(&run.remote_parent) {
        id.parse::<SpanId>().map_err(|error| error.to_string())?;
    }
    Ok(Some(run))
}

#[cfg(test)]
mod tests;
