//! What happens again and again, and is said now and then.

use std::time::{Duration, Instant};

/// Between two lines of the log about one thing.
const PAUSE: Duration = Duration::from_secs(1);

/// What is said of something that goes on failing: the first time, and then how often,
/// once a second, and when it is over.
#[derive(Debug, Default)]
pub struct Complaints {
    said: Option<Instant>,
    unsaid: u64,
}

impl Complaints {
    /// It happens. Answers how often it has without being said, where it is to be said
    /// now.
    pub fn add(&mut self) -> Option<u64> {
        self.add_at(Instant::now())
    }

    fn add_at(&mut self, now: Instant) -> Option<u64> {
        let again = self.said.map(|said| said + PAUSE);
        if again.is_some_and(|again| now < again) {
            self.unsaid += 1;
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// It does not happen any more. Answers how often it had without being said, where it
    /// had.
    pub fn over(&mut self) -> Option<u64> {
        self.said = None;
        Some(std::mem::take(&mut self.unsaid)).filter(|unsaid| *unsaid > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_and_then_one_a_second() {
        let mut complaints = Complaints::default();
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(complaints.add_at(start), Some(0));
        assert_eq!(complaints.add_at(after(10)), None);
        assert_eq!(complaints.add_at(after(999)), None);
        assert_eq!(complaints.add_at(after(1_000)), Some(2));
        assert_eq!(complaints.add_at(after(1_001)), None);
        assert_eq!(complaints.over(), Some(1));
        assert_eq!(complaints.over(), None);
        assert_eq!(complaints.add_at(after(1_002)), Some(0), "anew");
    }
}
