//! A target: its corpus first, then random inputs.

use std::env;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bolero::TestTarget;

use crate::corpus;
use crate::engine::{Extent, Seeded};
use crate::generator::{Build, Inputs};
use crate::watchdog::{Watchdog, panics};

/// The cases of this seed are run by every `cargo test`, so that a change that breaks one of them is noticed at once.
const FIXED_SEED: u64 = 20_200_401;

/// How long a `cargo test` looks for something new.
const FRESH_TIME: Duration = Duration::from_secs(2);

/// Something that reads foreign bytes.
///
/// What is run is decided by the environment: `FUZZ_SECONDS` for how long, `FUZZ_SEED` on which seed, `FUZZ_CASE` for one
/// case alone, `FUZZ_FAILURES` where an input goes that fails. Without them the cases of a fixed seed are run, and for two
/// seconds those of a new one.
#[derive(Debug)]
pub struct Target {
    name: &'static str,
    fixed_cases: u64,
    inputs: Inputs,
}

impl Target {
    /// A target whose corpus is `corpus/NAME/`.
    pub fn new(name: &'static str) -> Self {
        Self { name, fixed_cases: 2000, inputs: Inputs::default() }
    }

    /// What inputs are put together from.
    pub fn pieces<P: AsRef<[u8]>>(mut self, pieces: impl IntoIterator<Item = P>) -> Self {
        self.inputs.pieces = pieces.into_iter().map(|piece| piece.as_ref().to_vec()).collect();
        self
    }

    /// Another way to make inputs: for those that are hardly ever right when they are put together at random.
    pub fn build(mut self, build: Build) -> Self {
        self.inputs.build = Some(build);
        self
    }

    /// How many cases of the fixed seed every test run checks, where 2,000 take too long.
    pub fn fixed_cases(mut self, count: u64) -> Self {
        self.fixed_cases = count;
        self
    }

    /// Calls `check` with the corpus and then with random inputs.
    ///
    /// # Panics
    /// When `check` does, or anything on another thread meanwhile. A case that does not end ends the process.
    pub fn run(self, check: impl Fn(&[u8]) + RefUnwindSafe + UnwindSafe) {
        let failures = variable::<PathBuf>("FUZZ_FAILURES").unwrap_or_else(|| env::temp_dir().join("pregao-fuzz"));
        let watchdog = Watchdog::start();
        let name = self.name;
        let hang = failures.join(format!("{name}-hang"));
        let _ = std::fs::create_dir_all(&failures);
        let watched = move |what: String, bytes: &[u8]| {
            let before = panics();
            watchdog.watch(what, bytes, hang.clone(), || check(bytes));
            assert_eq!(panics(), before, "something panicked on another thread");
        };
        let corpus = corpus::read(name);
        for sample in &corpus {
            watched(sample.path.display().to_string(), &sample.bytes);
        }
        let mut inputs = self.inputs;
        inputs.corpus = corpus.into_iter().map(|sample| sample.bytes).collect();
        let check = |bytes: &Vec<u8>| watched(format!("a case of {name}"), bytes);
        for (seed, extent) in extents(self.fixed_cases) {
            let engine = Seeded { target: name.to_owned(), seed, extent, failures: failures.clone() };
            TestTarget::new(engine).with_generator(inputs.clone()).for_each(&check);
        }
    }
}

/// What is run: seeds, and how much of each.
fn extents(fixed_cases: u64) -> Vec<(u64, Extent)> {
    let (seed, time) = (variable("FUZZ_SEED"), variable("FUZZ_SECONDS").map(Duration::from_secs));
    if let Some(case) = variable("FUZZ_CASE") {
        return vec![(seed.unwrap_or(FIXED_SEED), Extent::Cases { first: case, count: 1 })];
    }
    match (seed, time) {
        (None, None) => {
            vec![(FIXED_SEED, Extent::Cases { first: 0, count: fixed_cases }), (fresh_seed(), Extent::Time(FRESH_TIME))]
        }
        (seed, time) => vec![(seed.unwrap_or_else(fresh_seed), Extent::Time(time.unwrap_or(FRESH_TIME)))],
    }
}

fn fresh_seed() -> u64 {
    // Enough to differ from run to run, and short enough to be typed.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since
        .as_nanos()
        .to_le_bytes()
        .chunks(4)
        .next()
        .map_or(0, |low| low.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
}

/// A variable of the environment.
///
/// # Panics
/// When it cannot be read: what was asked for would not be what is run.
fn variable<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} cannot be read")))
}
