//! Pauses between attempts to connect.

use std::time::Duration;

use rand::Rng;

const FIRST: Duration = Duration::from_millis(50);

/// The pause after `failures` attempts in a row that failed: doubled each time
/// up to `limit`, and between half and all of that, by chance, so that nodes
/// do not try in step.
pub(super) fn pause(failures: u32, limit: Duration) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    spread(doubled.min(limit))
}

/// A moment between half and all of `span`.
pub(super) fn spread(span: Duration) -> Duration {
    span.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// A moment within `span`.
pub(super) fn within(span: Duration) -> Duration {
    span.mul_f64(rand::rng().random_range(0.0..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let limit = Duration::from_secs(5);
        for (failures, longest) in [(1, 50), (2, 100), (5, 800), (8, 5000), (u32::MAX, 5000)] {
            let longest = Duration::from_millis(longest);
            for _ in 0..100 {
                let pause = pause(failures, limit);
                assert!(
                    pause <= longest && pause >= longest / 2,
                    "{failures}: {pause:?}"
                );
            }
        }
    }
}
