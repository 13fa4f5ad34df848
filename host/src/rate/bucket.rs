//! A token bucket as one number: the time at which it will be whole again (the
//! generic cell rate algorithm). A request moves that time on by the interval
//! between two requests; it is beyond the limit where the bucket would then be
//! whole later than a whole burst takes. Nothing has to be refilled, and a number
//! that has passed says the same as none.

use std::time::Duration;

/// A limit. Times are whole microseconds of any one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket {
    interval: u64,
    burst: u32,
}

/// How a client stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the request was within the limit.
    pub allowed: bool,
    /// Requests that could follow at once.
    pub remaining: u32,
    /// Until one could, where none can.
    pub again: Duration,
    /// Until the bucket is whole.
    pub whole: Duration,
    /// The same in microseconds.
    pub(super) ahead: u64,
}

impl Bucket {
    /// `requests` in each `per`, and at most `burst` at once. Neither count is 0.
    pub(super) fn new(requests: u32, per: Duration, burst: u32) -> Self {
        let per = u64::try_from(per.as_micros()).unwrap_or(u64::MAX);
        Self {
            interval: (per / u64::from(requests.max(1))).max(1),
            burst: burst.max(1),
        }
    }

    /// Between two requests, in the long run.
    pub(super) fn interval(&self) -> u64 {
        self.interval
    }

    /// What a whole burst takes to come back.
    pub(super) fn capacity(&self) -> u64 {
        self.interval.saturating_mul(u64::from(self.burst))
    }

    /// The same.
    pub(super) fn whole(&self) -> Duration {
        Duration::from_micros(self.capacity())
    }

    /// How a client stands with a request at `now`, its bucket to be whole at
    /// `whole_at`; and when it will be whole then.
    pub(super) fn take(&self, whole_at: u64, now: u64) -> (Standing, u64) {
        // No bucket is emptier than empty, whatever limit or clock there was before.
        let from = whole_at.clamp(now, now.saturating_add(self.capacity()));
        let then = from.saturating_add(self.interval);
        let allowed = then - now <= self.capacity();
        let whole_at = if allowed { then } else { from };
        (self.standing(allowed, whole_at - now), whole_at)
    }

    /// How a client stands whose bucket is whole in `ahead` microseconds.
    pub(super) fn standing(&self, allowed: bool, ahead: u64) -> Standing {
        let room = self.capacity().saturating_sub(ahead);
        let remaining = u32::try_from(room / self.interval).unwrap_or(u32::MAX);
        Standing {
            allowed,
            remaining,
            again: Duration::from_micros(self.interval.saturating_sub(room)),
            whole: Duration::from_micros(ahead),
            ahead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    /// A client, and a clock that stands still until it is told.
    struct Fake {
        bucket: Bucket,
        now: u64,
        whole_at: u64,
    }

    impl Fake {
        fn new(requests: u32, per: Duration, burst: u32) -> Self {
            Self {
                bucket: Bucket::new(requests, per, burst),
                now: 1_700_000_000 * SECOND,
                whole_at: 0,
            }
        }

        fn take(&mut self) -> Standing {
            let (standing, whole_at) = self.bucket.take(self.whole_at, self.now);
            self.whole_at = whole_at;
            standing
        }

        /// How many requests of so many are within the limit.
        fn allowed(&mut self, of: u32) -> usize {
            (0..of).filter(|_| self.take().allowed).count()
        }
    }

    #[test]
    fn a_burst_is_served_and_no_more() {
        let mut client = Fake::new(100, Duration::from_secs(1), 200);
        for left in (0..200).rev() {
            let standing = client.take();
            assert_eq!((standing.allowed, standing.remaining), (true, left));
            assert_eq!(standing.again.is_zero(), left > 0);
        }
        let beyond = client.take();
        assert_eq!((beyond.allowed, beyond.remaining), (false, 0));
        assert_eq!(beyond.again, Duration::from_millis(10));
        assert_eq!(beyond.whole, Duration::from_secs(2));
    }

    #[test]
    fn what_is_refused_costs_nothing() {
        let mut client = Fake::new(1, Duration::from_secs(1), 1);
        assert_eq!(client.allowed(1000), 1);
        client.now += SECOND - 1;
        assert_eq!(client.take().again, Duration::from_micros(1));
        client.now += 1;
        assert!(client.take().allowed);
    }

    #[test]
    fn time_brings_requests_back_one_by_one_up_to_the_burst() {
        let mut client = Fake::new(100, Duration::from_secs(1), 5);
        assert_eq!(client.allowed(10), 5);
        client.now += SECOND / 100;
        assert_eq!(client.allowed(10), 1);
        client.now += 3 * SECOND / 100;
        assert_eq!(client.allowed(10), 3);
        client.now += 3600 * SECOND;
        assert_eq!(client.allowed(10), 5);
    }

    #[test]
    fn in_the_long_run_a_client_has_its_rate() {
        let mut client = Fake::new(7, Duration::from_secs(1), 3);
        let mut served = 0;
        for _ in 0..100_000 {
            client.now += SECOND / 1000;
            served += client.allowed(2);
        }
        // 100 s of 7, and the burst that it began with.
        assert!((700..=703).contains(&served), "{served}");
    }

    #[test]
    fn what_a_former_limit_or_clock_left_is_an_empty_bucket_at_most() {
        let mut client = Fake::new(1, Duration::from_secs(3600), 24);
        assert_eq!(client.allowed(100), 24);
        client.bucket = Bucket::new(1, Duration::from_secs(1), 2);
        let standing = client.take();
        assert_eq!((standing.allowed, standing.remaining), (false, 0));
        assert_eq!(standing.again, Duration::from_secs(1));
        client.now -= 3600 * SECOND;
        assert!(!client.take().allowed);
        client.now += SECOND;
        assert!(client.take().allowed);
    }
}
