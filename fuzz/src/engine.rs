//! The engine that bolero's generators and shrinker run on: cases by seed and number, for a time or a count.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bolero::bolero_engine::driver::Options;
use bolero::bolero_engine::input::Bytes;
use bolero::bolero_engine::panic as caught;
use bolero::{Engine, Test};

use crate::Random;

/// How many random bytes the choices of a case are made from. Where they end, zeros follow.
const CHOICES: usize = 8192;

/// For how long cases are run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extent {
    /// So many, from this one on.
    Cases { first: u64, count: u64 },
    /// As many as there is time for.
    Time(Duration),
}

/// Runs the cases of one seed.
#[derive(Debug)]
pub(crate) struct Seeded {
    pub(crate) target: String,
    pub(crate) seed: u64,
    pub(crate) extent: Extent,
    /// Where an input that fails is written to.
    pub(crate) failures: PathBuf,
}

impl<T: Test<Value = Vec<u8>>> Engine<T> for Seeded {
    type Output = ();

    fn run(self, mut test: T, options: Options) {
        let options = options.with_max_len(CHOICES).with_shrink_time(Duration::from_secs(20));
        caught::set_hook();
        let begun = Instant::now();
        let (first, count) = match self.extent {
            Extent::Cases { first, count } => (first, count),
            Extent::Time(_) => (0, u64::MAX),
        };
        let mut done = 0;
        while done < count && self.has_time(begun) {
            let choices = choices(self.seed, first + done);
            // What fails is shown once it has been shrunk.
            let shown = caught::forward_panic(false);
            let tested = test.test(&mut Bytes::new(&choices, &options));
            caught::forward_panic(shown);
            if let Err(error) = tested {
                let failure = test.shrink(choices.clone(), None, &options);
                let (input, error) = match failure {
                    Some(failure) => (failure.input, failure.error.to_string()),
                    None => (test.generate_value(&mut Bytes::new(&choices, &options)), error.to_string()),
                };
                self.fail(first + done, &input, &error);
            }
            done += 1;
        }
        self.report(done, begun.elapsed());
    }
}

impl Seeded {
    fn has_time(&self, begun: Instant) -> bool {
        match self.extent {
            Extent::Cases { .. } => true,
            Extent::Time(limit) => begun.elapsed() < limit,
        }
    }

    /// To the standard error of the process and not of the test, which is shown for tests that fail only.
    fn report(&self, cases: u64, took: Duration) {
        let rate = cases as f64 / took.as_secs_f64().max(0.001);
        let Self { target, seed, .. } = self;
        let line = format!("fuzz {target}: seed {seed}, {cases} cases in {:.1} s ({rate:.0}/s)\n", took.as_secs_f64());
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn fail(&self, case: u64, input: &[u8], error: &str) -> ! {
        let Self { target, seed, .. } = self;
        let mut message = format!("fuzz {target}: case {case} of seed {seed} fails: {error}\n");
        let file = self.failures.join(format!("{target}-{seed}-{case}"));
        let written = fs::create_dir_all(&self.failures).and_then(|()| fs::write(&file, input));
        let kept = match written {
            Ok(()) => format!("{} has the input: copy it to fuzz/corpus/{target}/", file.display()),
            Err(error) => format!("the input could not be written to {}: {error}", file.display()),
        };
        let _ = writeln!(message, "input: {}", input.escape_ascii());
        let _ = writeln!(message, "{kept}\nonce more: python3 fuzz {target} --seed {seed} --case {case}");
        panic!("{message}");
    }
}

/// What the choices of a case are made from.
fn choices(seed: u64, case: u64) -> Vec<u8> {
    let mut numbers = Random::new(Random::new(seed).number() ^ case.wrapping_mul(0xD6E8_FEB8_6659_FD93));
    (0..CHOICES / 8).flat_map(|_| numbers.number().to_le_bytes()).collect()
}
