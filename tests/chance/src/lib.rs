//! Made-up input for property tests, the same in every run, so that a failure
//! repeats.
//!
//! `FUZZ_TIMES` makes so many times as many cases, and `FUZZ_SEED` others.

#![allow(clippy::panic, reason = "this is how a test fails")]

use std::ops::Range;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Characters at which readers go wrong: what delimits and escapes, blanks, controls,
/// digits, and letters of one to four bytes.
const DELICATE: [char; 48] = [
    '\0', '\t', '\n', '\r', ' ', '"', '#', '$', '%', '&', '\'', '*', '+', ',', '-', '.', '/', '0',
    '1', '9', ':', ';', '<', '=', '>', '?', '@', 'A', 'F', '[', '\\', ']', '^', '_', '`', 'a', 'b',
    'x', '{', '|', '}', '~', '\u{7f}', '\u{a0}', 'ü', '漢', '\u{2028}', '🦀',
];

/// Runs `case` so many times, each with its own seed, which is told where it fails.
pub fn cases(few: usize, mut case: impl FnMut(&mut Chance)) {
    let seed = setting("FUZZ_SEED", 0);
    for number in 0..rounds(few) as u64 {
        let told = Told(seed.wrapping_add(number));
        case(&mut Chance::new(told.0));
    }
}

/// How many cases there are to be where a plain run has `few`.
pub fn rounds(few: usize) -> usize {
    few * usize::try_from(setting("FUZZ_TIMES", 1)).unwrap_or(usize::MAX)
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        // A run that tests something else than it was asked to is worth nothing.
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text:?}")),
        Err(_) => default,
    }
}

struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("again: FUZZ_SEED={} FUZZ_TIMES=1", self.0);
        }
    }
}

/// Where what is made up comes from.
#[derive(Debug)]
pub struct Chance(StdRng);

impl Chance {
    /// The same seed makes up the same.
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A number of the range.
    pub fn within(&mut self, range: Range<usize>) -> usize {
        self.0.random_range(range)
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.within(0..times) == 0
    }

    /// One of several.
    ///
    /// # Panics
    /// Where there is none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.within(0..from.len())]
    }

    /// A number: small, at an edge, or any.
    pub fn number(&mut self) -> i64 {
        const EDGES: [i64; 8] = [
            0,
            1,
            -1,
            i64::MAX,
            i64::MIN,
            i32::MAX as i64,
            1 << 53,
            (1 << 53) - 1,
        ];
        match self.within(0..3) {
            0 => self.pick(&EDGES),
            1 => self.0.random_range(-1000..1000),
            _ => self.0.random(),
        }
    }

    /// Up to so many bytes.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.within(0..most + 1)];
        self.0.fill(&mut bytes[..]);
        bytes
    }

    /// A text of up to so many of these characters.
    pub fn text_of(&mut self, characters: &[char], most: usize) -> String {
        let length = self.within(0..most + 1);
        (0..length).map(|_| self.pick(characters)).collect()
    }

    /// A text of up to so many characters that are delicate, and now and then of any.
    pub fn text(&mut self, most: usize) -> String {
        let length = self.within(0..most + 1);
        (0..length)
            .map(|_| match self.within(0..16) {
                0 => self.0.random(),
                _ => self.pick(&DELICATE),
            })
            .collect()
    }

    /// The text with a few changes: pieces of it left out, said twice or moved, and
    /// characters put in.
    pub fn damaged(&mut self, text: &str) -> String {
        let mut text: Vec<char> = text.chars().collect();
        for _ in 0..self.within(1..4) {
            let from = self.within(0..text.len() + 1);
            let to = (from + self.within(1..12)).min(text.len());
            match self.within(0..4) {
                0 => drop(text.drain(from..to)),
                1 => {
                    let piece = text[from..to].to_vec();
                    text.splice(from..from, piece);
                }
                2 => {
                    let piece: Vec<char> = text.drain(from..to).collect();
                    let at = self.within(0..text.len() + 1);
                    text.splice(at..at, piece);
                }
                _ => text.insert(from, self.pick(&DELICATE)),
            }
        }
        text.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_repeats_and_its_cases_differ() {
        let run = || {
            let mut texts = Vec::new();
            cases(50, |chance| {
                let text = chance.text(20);
                texts.push((chance.damaged(&text), chance.bytes(9), chance.number()));
            });
            texts
        };
        let first = run();
        assert_eq!(first, run());
        let mut different = first.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), rounds(50));
    }
}
