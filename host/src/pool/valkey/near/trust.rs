//! Whether what is known of the server may be told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// A value is told only while a `PING` that was sent this long ago, or later,
/// has been answered: whatever the server had done before that `PING`, it has
/// told of by the answer. So no value is older than this. Four times what lies
/// between two of them: one that is late costs nothing.
pub(super) const TRUSTED: Duration = Duration::from_millis(100);

/// No `PING` counts.
const NEVER: u64 = 0;

pub(super) struct Trust {
    /// Before anything that is measured, so that no time of it is [`NEVER`].
    base: Instant,
    /// When the latest `PING` with an answer was sent, in nanoseconds from
    /// `base`. Written under the lock of `standing` only.
    answered: AtomicU64,
    /// Whether the server itself is not to be asked: it was away, those who
    /// wrote meanwhile have written past it, and nobody has repaired it yet.
    refuses: AtomicBool,
    standing: watch::Sender<Standing>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// How many times the server was away, the time before the start included.
    pub(super) epoch: u64,
    /// Whether it has answered since.
    pub(super) answers: bool,
    /// Whether it was repaired since.
    pub(super) repaired: bool,
    /// How many there are who would repair it.
    repairers: usize,
}

impl Trust {
    pub(super) fn new() -> Self {
        Self {
            base: Instant::now() - Duration::from_nanos(1),
            answered: AtomicU64::new(NEVER),
            refuses: AtomicBool::new(false),
            standing: watch::Sender::new(Standing {
                epoch: 1,
                answers: false,
                repaired: false,
                repairers: 0,
            }),
        }
    }

    /// Whether a value that is known may be told.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        let sent = self.answered.load(Ordering::Acquire);
        sent != NEVER && self.since_base(now).saturating_sub(sent) <= nanos(TRUSTED)
    }

    pub(super) fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Acquire)
    }

    /// Notes that a `PING` was answered. Whether values may be told by that.
    pub(super) fn answered(&self, sent: Instant, still: impl FnOnce() -> bool) -> bool {
        let mut trusted = false;
        self.standing.send_if_modified(|standing| {
            if !still() {
                return false;
            }
            if !standing.refuses() {
                self.answered
                    .store(self.since_base(sent), Ordering::Release);
                trusted = true;
            }
            !std::mem::replace(&mut standing.answers, true)
        });
        trusted
    }

    /// Notes that the server is away.
    pub(super) fn away(&self) {
        self.change(|standing| {
            standing.epoch += 1;
            standing.answers = false;
            standing.repaired = false;
        });
    }

    /// Notes that there is somebody who repairs.
    pub(super) fn join(&self) {
        self.change(|standing| {
            // Whoever repaired before did so for others.
            standing.epoch += 1;
            standing.repaired = false;
            standing.repairers += 1;
        });
    }

    /// Notes that one of them repairs no more.
    pub(super) fn leave(&self) {
        self.change(|standing| standing.repairers -= 1);
    }

    /// Notes a repair for the time the server was away before `epoch`.
    pub(super) fn repaired(&self, epoch: u64) {
        self.change(|standing| standing.repaired |= standing.epoch == epoch);
    }

    pub(super) fn watch(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut Standing)) {
        self.standing.send_modify(|standing| {
            change(standing);
            let refuses = standing.refuses();
            self.refuses.store(refuses, Ordering::Release);
            if refuses || !standing.answers {
                self.answered.store(NEVER, Ordering::Release);
            }
        });
    }

    fn since_base(&self, time: Instant) -> u64 {
        nanos(time.duration_since(self.base))
    }
}

impl Standing {
    fn refuses(self) -> bool {
        self.repairers > 0 && !self.repaired
    }
}

/// Enough for five hundred years.
const fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(trust: &Trust) -> bool {
        trust.answered(Instant::now(), || true)
    }

    fn fresh(trust: &Trust) -> bool {
        trust.is_fresh(Instant::now())
    }

    #[test]
    fn trust_counts_from_the_sending_of_what_was_answered() {
        let trust = Trust::new();
        assert!(!fresh(&trust));
        let sent = Instant::now();
        assert!(trust.answered(sent, || true));
        assert!(trust.is_fresh(sent + TRUSTED));
        assert!(!trust.is_fresh(sent + TRUSTED + Duration::from_nanos(1)));
    }

    #[test]
    fn an_answer_over_a_lost_connection_does_not_count() {
        let trust = Trust::new();
        assert!(!trust.answered(Instant::now(), || false));
        assert!(!fresh(&trust) && !trust.watch().borrow().answers);
    }

    #[test]
    fn without_a_repairer_an_answer_is_enough() {
        let trust = Trust::new();
        answer(&trust);
        trust.away();
        assert!(!fresh(&trust) && !trust.refuses());
        answer(&trust);
        assert!(fresh(&trust));
    }

    #[test]
    fn with_one_only_a_repair_of_the_latest_outage_is() {
        let trust = Trust::new();
        answer(&trust);
        trust.join();
        let first = trust.watch().borrow().epoch;
        assert!(trust.refuses() && !answer(&trust) && !fresh(&trust));
        trust.away();
        let second = trust.watch().borrow().epoch;
        answer(&trust);
        trust.repaired(first);
        assert!(trust.refuses() && !answer(&trust) && !fresh(&trust));
        trust.repaired(second);
        assert!(!trust.refuses() && answer(&trust) && fresh(&trust));
        trust.away();
        assert!(trust.refuses() && !fresh(&trust));
        trust.leave();
        assert!(!trust.refuses() && answer(&trust) && fresh(&trust));
    }
}
