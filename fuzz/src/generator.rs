//! From a driver's choices to an input: pieces, bytes, and changed files of the corpus.

use std::ops::Bound;

use bolero::{Driver, ValueGenerator};

use crate::Random;

/// The longest input that is made of pieces or bytes. A changed file may be longer.
const LONGEST: usize = 4096;

/// How a target makes inputs of its own, from random numbers.
pub type Build = fn(&mut Random) -> Vec<u8>;

/// Makes the inputs of a target.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inputs {
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) corpus: Vec<Vec<u8>>,
    pub(crate) build: Option<Build>,
}

impl ValueGenerator for Inputs {
    type Output = Vec<u8>;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Vec<u8>> {
        match below(driver, 8)? {
            0 => bytes(driver, LONGEST / 8),
            1 | 2 if !self.pieces.is_empty() => self.put_together(driver),
            3..=5 if self.build.is_some() => {
                let build = self.build?;
                let mut input = build(&mut Random::new(driver.produce::<u64>()?));
                if below(driver, 4)? == 0 {
                    self.change(driver, &mut input)?;
                }
                Some(input)
            }
            _ => {
                let at = below(driver, self.corpus.len())?;
                let mut input = self.corpus.get(at).cloned().unwrap_or_default();
                for _ in 0..=below(driver, 6)? {
                    self.change(driver, &mut input)?;
                }
                Some(input)
            }
        }
    }
}

impl Inputs {
    fn put_together<D: Driver>(&self, driver: &mut D) -> Option<Vec<u8>> {
        let count = match below(driver, 4)? {
            0 => below(driver, 300)?,
            _ => below(driver, 24)?,
        };
        let mut input = Vec::new();
        for _ in 0..count {
            input.extend_from_slice(&self.piece(driver)?);
        }
        input.truncate(LONGEST);
        Some(input)
    }

    /// A piece, and now and then one repeated or any byte.
    fn piece<D: Driver>(&self, driver: &mut D) -> Option<Vec<u8>> {
        let at = below(driver, self.pieces.len())?;
        let piece = self.pieces.get(at).cloned().unwrap_or_default();
        match below(driver, 16)? {
            0 => Some(piece.repeat(1 + below(driver, 120)?)),
            1 => bytes(driver, 4),
            _ => Some(piece),
        }
    }

    /// Changes one place.
    fn change<D: Driver>(&self, driver: &mut D, input: &mut Vec<u8>) -> Option<()> {
        let start = below(driver, input.len() + 1)?;
        let end = start + below(driver, (input.len() - start).min(64) + 1)?;
        match below(driver, 8)? {
            // One bit.
            0 => {
                let bit = below(driver, 8)?;
                if let Some(byte) = input.get_mut(start) {
                    *byte ^= 1 << bit;
                }
            }
            // Another byte.
            1 => {
                let byte = driver.produce::<u8>()?;
                if let Some(place) = input.get_mut(start) {
                    *place = byte;
                }
            }
            2 => drop(input.drain(start..end)),
            3 => input.truncate(start),
            // Something twice, or many times.
            4 => {
                let times = if below(driver, 8)? == 0 { 1 + below(driver, 200)? } else { 1 };
                let copy = input[start..end].repeat(times);
                input.splice(start..start, copy);
            }
            // Something from another place of the corpus.
            5 => {
                let at = below(driver, self.corpus.len())?;
                let other = self.corpus.get(at).map(Vec::as_slice).unwrap_or_default();
                let from = below(driver, other.len() + 1)?;
                let length = below(driver, (other.len() - from).min(256) + 1)?;
                input.splice(start..end, other[from..from + length].iter().copied());
            }
            _ => {
                let piece = if self.pieces.is_empty() { bytes(driver, 8)? } else { self.piece(driver)? };
                // In the place of something, or between.
                let end = if below(driver, 2)? == 0 { start } else { end };
                input.splice(start..end, piece);
            }
        }
        Some(())
    }
}

/// A number below `limit`; 0 for a limit of 0 or 1.
fn below<D: Driver>(driver: &mut D, limit: usize) -> Option<usize> {
    match limit {
        0 | 1 => Some(0),
        limit => driver.gen_usize(Bound::Included(&0), Bound::Excluded(&limit)),
    }
}

fn bytes<D: Driver>(driver: &mut D, longest: usize) -> Option<Vec<u8>> {
    let length = below(driver, longest + 1)?;
    (0..length).map(|_| driver.produce::<u8>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bolero::bolero_engine::driver::{ByteSliceDriver, Options};

    fn case(inputs: &Inputs, number: u64) -> Vec<u8> {
        let mut random = Random::new(number);
        let choices: Vec<u8> = (0..4096).map(|_| random.number().to_le_bytes()[0]).collect();
        inputs.generate(&mut ByteSliceDriver::new(&choices, &Options::default())).expect("an input")
    }

    #[test]
    fn inputs_differ_and_are_the_same_for_the_same_choices() {
        let inputs = Inputs {
            pieces: vec![b"piece".to_vec()],
            corpus: vec![b"a file of the corpus".to_vec(), Vec::new()],
            build: Some(|random| random.number().to_string().into_bytes()),
        };
        let cases: Vec<Vec<u8>> = (0..500).map(|number| case(&inputs, number)).collect();
        let distinct: std::collections::HashSet<&Vec<u8>> = cases.iter().collect();
        assert!(distinct.len() > 300, "{} of 500 differ", distinct.len());
        let holds = |text: &[u8]| cases.iter().filter(|case| case.windows(text.len()).any(|at| at == text)).count();
        assert!(holds(b"piecepiece") > 20);
        assert!(holds(b"of the") > 20);
        assert!(cases.iter().filter(|case| case.len() > 15 && case.iter().all(u8::is_ascii_digit)).count() > 50);
        let again: Vec<Vec<u8>> = (0..500).map(|number| case(&inputs, number)).collect();
        assert_eq!(cases, again);
    }
}
