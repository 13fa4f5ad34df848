//! What the pool remembers of statement texts.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;

use super::classify::{Class, classify, reads_sequence};

/// Longer texts are not remembered: they are made by a program, for one use,
/// and would crowd memory.
const LONGEST: usize = 64 << 10;
/// Slow runs in a row that make a statement a slow one. One may be an accident.
const SLOW_RUNS: u8 = 2;

/// A statement's text and what was learned of it.
#[derive(Debug)]
pub(super) struct Text {
    /// Stands for the text in the connections' caches.
    pub(super) id: u64,
    pub(super) sql: Arc<str>,
    pub(super) class: Class,
    /// Whether it reads what a sequence last gave to this session.
    pub(super) reads_sequence: bool,
    /// Whether a prepared form is worth keeping.
    pub(super) kept: bool,
    uses: AtomicU64,
    bulky: AtomicBool,
    large: AtomicBool,
    slow: AtomicU8,
}

impl Text {
    fn new(id: u64, sql: &str) -> Self {
        Self {
            id,
            sql: sql.into(),
            class: classify(sql),
            reads_sequence: reads_sequence(sql),
            kept: sql.len() <= LONGEST,
            uses: AtomicU64::new(0),
            bulky: AtomicBool::new(false),
            large: AtomicBool::new(false),
            slow: AtomicU8::new(0),
        }
    }

    /// Whether the statement is better off with a connection of its own.
    pub(super) fn is_heavy(&self) -> bool {
        self.large.load(Ordering::Relaxed) || self.slow.load(Ordering::Relaxed) >= SLOW_RUNS
    }

    /// Whether its result takes more than one read of the socket.
    pub(super) fn is_bulky(&self) -> bool {
        self.bulky.load(Ordering::Relaxed)
    }

    pub(super) fn note_bulk(&self, bulky: bool) {
        if self.is_bulky() != bulky {
            self.bulky.store(bulky, Ordering::Relaxed);
        }
    }

    /// Its result outgrew the buffer, or did not.
    pub(super) fn note_size(&self, large: bool) {
        if self.large.load(Ordering::Relaxed) != large {
            self.large.store(large, Ordering::Relaxed);
        }
    }

    /// It took `run` on the server. A run that is not slow wins back what a slow one
    /// lost, so that a bad moment of the server, or of the way there, does not stick.
    pub(super) fn note_run(&self, run: Duration, slow: Duration) {
        let score = self.slow.load(Ordering::Relaxed);
        let new = if run >= slow {
            SLOW_RUNS.min(score + 1)
        } else {
            score.saturating_sub(1)
        };
        // Two callers at once may lose one count of two, which is harmless.
        if new != score {
            self.slow.store(new, Ordering::Relaxed);
        }
    }
}

/// The texts used last.
#[derive(Debug)]
pub(super) struct Known {
    texts: Mutex<LruCache<Arc<str>, Arc<Text>>>,
    next: AtomicU64,
}

impl Known {
    pub(super) fn new(capacity: NonZeroUsize) -> Self {
        Self {
            texts: Mutex::new(LruCache::new(capacity)),
            next: AtomicU64::new(0),
        }
    }

    /// The text's entry, made if need be.
    pub(super) fn get(&self, sql: &str) -> Arc<Text> {
        if let Some(text) = self.texts.lock().get(sql) {
            // Counting stops where it has told what it can.
            if text.uses.load(Ordering::Relaxed) < 2 {
                text.uses.fetch_add(1, Ordering::Relaxed);
            }
            return text.clone();
        }
        let text = Arc::new(Text::new(self.next.fetch_add(1, Ordering::Relaxed), sql));
        if !text.kept {
            return text;
        }
        let mut texts = self.texts.lock();
        text.uses.store(1, Ordering::Relaxed);
        texts
            .get_or_insert(text.sql.clone(), || text.clone())
            .clone()
    }

    /// Makes a text known as one that will be used.
    pub(super) fn remember(&self, sql: &str) {
        self.get(sql).uses.store(2, Ordering::Relaxed);
    }

    /// The texts to prepare on a new connection, the least recent first: those
    /// that were used more than once or announced.
    pub(super) fn recurring(&self, limit: usize) -> Vec<Arc<Text>> {
        let texts = self.texts.lock();
        let mut recurring: Vec<_> = texts
            .iter()
            .map(|(_, text)| text)
            .filter(|text| text.uses.load(Ordering::Relaxed) > 1)
            .filter(|text| !matches!(text.class, Class::Refused(..)))
            .take(limit)
            .cloned()
            .collect();
        recurring.reverse();
        recurring
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_millis(100);

    fn known(capacity: usize) -> Known {
        Known::new(NonZeroUsize::new(capacity).unwrap())
    }

    #[test]
    fn the_same_text_is_the_same_entry_until_it_is_forgotten() {
        let known = known(2);
        let first = known.get("SELECT 1");
        assert!(Arc::ptr_eq(&first, &known.get("SELECT 1")));
        known.get("SELECT 2");
        known.get("SELECT 1");
        known.get("SELECT 3");
        assert!(
            Arc::ptr_eq(&first, &known.get("SELECT 1")),
            "the least recent goes first"
        );
        known.get("SELECT 2");
        known.get("SELECT 3");
        assert_ne!(first.id, known.get("SELECT 1").id);
    }

    #[test]
    fn only_what_recurs_is_prepared_ahead() {
        let known = known(8);
        known.get("once");
        known.get("twice");
        known.get("twice");
        known.remember("announced");
        known.remember("COPY t FROM STDIN");
        let texts: Vec<_> = known
            .recurring(8)
            .iter()
            .map(|text| text.sql.to_string())
            .collect();
        assert_eq!(texts, ["twice", "announced"]);
        assert_eq!(known.recurring(1)[0].sql.as_ref(), "announced");
    }

    #[test]
    fn huge_texts_are_not_kept() {
        let known = known(8);
        let sql = format!("SELECT '{}'", "x".repeat(LONGEST));
        let text = known.get(&sql);
        assert!(!text.kept);
        assert_ne!(text.id, known.get(&sql).id);
    }

    #[test]
    fn slow_twice_in_a_row_is_slow_until_it_is_quick_again() {
        let text = Text::new(0, "SELECT 1");
        text.note_run(SLOW, SLOW);
        assert!(!text.is_heavy());
        text.note_run(SLOW / 10, SLOW);
        text.note_run(SLOW, SLOW);
        assert!(!text.is_heavy());
        text.note_run(SLOW * 9, SLOW);
        assert!(text.is_heavy());
        text.note_run(SLOW * 2 / 3, SLOW);
        assert!(!text.is_heavy());
    }

    #[test]
    fn large_is_remembered() {
        let text = Text::new(0, "SELECT 1");
        text.note_size(true);
        assert!(text.is_heavy());
        text.note_size(false);
        assert!(!text.is_heavy());
    }
}
