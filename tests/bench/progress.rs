//! How much output the live rows take in: 500 running steps and a flood of lines, drawn ten times a second
//! to nowhere. Run with `cargo bench --bench progress`; prints lines a second and bytes a frame.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and may fail loudly"
)]

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use dagger::progress::event::{BuildEvent, Log, Vertex};
use dagger::progress::{Format, Options, renderer};

const STEPS: usize = 500;
const SECONDS: u64 = 10;
const LINES_A_SECOND: usize = 100_000;
const FRAMES_A_SECOND: usize = 10;

/// Counts what is drawn.
struct Counted(Arc<AtomicU64>);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() {
    let drawn = Arc::new(AtomicU64::new(0));
    let options = Options {
        colour: true,
        quiet: false,
        size: Box::new(|| Some((120, 40))),
    };
    let mut rows = renderer(Format::Tty, options, Box::new(Counted(drawn.clone())));
    let mut now = SystemTime::now();
    let digests: Vec<Arc<str>> = (0..STEPS)
        .map(|n| format!("sha256:{n:064}").into())
        .collect();
    let steps: Vec<_> = digests
        .iter()
        .map(|digest| {
            BuildEvent::Vertex(Vertex {
                digest: digest.clone(),
                name: "[stage 3/7] RUN make 日本語".into(),
                started: Some(now),
                ..Vertex::default()
            })
        })
        .collect();
    rows.events(&steps, now).expect("drawn");
    let line = bytes::Bytes::from(
        "compiling something with a name of usual length, and a few flags more\n",
    );
    let mut batch_of = digests.iter().cycle();
    let begun = Instant::now();
    for _ in 0..SECONDS * FRAMES_A_SECOND as u64 {
        let batch: Vec<_> = batch_of
            .by_ref()
            .take(LINES_A_SECOND / FRAMES_A_SECOND)
            .map(|digest| {
                BuildEvent::Log(Log {
                    vertex: digest.clone(),
                    stream: 1,
                    data: line.clone(),
                    at: Some(now),
                })
            })
            .collect();
        now += Duration::from_secs(1) / FRAMES_A_SECOND as u32;
        rows.events(&batch, now).expect("drawn");
        rows.tick(now).expect("drawn");
    }
    let took = begun.elapsed();
    let lines = LINES_A_SECOND as u64 * SECONDS;
    let frames = SECONDS * FRAMES_A_SECOND as u64;
    println!(
        "{STEPS} steps, {lines} lines, {frames} frames: {:.3} s of work for {SECONDS} s of build ({:.1} %), \
         {:.0} lines a second, {} bytes a frame",
        took.as_secs_f64(),
        100.0 * took.as_secs_f64() / SECONDS as f64,
        lines as f64 / took.as_secs_f64(),
        drawn.load(Ordering::Relaxed) / frames
    );
}
