//! The targets of `fuzz/`, on damaged copies of real bytes: so many cases each time, from a fixed seed.
//!
//! `FUZZ_CASES` and `FUZZ_SEED` make it more and other ones. A case that fails is kept in a file.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use dagger::trace::{jaeger, otlp};

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "there it is a library")]
mod targets;

/// Cases of each target, unless `FUZZ_CASES` says otherwise.
const CASES: usize = 300;

/// Where the damage begins, unless `FUZZ_SEED` says otherwise.
const SEED: u64 = 0x5eed;

/// Words that mean something to one parser or another.
const WORDS: [&[u8]; 16] = [
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\"",
    b"{",
    b"]",
    b"[[[[[[[[[[[[[[[[",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\\ud800",
    b": &a [*a]\n",
    b"**/[^]",
    b"\n  - ",
    "\u{202e}é\u{0}".as_bytes(),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of a folder, in the order of their names.
fn files(folder: &Path, ends: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.to_string_lossy().ends_with(ends));
    paths.sort();
    let read = paths
        .iter()
        .map(|path| std::fs::read(path).expect("a file"));
    read.collect()
}

/// What a target's damage begins with: its corpus, and what the repository has beside that.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut found = files(&root().join("fuzz/corpus").join(name), "");
    let traces = || {
        let mut traces = files(&root().join("tests/fixtures/traces"), ".json");
        traces.retain(|text| text.windows(9).any(|part| part == b"\"traceID\""));
        traces
    };
    let as_otlp = |text: Vec<u8>| {
        let id = text.split(|byte| *byte == b'"').nth(5).expect("an id");
        let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
        let answer = jaeger::decode(&text, id.expect("an id")).expect("a trace");
        otlp::to_json(&answer.expect("spans").spans)
    };
    match name {
        "jaeger_v1" => found.extend(traces()),
        "otlp_json" => found.extend(
            traces()
                .into_iter()
                .map(as_otlp)
                .map(|json| json.to_string().into()),
        ),
        "jaeger_v3" => found.extend(traces().into_iter().map(as_otlp).map(|json| {
            serde_json::json!({ "result": json })
                .to_string()
                .into_bytes()
        })),
        "plan_yaml" => found.extend(files(&root().join("examples/monorepo"), "dagger.yaml")),
        "plan_json" => found.extend(files(&root().join("examples/node-site"), "dagger.json")),
        "plan_toml" => found.extend(files(&root().join("examples/matrix"), "dagger.toml")),
        _ => {}
    }
    found
}

/// Numbers that are not random at all: the same seed gives the same ones (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `end`; 0 if that is 0.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).expect("a length");
        usize::try_from(self.next() % end).expect("below a length")
    }
}

/// A copy with one to four pieces of damage.
fn damaged(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        let end = (at + dice.below(64)).min(bytes.len());
        match dice.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].to_vec();
                let times = 1 + dice.below(200);
                drop(bytes.splice(at..at, part.repeat(times)));
            }
            3 => {
                let word = WORDS[dice.below(WORDS.len())];
                drop(bytes.splice(at..end, word.iter().copied()));
            }
            4 => {
                let word = WORDS[dice.below(WORDS.len())];
                drop(bytes.splice(at..at, word.iter().copied()));
            }
            5 => {
                let other = &corpus[dice.below(corpus.len())];
                let from = dice.below(other.len());
                let to = (from + dice.below(256)).min(other.len());
                drop(bytes.splice(at..at, other[from..to].iter().copied()));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(dice.below(256)).expect("a byte");
                }
            }
        }
    }
    bytes
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

fn run(name: &str) {
    let found = targets::TARGETS.iter().find(|target| target.0 == name);
    let (_, target) = *found.expect("a target");
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "{name} has nothing to begin with");
    let seed = setting("FUZZ_SEED").unwrap_or(SEED);
    let cases = setting("FUZZ_CASES").map_or(CASES, |cases| usize::try_from(cases).expect("cases"));
    eprintln!(
        "{name}: FUZZ_SEED={seed} FUZZ_CASES={cases}, {} files",
        corpus.len()
    );
    let mut dice = Dice(seed.max(1));
    let whole = corpus.clone().into_iter();
    for case in whole.chain((0..cases).map(|_| damaged(&mut dice, &corpus))) {
        if catch_unwind(|| target(&case)).is_err() {
            let kept = std::env::temp_dir().join(format!("dagger-fuzz-{name}-{seed}"));
            std::fs::write(&kept, &case).expect("a file");
            panic!("{name} failed on {} (FUZZ_SEED={seed})", kept.display());
        }
    }
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        /// Each target has its file for cargo-fuzz, and its test here.
        #[test]
        fn every_target_is_run() {
            let here = [$(stringify!($name)),*];
            assert_eq!(targets::TARGETS.map(|target| target.0), here);
            let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("a file");
            for name in here {
                assert!(manifest.contains(&format!("fuzz_targets/{name}.rs")), "{name}");
                let file = root().join(format!("fuzz/fuzz_targets/{name}.rs"));
                let text = std::fs::read_to_string(file).expect("a file");
                assert!(text.contains(&format!("dagger_fuzz::{name}(data)")), "{text}");
            }
            assert_eq!(files(&root().join("fuzz/fuzz_targets"), ".rs").len(), here.len());
        }
    };
}

tests! {
    docker_config expectations jaeger_v1 jaeger_v3 otlp_json otlp_protobuf patterns plan_json plan_toml
    plan_yaml selector thrift_binary thrift_collector thrift_compact
}
