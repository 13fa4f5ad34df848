//! In which order one connection's statements were sent: it runs them in that
//! order, one at a time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// The statements of one connection that may be running or are still to run.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Turns>);

#[derive(Debug, Default)]
struct Turns {
    last: u64,
    /// The longest-waiting first.
    ahead: VecDeque<u64>,
}

/// One caller's turn in a [`Line`]: none before its statement is sent.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicU64);

impl Line {
    /// The caller's statement is sent by `send`, perhaps once more. Nobody else's is
    /// sent meanwhile: else one that is told to be first might stand behind another.
    pub(super) fn join<T>(&self, turn: &Turn, send: impl FnOnce() -> T) -> T {
        let before = turn.0.load(Ordering::Relaxed);
        let mut turns = self.0.lock();
        turns.remove(before);
        turns.last += 1;
        let last = turns.last;
        turns.ahead.push_back(last);
        turn.0.store(last, Ordering::Relaxed);
        send()
    }

    /// The statement has ended. Once it has left, this does nothing.
    pub(super) fn leave(&self, turn: &Turn) {
        self.0.lock().remove(turn.0.load(Ordering::Relaxed));
    }

    /// Whether it is this statement that the server runs, as far as is known here:
    /// nothing that was sent before it is still there.
    pub(super) fn is_first(&self, turn: &Turn) -> bool {
        self.0.lock().ahead.front() == Some(&turn.0.load(Ordering::Relaxed))
    }
}

impl Turns {
    fn remove(&mut self, turn: u64) {
        // They end in their order, so it is the first, or near it.
        if let Some(at) = self.ahead.iter().position(|&other| other == turn) {
            self.ahead.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_sent_first_is_first_until_it_leaves() {
        let line = Line::default();
        let turns: [Turn; 3] = Default::default();
        assert!(!line.is_first(&turns[0]), "it was not sent");
        for turn in &turns {
            line.join(turn, || ());
        }
        let first = |line: &Line| turns.iter().position(|turn| line.is_first(turn));
        assert_eq!(first(&line), Some(0));
        line.leave(&turns[1]);
        assert_eq!(first(&line), Some(0));
        line.leave(&turns[0]);
        assert_eq!(first(&line), Some(2));
        line.leave(&turns[0]);
        assert_eq!(first(&line), Some(2));
        line.leave(&turns[2]);
        assert_eq!(first(&line), None);
    }

    #[test]
    fn what_is_sent_again_stands_at_the_end() {
        let line = Line::default();
        let (again, other) = (Turn::default(), Turn::default());
        for turn in [&again, &other, &again] {
            line.join(turn, || ());
        }
        assert!(line.is_first(&other));
        line.leave(&other);
        line.leave(&again);
        assert!(!line.is_first(&again));
    }
}
