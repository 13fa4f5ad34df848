//! How far away a server is: what its quickest answer took of late. What a statement
//! takes beyond that is the server's own time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Answers count for this long, and no longer than twice it: a server that has moved
/// away is soon known to have.
const WINDOW: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Way {
    /// Nanoseconds; the largest number where there was no answer.
    window: AtomicU64,
    /// The same of the window before.
    before: AtomicU64,
    begun: Mutex<Instant>,
}

impl Way {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            window: AtomicU64::new(u64::MAX),
            before: AtomicU64::new(u64::MAX),
            begun: Mutex::new(now),
        }
    }

    /// An answer came this long after its statement was sent to a connection that had
    /// nothing else to do.
    pub(super) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if took < self.window.load(Ordering::Relaxed) {
            self.window.fetch_min(took, Ordering::Relaxed);
        }
    }

    /// The quickest of late; zero where nothing is known.
    pub(super) fn least(&self) -> Duration {
        let window = self.window.load(Ordering::Relaxed);
        match window.min(self.before.load(Ordering::Relaxed)) {
            u64::MAX => Duration::ZERO,
            least => Duration::from_nanos(least),
        }
    }

    /// To be called now and then.
    pub(super) fn pass(&self, now: Instant) {
        let mut begun = self.begun.lock();
        if now.duration_since(*begun) >= WINDOW {
            *begun = now;
            let window = self.window.swap(u64::MAX, Ordering::Relaxed);
            self.before.store(window, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_counts_until_it_was_long_ago() {
        let begun = Instant::now();
        let milliseconds = Duration::from_millis;
        let way = Way::new(begun);
        assert_eq!(way.least(), Duration::ZERO);
        way.note(milliseconds(60));
        way.note(milliseconds(3));
        way.note(milliseconds(80));
        assert_eq!(way.least(), milliseconds(3));
        way.pass(begun + WINDOW);
        way.note(milliseconds(60));
        assert_eq!(way.least(), milliseconds(3));
        way.pass(begun + WINDOW * 3 / 2);
        assert_eq!(way.least(), milliseconds(3));
        way.pass(begun + WINDOW * 2);
        assert_eq!(way.least(), milliseconds(60));
        way.pass(begun + WINDOW * 3);
        assert_eq!(way.least(), Duration::ZERO);
    }
}
