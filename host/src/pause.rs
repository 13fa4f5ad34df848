//! Pauses between attempts at what does not work for now.

use std::time::Duration;

/// Doubling pauses, capped, each shortened at random by up to a half, so that
/// those who lost something together do not come back together.
#[derive(Debug, Clone)]
pub struct Pauses {
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Pauses {
    /// From `first` to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            attempts: 0,
        }
    }

    /// The next pause.
    pub fn another(&mut self) -> Duration {
        let doublings = self.attempts.min(16);
        self.attempts = self.attempts.saturating_add(1);
        let longest = self.first.saturating_mul(1 << doublings).min(self.longest);
        jittered(longest)
    }

    /// It worked: the next pause is a first one.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// A time between half of `longest` and all of it.
pub fn jittered(longest: Duration) -> Duration {
    longest.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_begin_again() {
        let mut pauses = Pauses::new(Duration::from_millis(10), Duration::from_millis(60));
        for longest_ms in [10, 20, 40, 60, 60] {
            let longest = Duration::from_millis(longest_ms);
            let pause = pauses.another();
            assert!(pause <= longest && pause >= longest / 2, "{pause:?}");
        }
        pauses.attempts = u32::MAX;
        assert!(pauses.another() <= Duration::from_millis(60));
        pauses.reset();
        assert!(pauses.another() <= Duration::from_millis(10));
    }
}
